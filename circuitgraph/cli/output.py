"""How commands speak: data to stdout in one of four formats, everything else to stderr."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress as RichProgress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table

from circuitgraph.progress import SILENT, Progress, Task

__all__ = ["FORMATS", "say", "show_progress", "show_rows"]

FORMATS = ("table", "json", "ndjson", "csv")
JSON_VERSION = 1

_stderr = Console(stderr=True, highlight=False, soft_wrap=True)


def say(text: str) -> None:
    """Write a line to stderr."""
    _stderr.print(text, markup=False)


def show_rows(columns: Sequence[str], rows: Sequence[Mapping[str, Any]], form: str, *, name: str = "rows") -> None:
    """Write rows to stdout.

    Parameters
    ----------
    form
        "table" for reading; "json" (one object: schema, version, columns, rows); "ndjson" (one object a line);
        "csv" (lists and objects as JSON).
    name
        What the rows are, for "json".
    """
    if form == "json":
        whole = {"schema": f"circuitgraph/{name}", "version": JSON_VERSION, "columns": list(columns), "rows": list(rows)}
        print(json.dumps(whole, ensure_ascii=False, default=str))
    elif form == "ndjson":
        for row in rows:
            print(json.dumps(row, ensure_ascii=False, default=str))
    elif form == "csv":
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([_csv_cell(row[column]) for column in columns] for row in rows)
    else:
        _show_table(columns, rows)


def _show_table(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        is_number = any(isinstance(row[column], (int, float)) for row in rows)
        table.add_column(column, justify="right" if is_number else "left", overflow="fold", no_wrap=False)
    for row in rows:
        table.add_row(*(_table_cell(row[column]) for column in columns))
    width = None if sys.stdout.isatty() else 240
    Console(file=sys.stdout, width=width, markup=False, highlight=False).print(table)


def _table_cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, int):
        return str(value)
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    text = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
    return text if len(text) <= 200 else f"{text[:197]}..."


def _csv_cell(value: Any) -> Any:
    if isinstance(value, (list, dict)):
        return json.dumps(value, ensure_ascii=False, default=str)
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r"):
        # else a spreadsheet would run it
        return f"'{value}"
    return "" if value is None else value


class _BarTask:
    def __init__(self, bars: RichProgress, number: Any) -> None:
        self._bars, self._number = bars, number

    def advance(self, amount: float = 1) -> None:
        self._bars.advance(self._number, amount)

    def describe(self, text: str) -> None:
        self._bars.update(self._number, detail=text)


class _Bars:
    """Bars on a terminal."""

    @contextmanager
    def task(self, title: str, total: float | None = None, unit: str = "") -> Iterator[Task]:
        if total is None:
            columns = [SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn()]
        else:
            count = DownloadColumn() if unit == "bytes" else MofNCompleteColumn()
            columns = [TextColumn("{task.description}"), BarColumn(), count, TextColumn(unit), TimeElapsedColumn()]
        columns.append(TextColumn("[dim]{task.fields[detail]}", markup=True))
        with RichProgress(*columns, console=_stderr, transient=True) as bars:
            yield _BarTask(bars, bars.add_task(title, total=total, detail=""))

    def note(self, text: str) -> None:
        say(text)


class _SilentTask:
    def advance(self, amount: float = 1) -> None:
        pass

    def describe(self, text: str) -> None:
        pass


class _Lines:
    """Lines in a log: one when a piece of work begins."""

    @contextmanager
    def task(self, title: str, total: float | None = None, unit: str = "") -> Iterator[Task]:
        of = "" if total is None else f" ({total / 2**20:,.0f} MiB)" if unit == "bytes" else f" ({total:,.0f} {unit}s)"
        say(f"{title}{of} ...")
        yield _SilentTask()

    def note(self, text: str) -> None:
        say(text)


def show_progress(*, quiet: bool) -> Progress:
    """Return the progress that fits: bars on a terminal, lines in a log, nothing when quiet."""
    if quiet:
        return SILENT
    return _Bars() if _stderr.is_terminal else _Lines()
