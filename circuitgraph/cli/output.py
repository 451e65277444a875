"""How commands speak: data to stdout in one of four formats, everything else to stderr."""

from __future__ import annotations

import csv
import itertools
import json
import math
import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click
from rich.cells import cell_len, chop_cells
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.progress import (
    Progress as RichProgress,
)

from circuitgraph.progress import SILENT, Progress, Task

if TYPE_CHECKING:
    from circuitgraph.bundle.describe import Description
    from circuitgraph.result import Result

__all__ = [
    "FORMATS",
    "JSON_VERSION",
    "say",
    "say_of",
    "show_json",
    "show_progress",
    "show_rows",
    "show_table",
    "show_tables",
]

FORMATS = ("table", "json", "ndjson", "csv")
JSON_VERSION = 1
_GAP = "  "
_FOLD = 24

_LONGEST_LINE = 2000
# what a spreadsheet takes for the beginning of a formula, in full width too, and what it skips before one
_RUN = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")

_stderr = Console(stderr=True, highlight=False, soft_wrap=True, markup=False, emoji=False)


def say(text: str) -> None:
    """Write lines to stderr; what a terminal would obey is shown as a mark, and a line of a megabyte is cut."""
    _stderr.print("\n".join(_shown(line) for line in text.splitlines()))


def say_of(result: Result) -> None:
    """Say whether an answer was cut, and what a reader of it must know."""
    if result.is_cut:
        say(f"cut at {result.limit} rows, there are more; give --limit.")
    for note in result.notes:
        say(f"note: {note}")


def _plain(value: Any) -> Any:
    if not isinstance(value, str) or value.isprintable():
        return value
    # controls, separators, and what turns the direction of writing (U+202A-202E, U+2066-2069, U+200E/F)
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in value)


def _same(value: Any) -> Any:
    return value


def _shown(line: str) -> str:
    plain: str = _plain(line)
    return plain if len(plain) <= _LONGEST_LINE else f"{plain[:_LONGEST_LINE]}... ({len(plain):,} characters)"


def show_rows(columns: Sequence[str], rows: Sequence[Mapping[str, Any]], form: str, *, name: str = "rows") -> None:
    """Write one table to stdout.

    Parameters
    ----------
    form
        "table" for reading; "json" (one object: schema, version, columns, rows; NaN and infinity as null);
        "ndjson" (one object a line); "csv" (lists and objects as JSON; a text that a spreadsheet would run
        gets a leading apostrophe).
    name
        What the rows are, for "json".
    """
    if form == "json":
        _print_json({**_head(name), "columns": list(columns), "rows": list(rows)})
    elif form == "ndjson":
        for row in rows:
            _print_json(row)
    elif form == "csv":
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(columns)
        # a file gets the text as it is, a terminal what is safe to show
        show = _plain if sys.stdout.isatty() else _same
        writer.writerows([show(_csv_cell(row[column])) for column in columns] for row in rows)
    else:
        show_table(columns, rows)


def show_json(whole: Mapping[str, Any], *, name: str) -> None:
    """Write one object to stdout under the head that all of them share; `name` is what it is."""
    _print_json({**_head(name), **whole})


def show_tables(tables: Sequence[Description], form: str, *, name: str, about: Mapping[str, Any]) -> None:
    """Write several titled tables to stdout, their notes to stderr.

    Parameters
    ----------
    form
        "table": one below the other; "json": one object (schema, version, what is in `about`, and `tables`, an
        object that gives title, columns, rows and notes of each table by its name); "ndjson": one object a row, with
        the name of its table under "table"; "csv": one table only.

    Raises
    ------
    click.UsageError
        Several tables are to be written as csv.
    """
    if form == "json":
        whole = {
            table.name: {
                "title": table.title,
                "columns": list(table.columns),
                "rows": list(table.rows),
                "notes": list(table.notes),
            }
            for table in tables
        }
        _print_json({**_head(name), **about, "tables": whole})
    elif form == "ndjson":
        for table in tables:
            for row in table.rows:
                _print_json({"table": table.name, **row})
    elif form == "csv":
        if len(tables) > 1:
            names = " or ".join(f"--table {table.name}" for table in tables)
            raise click.UsageError(f"csv holds one table: add {names}.")
        show_rows(tables[0].columns, tables[0].rows, "csv")
    else:
        for number, table in enumerate(tables):
            print(("\n" if number else "") + _shown(table.title))
            show_table(
                [name for name in table.columns if not table.rows or any(_says(row[name]) for row in table.rows)],
                [_joined(row, table.joints) for row in table.rows],
                key_columns=table.key_columns,
            )
    for table in tables:
        for note in table.notes:
            say(note)


def _head(name: str) -> dict[str, Any]:
    return {"schema": f"circuitgraph/{name}", "version": JSON_VERSION}


