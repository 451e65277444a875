"""SQL over bundles with DuckDB: no server, no load, straight on their Parquet files.

Views, over all bundles that were given:

- ``networks``: network, architecture, source, weights_sha256, bundle_sha256
- ``layers``: network and the columns of ``layers.parquet``
- ``units``: network and the columns of ``units.parquet``
- ``blocks``: network and the columns of ``blocks.parquet``; ``up`` and ``down`` are layers
- ``edges``: network, block, up_layer, down_layer, up, down (uids), up_channel, down_channel and every scalar of an edge
- ``strong``: the edges that excite, inhibit or mix, with ``kind``

Edges are the dense truth of the bundle, not the graph's choice of them. Filters on
up_layer, down_layer and the channels are fast: the files are sorted by block and up.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from circuitgraph.bundle.read import Bundle
from circuitgraph.errors import MissingExtraError, QueryError, QueryLimitError, QueryRefusedError
from circuitgraph.result import Result

if TYPE_CHECKING:
    import duckdb

__all__ = ["MEMORY_LIMIT", "query_sql"]

MEMORY_LIMIT = "2GB"
"""How much memory a statement may take; it never spills to disk."""

_LONGEST_TEXT = 1_000_000
# a common table expression may hold COPY or INSERT, in a statement that counts as a SELECT
_READING_NODES = frozenset({"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE"})
_WRITING_STEPS = re.compile("COPY|INSERT|UPDATE|DELETE|MERGE|CREATE|ALTER|DROP|ATTACH|EXPORT|WRITE")
_LAYERS = "SELECT block, up AS up_layer, down AS down_layer FROM {blocks}"
_EDGES = (
    "SELECT split_part(up_layer, '/', 1) AS network, e.block, {up} AS up, {down} AS down, up_layer, down_layer, "
    "e.up AS up_channel, e.down AS down_channel, e.* EXCLUDE ({left_out}) FROM {edges} AS e "
    f"JOIN ({_LAYERS}) AS b ON e.block = b.block"
)
_STRONG = (
    "SELECT *, CASE WHEN excites THEN 'excites' WHEN inhibits THEN 'inhibits' ELSE 'mixes' END AS kind "
    "FROM edges WHERE excites OR inhibits OR mixes"
)


def query_sql(
    bundles: Sequence[Bundle],
    sql: str,
    parameters: Mapping[str, Any] | None = None,
    *,
    limit: int = 1000,
    timeout_s: float = 60,
) -> Result:
    """Ask bundles in SQL; only reading them is allowed.

    Parameters
    ----------
    bundles
        The views are over all of them.
    sql
        One SELECT, in DuckDB's SQL.
    parameters
        Values of its ``$names``.
    limit
        Most rows to give; `Result.is_cut` says when it bit.
    timeout_s
        How long it may run.

    Raises
    ------
    QueryError
        The text or its parameters are not accepted, or it fails as it runs.
    QueryRefusedError
        It is more than one SELECT, or reaches for another file than the bundles'; nothing of it ran.
    QueryLimitError
        It took more time or memory than allowed.
    MissingExtraError
        DuckDB is not installed.
    """
    try:
        import duckdb
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            "SQL over bundles needs the package 'duckdb', which is not installed.",
            hint="pip install 'feature-circuitgraph[sql]'",
        ) from error
    values = dict(parameters or {})
    with duckdb.connect(":memory:") as connection:
        _make_views(connection, bundles)
        _shut(connection, bundles)
        _check(connection, sql, values)
        began = time.monotonic()
        columns, rows = _run(connection, sql, values, limit=limit, timeout_s=timeout_s)
    notes = _notes(bundles)
    return Result(sql, values, columns, rows[:limit], limit, len(rows) > limit, notes, time.monotonic() - began)


def _make_views(connection: duckdb.DuckDBPyConnection, bundles: Sequence[Bundle]) -> None:
    parts: dict[str, list[str]] = {name: [] for name in ("layers", "units", "blocks", "edges")}
    connection.execute(
        "CREATE TABLE networks (network VARCHAR, architecture VARCHAR, source VARCHAR, weights_sha256 VARCHAR, "
        "bundle_sha256 VARCHAR)"
    )
    for place, bundle in enumerate(bundles):
        info = bundle.info
        connection.execute(
            "INSERT INTO networks VALUES (?, ?, ?, ?, ?)",
            [bundle.network, info.architecture, info.source, info.weights_sha256, bundle.sha256],
        )
        files = {
            "layers": ["layers.parquet"],
            "units": ["units.parquet"],
            "blocks": ["blocks.parquet"],
            "edges": _files(bundle, "edges/"),
            "direction_blocks": _files(bundle, "directions/blocks.parquet"),
            "direction_edges": _files(bundle, "directions/edges/"),
        }
        for name, own in files.items():
            if own:
                paths = [str(bundle.path / file) for file in own]
                connection.read_parquet(paths).create_view(f"{name}_{place}")
        parts["layers"].append(f"SELECT split_part(uid, '/', 1) AS network, * FROM layers_{place}")
        parts["units"].append(f"SELECT split_part(layer, '/', 1) AS network, * FROM units_{place}")
        parts["blocks"].append(f"SELECT split_part(up, '/', 1) AS network, * FROM blocks_{place}")
        if files["edges"]:
            parts["edges"].append(
                _EDGES.format(
                    up="up_layer || ':' || e.up",
                    down="down_layer || ':' || e.down",
                    left_out="block, up, down",
                    edges=f"edges_{place}",
                    blocks=f"blocks_{place}",
                )
            )
        if files["direction_edges"]:
            parts["blocks"].append(f"SELECT split_part(up, '/', 1) AS network, * FROM direction_blocks_{place}")
            parts["edges"].append(
                _EDGES.format(
                    up="e.up_uid::VARCHAR",
                    down="e.down_uid::VARCHAR",
                    left_out="block, up, down, up_uid, down_uid",
                    edges=f"direction_edges_{place}",
                    blocks=f"direction_blocks_{place}",
                )
            )
    for name, selects in parts.items():
        if selects:
            # put together of constants and counted names alone
            connection.execute(f"CREATE VIEW {name} AS " + " UNION ALL BY NAME ".join(selects))
    if parts["edges"]:
        connection.execute(f"CREATE VIEW strong AS {_STRONG}")


def _files(bundle: Bundle, prefix: str) -> list[str]:
    return sorted(name for name in bundle.manifest.files if name.startswith(prefix) and name.endswith(".parquet"))


def _shut(connection: duckdb.DuckDBPyConnection, bundles: Sequence[Bundle]) -> None:
    """Leave the connection nothing but the bundles' tables, and lock that."""
    own = [str(bundle.path / name) for bundle in bundles for name in bundle.manifest.files if name.endswith(".parquet")]
    settings: dict[str, Any] = {
        "allowed_paths": own,
        "python_enable_replacements": False,
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        "memory_limit": MEMORY_LIMIT,
        "temp_directory": "",
        "enable_external_access": False,
        "lock_configuration": True,
    }
    for name, value in settings.items():
        connection.execute(f"SET {name} = ?", [value])


