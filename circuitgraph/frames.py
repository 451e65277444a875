"""Rows of a query as Arrow, pandas and polars tables and as a networkx graph, with their types kept.

Integers stay integers where some are missing, a missing value is null and not NaN, lists stay lists and objects
become structs. A column whose values have no one type (a number here, a text there) is JSON text, and says so in its
field's metadata: ``{"circuitgraph": "json"}``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from circuitgraph.errors import GraphError, MissingExtraError, QueryError

if TYPE_CHECKING:
    import networkx
    import pandas as pd
    import polars as pl
    import pyarrow as pa

__all__ = ["rows_to_arrow", "rows_to_networkx", "rows_to_pandas", "rows_to_polars", "write_rows"]

Rows = Sequence[Mapping[str, Any]]

_ENDS = "MATCH (a)-[e]->(b) RETURN a, e, b"


def rows_to_arrow(columns: Sequence[str], rows: Rows) -> pa.Table:
    """Return rows as an Arrow table; a column without values has the type null."""
    import pyarrow as pa

    made = [_array([row[name] for row in rows]) for name in columns]
    fields = [
        pa.field(name, array.type, metadata={"circuitgraph": "json"} if is_json else None)
        for name, (array, is_json) in zip(columns, made, strict=True)
    ]
    return pa.Table.from_arrays([array for array, _ in made], schema=pa.schema(fields))


def _array(values: list[Any]) -> tuple[pa.Array, bool]:
    import pyarrow as pa

    try:
        # Arrow would take a truth value among numbers for a number, and a whole number for a fraction
        if len(set(_kinds(values))) <= 1:
            return pa.array(values), False
    except (pa.ArrowException, OverflowError, TypeError, ValueError):
        pass
    texts = [None if value is None else json.dumps(value, ensure_ascii=False, default=str) for value in values]
    return pa.array(texts, type=pa.string()), True


def _kinds(values: Sequence[Any]) -> Iterator[str]:
    for value in values:
        if isinstance(value, bool):
            yield "bool"
        elif isinstance(value, (int, float)):
            yield "number"
        elif value is not None:
            yield type(value).__name__


def rows_to_pandas(columns: Sequence[str], rows: Rows) -> pd.DataFrame:
    """Return rows as a data frame: Int64, Float64, boolean and string columns, and objects for lists and dicts.

    Raises
    ------
    MissingExtraError
        pandas is not installed.
    """
    try:
        import pandas as pd
    except ModuleNotFoundError as error:
        raise _missing("pandas") from error
    import pyarrow as pa

    names = {"int64": "Int64", "double": "Float64", "bool": "boolean", "string": "string"}
    table = rows_to_arrow(columns, rows)
    made = {}
    for place, field in enumerate(table.schema):
        kind = names.get(str(field.type))
        column = table.column(place)
        if kind is None or pa.types.is_null(field.type):
            made[place] = pd.Series([row[field.name] for row in rows], dtype=object)
        elif kind == "Float64":
            # a NaN that a query computed stays one, apart from what is missing
            missing = column.is_null().to_numpy()
            values = column.fill_null(0.0).to_numpy()
            made[place] = pd.Series(pd.arrays.FloatingArray(values.copy(), missing.copy()))
        else:
            made[place] = pd.Series(column.to_pylist(), dtype=kind)
    frame = pd.DataFrame(made, index=pd.RangeIndex(len(rows)), columns=pd.RangeIndex(len(columns)))
    frame.columns = pd.Index(list(columns), dtype=object)
    return frame


def rows_to_polars(columns: Sequence[str], rows: Rows) -> pl.DataFrame:
    """Return rows as a polars frame.

    Raises
    ------
    MissingExtraError
        polars is not installed.
    """
    try:
        import polars as pl
    except ModuleNotFoundError as error:
        raise _missing("polars") from error
    frame = pl.from_arrow(rows_to_arrow(columns, rows))
    return frame if isinstance(frame, pl.DataFrame) else frame.to_frame()


def _missing(package: str) -> MissingExtraError:
    return MissingExtraError(
        f"a result as a frame needs the package {package!r}, which is not installed.",
        hint="pip install 'feature-circuitgraph[frames]'",
    )


def rows_to_networkx(rows: Rows) -> networkx.MultiDiGraph:
    """Return the nodes and relationships that are found in rows, those in lists, maps and paths too.

    Nodes go by their uid and have their labels and properties as attributes; relationships have their type and
    properties. One that several rows have is there once.

    Raises
    ------
    GraphError
        A relationship comes without one of its ends.
    """
    import networkx

    out = networkx.MultiDiGraph()
    relations = []
    for row in rows:
        for found in _things(list(row.values())):
            if "labels" in found:
                out.add_node(found["uid"], **{name: value for name, value in found.items() if name != "uid"})
            else:
                relations.append(found)
    lost = [each for each in relations if not {"start", "end"} <= each.keys()]
    if lost:
        raise GraphError(
            f"making a graph of rows: {len(lost)} of {len(relations)} relationships come without both their ends, "
            f"the first of type {lost[0]['type']}.",
            hint=f"Return the nodes too: {_ENDS}",
        )
    seen: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for each in relations:
        ends = (each["start"], each["end"])
        own = {name: value for name, value in each.items() if name not in ("start", "end")}
        there = seen.setdefault(ends, [])
        if own not in there:
            there.append(own)
            out.add_edge(*ends, **own)
    return out


def _things(value: Any) -> Iterator[dict[str, Any]]:
    """Yield the nodes and relationships in nested rows."""
    waiting = [value]
    while waiting:
        part = waiting.pop(0)
        if isinstance(part, dict):
            is_node = isinstance(part.get("labels"), list) and isinstance(part.get("uid"), str)
            if is_node or isinstance(part.get("type"), str):
                yield part
            else:
                waiting = [*part.values(), *waiting]
        elif isinstance(part, (list, tuple)):
            waiting = [*part, *waiting]


def write_rows(path: str | Path, columns: Sequence[str], rows: Rows, *, form: str) -> None:
    """Write rows to a file, whole or not at all.

    Parameters
    ----------
    form
        "arrow" (the file format, which is also Feather 2) or "parquet".

    Raises
    ------
    QueryError
        The file cannot be written, or the form cannot hold the rows.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = Path(path)
    table = rows_to_arrow(columns, rows)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        if form == "parquet":
            pq.write_table(table, partial)
        else:
            with pa.OSFile(str(partial), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
                writer.write_table(table)
        partial.replace(path)
    except (OSError, pa.ArrowException) as error:
        said = (str(error).splitlines() or [type(error).__name__])[0]
        raise QueryError(f"writing {len(rows):,} rows to {path}: {said}.", hint="Try --format ndjson.") from error
    finally:
        partial.unlink(missing_ok=True)