def _print_json(value: Any) -> None:
    try:
        text = json.dumps(value, ensure_ascii=False, default=str, allow_nan=False)
    except ValueError:
        text = json.dumps(_without_nan(value), ensure_ascii=False, default=str, allow_nan=False)
    print(text if text.isprintable() else "".join(c if c.isprintable() else _escaped(c) for c in text))


def _escaped(char: str) -> str:
    # the same text to who reads JSON, and nothing that a terminal would obey
    return json.dumps(char)[1:-1] if ord(char) != 0x7F else "\\u007f"


def _without_nan(value: Any) -> Any:
    # JSON has no word for them
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {name: _without_nan(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_nan(each) for each in value]
    return value


def _says(value: Any) -> bool:
    return value is not None and value != []


def _joined(row: Mapping[str, Any], joints: Mapping[str, str]) -> dict[str, Any]:
    """Write pairs and lists as a reader wants them: 3x3, -1,-1, a b c."""

    def show(value: Any, joint: str) -> str:
        if joint and value and not isinstance(value[0], list):
            return joint.join(str(each) for each in value)
        return " ".join(dict.fromkeys(show(each, joint) if isinstance(each, list) else str(each) for each in value))

    return {
        name: show(value, joints.get(name, "")) if isinstance(value, list) else value for name, value in row.items()
    }


def show_table(columns: Sequence[str], rows: Sequence[Mapping[str, Any]], *, key_columns: int = 1) -> None:
    """Write one table for reading.

    On a terminal that is too narrow, long texts are folded, and then the columns come in several parts,
    each beginning with the first `key_columns`. Elsewhere lines are as long as they need to be.
    """
    if not rows:
        print(f"{_GAP.join(columns)}\n(none)".lstrip())
        return
    cells = [[_table_cell(row[column]) for column in columns] for row in rows]
    is_number = [any(_is_number(row[column]) for row in rows) for column in columns]
    widths = [max(cell_len(text) for text in texts) for texts in zip(columns, *cells, strict=True)]
    room = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    if room is not None and _total(widths) > room:
        for place, column in enumerate(columns):
            if not is_number[place] and place >= key_columns:
                widths[place] = min(widths[place], max(_FOLD, cell_len(column)))
    for number, part in enumerate(_parts(widths, room, key_columns)):
        if number:
            print()
        _print_line([columns[place] for place in part], part, widths, is_number, is_head=True)
        for row_cells in cells:
            _print_line([row_cells[place] for place in part], part, widths, is_number)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + len(_GAP) * (len(widths) - 1)


def _parts(widths: Sequence[int], room: int | None, key_columns: int) -> Iterator[list[int]]:
    """Yield the columns of each part, the key columns first in each."""
    keys = list(range(min(key_columns, len(widths))))
    if room is None:
        yield list(range(len(widths)))
        return
    part = keys
    for place in range(len(keys), len(widths)):
        if len(part) > len(keys) and _total([widths[p] for p in (*part, place)]) > room:
            yield part
            part = keys
        part = [*part, place]
    yield part


def _print_line(
    cells: Sequence[str],
    part: Sequence[int],
    widths: Sequence[int],
    is_number: Sequence[bool],
    *,
    is_head: bool = False,
) -> None:
    folded = [_fold(text, widths[place]) for text, place in zip(cells, part, strict=True)]
    for line in itertools.zip_longest(*folded, fillvalue=""):
        padded = []
        for text, place in zip(line, part, strict=True):
            gap = " " * (widths[place] - cell_len(text))
            padded.append(gap + text if is_number[place] else text + gap)
        shown = _GAP.join(padded).rstrip()
        click.echo(click.style(shown, bold=True) if is_head and "NO_COLOR" not in os.environ else shown)


def _fold(text: str, width: int) -> list[str]:
    lines = [""]
    for word in text.split(" "):
        longer = f"{lines[-1]} {word}" if lines[-1] else word
        if cell_len(longer) <= width:
            lines[-1] = longer
        else:
            lines[len(lines) - (not lines[-1]) :] = chop_cells(word, width)
    return lines


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
    text = _plain(text)
    return text if len(text) <= 200 else f"{text[:197]}..."


def _csv_cell(value: Any) -> Any:
    if isinstance(value, (list, dict)):
        return json.dumps(value, ensure_ascii=False, default=str)
    if isinstance(value, str) and value.startswith(_RUN):
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
            columns = [SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn()]
        else:
            count = DownloadColumn() if unit == "bytes" else MofNCompleteColumn()
            title_column = TextColumn("{task.description}", markup=False)
            columns = [title_column, BarColumn(), count, TextColumn(unit), TimeElapsedColumn()]
        columns.append(TextColumn("{task.fields[detail]}", style="dim", markup=False))
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