def _check(connection: duckdb.DuckDBPyConnection, sql: str, values: Mapping[str, Any]) -> None:
    import duckdb

    if len(sql) > _LONGEST_TEXT:
        raise QueryRefusedError(
            f"reading the SQL: it has {len(sql):,} characters, the limit is {_LONGEST_TEXT:,}.",
            hint="Give long lists as a parameter: -p units='[...]'.",
        )
    try:
        statements = connection.extract_statements(sql)
    except duckdb.Error as error:
        raise _query_error("reading", error) from error
    if len(statements) != 1:
        raise QueryRefusedError(
            f"reading the SQL: it has {len(statements)} statements, one is wanted.", hint="Ask them one by one."
        )
    # EXPLAIN ANALYZE runs what it explains, whatever that is
    if statements[0].type != duckdb.StatementType.SELECT:
        kind = str(statements[0].type).rpartition(".")[2]
        raise QueryRefusedError(
            f"reading the SQL: it is a statement of the kind {kind}, only SELECT is run.",
            hint="To keep a result: --format csv > FILE",
        )
    missing = sorted(set(statements[0].named_parameters) - set(values))
    extra = sorted(set(values) - set(statements[0].named_parameters))
    if missing or extra:
        said = [f"${name} has no value" for name in missing] + [f"there is no ${name} in it" for name in extra]
        raise QueryError(f"reading the SQL: {'; '.join(said)}.", hint="Give each as -p name=value.")


