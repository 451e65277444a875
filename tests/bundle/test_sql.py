"""SQL over bundles counts what numpy counts, reaches nothing else, and stops where it was told to."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner

from circuitgraph.bundle import add_directions
from circuitgraph.bundle.sql import query_sql
from circuitgraph.cli.main import cli
from circuitgraph.errors import QueryError, QueryLimitError
from circuitgraph.testing.bundles import write_synthetic_bundle


@pytest.fixture(scope="module")
def bundles(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sql it's quoted")
    first = write_synthetic_bundle(folder / "a.circuit", network="a", with_every_form=True)
    add_directions(first, "layer1", np.random.default_rng(0).normal(size=(2, 16)), names=["car", "dog"])
    second = write_synthetic_bundle(folder / "b.circuit", network="b", seed=1, unit_counts=(3, 5, 4))
    with type(first).open(folder / "a.circuit") as again:
        yield [again, second]


def test_counts_and_sums_are_those_of_the_kernels(bundles):
    rows = query_sql(
        bundles,
        "SELECT network, up_layer, down_layer, count(*) AS n, sum(sum) AS total, sum(l1) AS l1 FROM edges "
        "WHERE up NOT LIKE '%@%' AND down NOT LIKE '%@%' GROUP BY ALL",
    )
    found = {(row["up_layer"], row["down_layer"]): row for row in rows}
    wanted = [(bundle, pair) for bundle in bundles for pair in bundle.pairs]
    assert set(found) == {pair for _, pair in wanted}
    for bundle, (up, down) in wanted:
        kernels = np.asarray(bundle.block(up, down).kernels, dtype=np.float64)
        row = found[up, down]
        parts = [part for part in bundle.blocks if (part.up, part.down) == (up, down)]
        assert row["network"] == bundle.network
        assert row["n"] == sum(part.edge_count for part in parts)
        np.testing.assert_allclose([row["total"], row["l1"]], [kernels.sum(), np.abs(kernels).sum()], rtol=1e-5)


def test_an_edge_is_found_by_the_uids_of_its_units(bundles):
    row = query_sql(
        bundles, "SELECT sum FROM edges WHERE up = $up AND down = $down", {"up": "b/layer1:2", "down": "b/layer2:3"}
    )
    wanted = bundles[1].block("layer1", "layer2").kernels[3, 2].sum()
    assert row.value() == pytest.approx(float(wanted), rel=1e-5)


def test_edges_of_directions_carry_their_names(bundles):
    rows = query_sql(bundles, "SELECT DISTINCT up FROM edges WHERE up LIKE '%@%' ORDER BY up")
    assert rows.column("up") == ["a/layer1@car", "a/layer1@dog"]
    units = query_sql(bundles, "SELECT network, kind, count(*) AS n FROM units GROUP BY ALL ORDER BY ALL")
    assert [tuple(row.values()) for row in units] == [
        ("a", "direction", 2),
        ("a", "neuron", 39),
        ("b", "neuron", 12),
    ]


def test_strong_edges_are_those_that_the_bundle_marks(bundles):
    kinds = query_sql(bundles, "SELECT kind, count(*) AS n FROM strong GROUP BY kind")
    flags = query_sql(
        bundles,
        "SELECT count(*) FILTER (excites) AS excites, count(*) FILTER (inhibits) AS inhibits, "
        "count(*) FILTER (mixes AND NOT excites AND NOT inhibits) AS mixes FROM edges",
    )[0]
    assert {row["kind"]: row["n"] for row in kinds} == {kind: n for kind, n in flags.items() if n}


def test_what_is_cut_says_so(bundles):
    cut = query_sql(bundles, "SELECT up FROM edges", limit=10)
    assert (len(cut), cut.is_cut) == (10, True)
    whole = query_sql(bundles, "SELECT * FROM networks", limit=2)
    assert (len(whole), whole.is_cut) == (2, False)


REFUSED = [
    "COPY (SELECT 1) TO 'out.csv'",
    "EXPLAIN ANALYZE COPY (SELECT 1) TO 'out.csv'",
    "SELECT 1; SELECT 2",
    "",
    "SET threads = 1",
    "RESET enable_external_access",
    "INSTALL httpfs",
    "LOAD httpfs",
    "ATTACH 'out.db'",
    "CREATE TABLE t AS SELECT 1",
    "CREATE MACRO f(x) AS x",
    "DROP VIEW edges",
    "INSERT INTO networks SELECT * FROM networks",
    "UPDATE networks SET network = 'x'",
    "DELETE FROM networks",
    "PRAGMA database_list",
    "CALL duckdb_settings()",
    "EXPORT DATABASE 'out'",
    "USE memory",
    "CHECKPOINT",
    "PREPARE q AS SELECT 1",
    "SELECT * FROM read_text('/etc/hostname')",
    "SELECT * FROM read_csv('/etc/passwd')",
    "SELECT * FROM read_blob('../../pyproject.toml')",
    "SELECT * FROM glob('/etc/*')",
    "SELECT * FROM 'https://127.0.0.1/x.parquet'",
    "SELECT * FROM read_parquet('http://127.0.0.1/x.parquet')",
    "SELECT * FROM '/etc/passwd'",
    "SELECT * FROM bundles",
    "SELECT * FROM query('COPY (SELECT 1) TO ''out.csv''')",
    "WITH t AS (COPY (SELECT 1) TO 'out.csv') SELECT * FROM t",
    "SELECT * FROM (WITH t AS (COPY (SELECT 1) TO 'out.csv') SELECT * FROM t)",
    "SELECT * FROM query('WITH t AS (COPY (SELECT 1) TO ''out.csv'') SELECT * FROM t')",
    "WITH t AS (INSERT INTO networks SELECT * FROM networks RETURNING *) SELECT * FROM t",
    "SELECT nosuch FROM edges",
    "SELECT * FROM edges WHERE up = $up",
    "/* SELECT */ DROP VIEW edges",
    "SELECT 1 /* ; */; DROP VIEW edges",
    "SELECT " + "(" * 5000 + "1" + ")" * 5000,
    "SELECT '" + "x" * 1_000_001 + "'",
]


@pytest.mark.parametrize("sql", REFUSED, ids=lambda sql: sql[:50] or "nothing")
def test_what_does_more_than_read_the_bundles_is_refused(sql, bundles, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = {path: path.stat().st_mtime_ns for bundle in bundles for path in bundle.path.rglob("*")}
    with pytest.raises(QueryError) as caught:
        query_sql(bundles, sql)
    assert caught.value.hint
    assert {path: path.stat().st_mtime_ns for bundle in bundles for path in bundle.path.rglob("*")} == before
    assert not list(tmp_path.iterdir())


def test_a_file_of_the_bundle_cannot_be_written(bundles):
    target = bundles[0].path / "units.parquet"
    before = target.read_bytes()
    copy = "COPY (SELECT 1 AS a) TO '{}'".format(str(target).replace("'", "''"))
    quoted = copy.replace("'", "''")
    for sql in (
        copy,
        f"EXPLAIN ANALYZE {copy}",
        f"WITH t AS ({copy}) SELECT * FROM t",
        f"WITH t AS ({copy}), u AS (SELECT 1) SELECT * FROM u",
        f"SELECT * FROM edges WHERE block IN (WITH t AS ({copy}) SELECT 1)",
        f"SELECT * FROM query('WITH t AS ({quoted}) SELECT * FROM t')",
        f"SELECT 1 UNION ALL (WITH t AS ({copy}) SELECT 1)",
        f"WITH RECURSIVE t AS (SELECT 1 AS x UNION ALL (WITH u AS ({copy}) SELECT x + 1 FROM t WHERE x < 2)) FROM t",
    ):
        with pytest.raises(QueryError):
            query_sql(bundles, sql)
    assert target.read_bytes() == before


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT count(*) FROM range(100000000000) a(x), range(1000) b(y) WHERE x * y = -1",
        "WITH RECURSIVE t AS (SELECT 1 AS x UNION ALL SELECT x + 1 FROM t) SELECT count(*) FROM t",
        "SELECT list(range) FROM range(10000000000)",
    ],
)
def test_time_and_memory_end_a_statement_and_the_next_one_works(sql, bundles):
    with pytest.raises(QueryLimitError):
        query_sql(bundles, sql, timeout_s=0.5)
    assert query_sql(bundles, "SELECT count(*) FROM networks").value() == 2


def test_the_command_prints_rows_and_tells_what_was_cut(bundles):
    paths = [str(bundle.path) for bundle in bundles]
    arguments = ["sql", "SELECT uid FROM units WHERE network = $network", *paths, "-p", "network=b", "--json"]
    answer = CliRunner().invoke(cli, [*arguments, "--limit", "3"])
    assert answer.exit_code == 0
    assert [row["uid"] for row in json.loads(answer.stdout)["rows"]] == ["b/layer0:0", "b/layer0:1", "b/layer0:2"]
    assert "cut at 3 rows" in answer.stderr
