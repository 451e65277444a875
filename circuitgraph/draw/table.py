"""A table for a notebook: bounded, every cell escaped, with what was left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from circuitgraph.draw.svg import clean

__all__ = ["html_table"]

_LONGEST_CELL = 200
_MOST_COLUMNS = 40


def html_table(
    columns: Sequence[str],
    rows: Sequence[Mapping[str, Any]],
    *,
    title: str = "",
    notes: Sequence[str] = (),
    limit: int = 20,
    count: int | None = None,
) -> str:
    """Return rows as an HTML table.

    Parameters
    ----------
    columns
        Names of what to show of each row; of more than 40 the first.
    rows
        Values by column; None is shown as a dash, a text of more than 200 letters is cut.
    notes
        Lines below.
    limit
        Most rows to show; the rest is counted.
    count
        How many rows there are where not all are given.
    """
    shown = list(columns)[:_MOST_COLUMNS]
    head = "".join(f"<th>{escape(clean(name))}</th>" for name in shown)
    body = "".join(
        f"<tr>{''.join(f'<td>{escape(_cell(row.get(name)))}</td>' for name in shown)}</tr>" for row in rows[:limit]
    )
    caption = f"<caption>{escape(clean(title))}</caption>" if title else ""
    said = list(notes)
    more = (len(rows) if count is None else count) - min(limit, len(rows))
    if more > 0:
        said.insert(0, f"... and {more:,} more")
    if len(columns) > len(shown):
        said.append(f"showing {len(shown)} of {len(columns):,} columns")
    lines = "".join(f"<p>{escape(clean(line))}</p>" for line in said)
    return f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{lines}"


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    text = f"{value:.4g}" if isinstance(value, float) else clean(str(value))
    return text if len(text) <= _LONGEST_CELL else f"{text[: _LONGEST_CELL - 1]}…"
