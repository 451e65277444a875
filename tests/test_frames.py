"""Results as tables and graphs: types and columns stay what they were."""

from __future__ import annotations

import builtins
import datetime
import math
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from circuitgraph.errors import GraphError, MissingExtraError, QueryError
from circuitgraph.frames import write_rows
from circuitgraph.result import Result

ROWS: list[dict[str, Any]] = [
    {"n": 2**53 + 1, "x": 0.1, "s": "a", "b": True, "l": [1, 2], "o": {"k": 1}, "none": None, "mix": 1},
    {"n": None, "x": None, "s": None, "b": None, "l": None, "o": None, "none": None, "mix": "1"},
    {"n": -3, "x": math.nan, "s": "", "b": False, "l": [], "o": {"k": None, "j": [0.5]}, "none": None, "mix": None},
]


def result(rows: list[dict[str, Any]], columns: list[str] | None = None) -> Result:
    return Result("RETURN 1", {}, columns or list(rows[0]), rows, 100, False, [], 0.0)


def test_arrow_keeps_types_and_nulls() -> None:
    table = result(ROWS).to_arrow()
    kinds = [str(kind) for kind in table.schema.types]
    assert kinds[:5] == ["int64", "double", "string", "bool", "list<item: int64>"]
    assert kinds[6:] == ["null", "string"]
    assert table["n"].to_pylist() == [2**53 + 1, None, -3]
    assert table["x"].null_count == 1
    assert math.isnan(table["x"].to_pylist()[2])
    assert table["l"].to_pylist() == [[1, 2], None, []]
    assert table["o"].to_pylist() == [{"k": 1, "j": None}, None, {"k": None, "j": [0.5]}]
    assert table["mix"].to_pylist() == ["1", '"1"', None]
    assert [field.name for field in table.schema if field.metadata] == ["mix"]


def test_pandas_keeps_integers_beside_what_is_missing() -> None:
    frame = result(ROWS).to_pandas()
    assert [str(kind) for kind in frame.dtypes][:4] == ["Int64", "Float64", "string", "boolean"]
    assert frame["n"].tolist() == [2**53 + 1, pd.NA, -3]
    assert frame["x"].isna().tolist()[:2] == [False, True]
    assert frame["b"].tolist() == [True, pd.NA, False]
    assert frame["l"].tolist() == [[1, 2], None, []]
    assert frame["o"].tolist()[0] == {"k": 1}
    assert frame["none"].tolist() == [None] * 3


def test_polars_keeps_types_and_nulls() -> None:
    frame = result(ROWS).to_polars()
    assert frame.schema["n"] == pl.Int64
    assert frame["n"].to_list() == [2**53 + 1, None, -3]
    assert frame["l"].to_list() == [[1, 2], None, []]
    assert frame.columns == list(ROWS[0])


def test_an_empty_result_keeps_its_columns() -> None:
    empty = result([], ["unit", "sum"])
    assert empty.to_arrow().column_names == ["unit", "sum"]
    assert list(empty.to_pandas().columns) == ["unit", "sum"]
    assert empty.to_polars().columns == ["unit", "sum"]
    assert (len(empty.to_pandas()), empty.to_polars().height, empty.to_arrow().num_rows) == (0, 0, 0)
    assert len(empty.to_networkx()) == 0


def test_numbers_of_two_kinds_are_numbers_and_truth_among_them_is_not() -> None:
    table = result([{"x": 1, "y": 1, "z": 2**70}, {"x": 0.5, "y": True, "z": 1}]).to_arrow()
    assert table["x"].to_pylist() == [1.0, 0.5]
    assert table["y"].to_pylist() == ["1", "true"]
    assert table["z"].to_pylist() == [str(2**70), "1"]


def test_dates_of_sql_stay_dates() -> None:
    day = datetime.date(2020, 3, 10)
    assert result([{"day": day}]).to_arrow()["day"].to_pylist() == [day]


@pytest.mark.parametrize("form", ["arrow", "parquet"])
def test_a_file_holds_what_the_result_holds(form: str, tmp_path: Path) -> None:
    path = tmp_path / f"rows.{form}"
    asked = result(ROWS)
    write_rows(path, asked.columns, asked.rows, form=form)
    if form == "arrow":
        with pa.memory_map(str(path)) as source:
            back = pa.ipc.open_file(source).read_all()
    else:
        back = pq.read_table(path)
    assert back.schema.names == list(ROWS[0])
    assert back.drop_columns(["x"]).to_pylist() == asked.to_arrow().drop_columns(["x"]).to_pylist()
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


def test_a_file_that_cannot_be_written_is_said_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(QueryError, match="writing 3 rows to"):
        write_rows(tmp_path / "none" / "rows.parquet", list(ROWS[0]), ROWS, form="parquet")
    (tmp_path / "folder").mkdir()
    with pytest.raises(QueryError, match="folder"):
        write_rows(tmp_path / "folder", list(ROWS[0]), ROWS, form="arrow")
    assert [each.name for each in tmp_path.iterdir()] == ["folder"]


@pytest.mark.parametrize(("method", "package"), [("to_pandas", "pandas"), ("to_polars", "polars")])
def test_a_package_that_is_missing_is_named_with_its_extra(
    method: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    importing = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name.split(".")[0] == package:
            raise ModuleNotFoundError(name=package)
        return importing(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtraError, match=package) as caught:
        getattr(result(ROWS), method)()
    assert "[frames]" in caught.value.hint


def node(uid: str, **properties: Any) -> dict[str, Any]:
    return {"labels": ["Neuron", "Unit"], "uid": uid, **properties}


def edge(start: str, end: str, kind: str = "CONNECTS", **properties: Any) -> dict[str, Any]:
    return {"type": kind, "start": start, "end": end, **properties}


def test_nodes_and_relationships_become_a_graph_wherever_they_are() -> None:
    rows = [
        {"a": node("n/a:0", bias=0.5), "e": edge("n/a:0", "n/b:1", sum=1.0), "b": node("n/b:1"), "x": 3},
        {"a": None, "e": [edge("n/a:0", "n/b:1", sum=1.0)], "b": {"deep": [node("n/c:2")]}, "x": None},
        {
            "a": None,
            "e": {"nodes": [node("n/b:1"), node("n/c:2")], "relationships": [edge("n/b:1", "n/c:2", "EXCITES")]},
            "b": edge("n/a:0", "n/b:1", "EXCITES", sum=1.0),
            "x": None,
        },
    ]
    graph = result(rows).to_networkx()
    assert set(graph) == {"n/a:0", "n/b:1", "n/c:2"}
    assert graph.nodes["n/a:0"] == {"labels": ["Neuron", "Unit"], "bias": 0.5}
    assert sorted((up, down, data["type"]) for up, down, data in graph.edges(data=True)) == [
        ("n/a:0", "n/b:1", "CONNECTS"),
        ("n/a:0", "n/b:1", "EXCITES"),
        ("n/b:1", "n/c:2", "EXCITES"),
    ]


def test_a_relationship_without_its_ends_is_refused() -> None:
    with pytest.raises(GraphError, match="1 of 1 relationships come without both their ends") as caught:
        result([{"e": {"type": "EXCITES", "start": "n/a:0", "sum": 1.0}}]).to_networkx()
    assert "RETURN a, e, b" in caught.value.hint