def _check_plan(connection: duckdb.DuckDBPyConnection, sql: str, values: dict[str, Any]) -> None:
    """Refuse what writes, however it is wrapped: by the parsed text, and by the steps that would run."""
    (parsed,) = connection.execute("SELECT json_serialize_sql($sql)", {"sql": sql}).fetchall()[0]
    nodes = {found for found in _values_of("type", json.loads(parsed)) if found.endswith("_NODE")}
    # the one statement was read already, so that EXPLAIN stands before all of it and nothing runs
    plan = connection.execute(f"EXPLAIN (FORMAT json) {sql}", values).fetchall()
    steps = {name for _, text in plan for name in _values_of("name", json.loads(text))}
    bad = sorted((nodes - _READING_NODES) | {step for step in steps if _WRITING_STEPS.search(step)})
    if bad or not nodes:
        raise QueryRefusedError(
            f"reading the SQL: it does more than read ({', '.join(bad) or 'its text cannot be read'}).",
            hint="Write one SELECT without COPY, INSERT, UPDATE or DELETE in it.",
        )


def _values_of(key: str, tree: Any) -> Iterator[str]:
    """Yield every text under `key`, at any depth."""
    waiting = [tree]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            if isinstance(part.get(key), str):
                yield part[key]
            waiting.extend(part.values())
        elif isinstance(part, list):
            waiting.extend(part)


def _run(
    connection: duckdb.DuckDBPyConnection, sql: str, values: dict[str, Any], *, limit: int, timeout_s: float
) -> tuple[list[str], list[dict[str, Any]]]:
    import duckdb

    timer = threading.Timer(timeout_s, connection.interrupt)
    timer.start()
    try:
        connection.execute("BEGIN TRANSACTION READ ONLY")
        _check_plan(connection, sql, values)
        answer = connection.execute(sql, values)
        columns = [column[0] for column in answer.description]
        rows = answer.fetchmany(limit + 1)
    except duckdb.InterruptException as error:
        raise QueryLimitError(
            f"running the SQL: it took more than {timeout_s:g} s.", hint="Ask for less, or allow more with --timeout."
        ) from error
    except duckdb.OutOfMemoryException as error:
        raise QueryLimitError(
            f"running the SQL: it needs more than {MEMORY_LIMIT} of memory.", hint="Ask for less at once."
        ) from error
    except duckdb.PermissionException as error:
        raise QueryRefusedError(
            f"running the SQL: {_first_line(error)}", hint="It may read the bundles' tables and nothing else."
        ) from error
    except duckdb.Error as error:
        raise _query_error("running", error) from error
    finally:
        timer.cancel()
    return columns, [dict(zip(columns, row, strict=True)) for row in rows]


def _query_error(act: str, error: duckdb.Error) -> QueryError:
    return QueryError(
        f"{act} the SQL: {_first_line(error)}",
        hint="The views are networks, layers, units, blocks, edges and strong; DESCRIBE edges lists columns.",
    )


def _first_line(error: Exception) -> str:
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)


def _notes(bundles: Sequence[Bundle]) -> list[str]:
    """Say what lies under the numbers."""
    return [
        f"{bundle.network}: {', '.join(bundle.info.approximations)}" for bundle in bundles if bundle.info.approximations
    ]
