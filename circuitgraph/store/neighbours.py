"""The strongest kernels into and out of one unit of the graph."""

from __future__ import annotations

from circuitgraph.bundle.describe import Description
from circuitgraph.errors import UnknownUnitError
from circuitgraph.store.neo4j import Store

__all__ = ["describe_stored_unit"]

_COLUMNS = ("unit", "sum", "l1", "l2", "top", "bottom", "left", "right", "centre", "share_in", "strong")
_STRONG = ("excites", "inhibits", "mixes")
_RETURN = (
    "RETURN n.uid AS unit, "
    + ", ".join(f"e.{name} AS {name}" for name in _COLUMNS[1:-1])
    + ", "
    + ", ".join(f"EXISTS {{ (a)-[:{name.upper()}]->(b) }} AS {name}" for name in _STRONG)
    + " ORDER BY l2 DESC, unit LIMIT $limit"
)
_INTO = f"CYPHER 5 MATCH (b:Unit {{uid: $unit}})<-[e:CONNECTS]-(a:Unit:Neuron) WITH a, b, e, a AS n {_RETURN}"
_OUT = f"CYPHER 5 MATCH (a:Unit {{uid: $unit}})-[e:CONNECTS]->(b:Unit:Neuron) WITH a, b, e, b AS n {_RETURN}"
_COUNT = (
    "CYPHER 5 MATCH (u:Unit {uid: $unit}) "
    "RETURN COUNT { (u)<-[:CONNECTS]-(:Neuron) } AS into, COUNT { (u)-[:CONNECTS]->(:Neuron) } AS out"
)


def describe_stored_unit(store: Store, unit: str, *, limit: int = 20) -> list[Description]:
    """Describe a unit's strongest kernels from and to neurons, by l2, as `describe_unit` does from a bundle.

    Parameters
    ----------
    unit
        Its uid.

    Raises
    ------
    UnknownUnitError
        The graph has no such unit.
    """
    counts = store.run(_COUNT, unit=unit)
    if not counts:
        raise UnknownUnitError(
            f"unit {unit!r} is not in the graph.", hint="`circuitgraph load BUNDLE` loads its network."
        )
    tables = []
    for what, title, text, count in (
        ("kernels_in", f"strongest kernels into {unit}", _INTO, counts[0]["into"]),
        ("kernels_out", f"strongest kernels out of {unit}", _OUT, counts[0]["out"]),
    ):
        result = store.query(text, {"unit": unit, "limit": limit}, limit=limit)
        rows = [
            {
                **{name: row[name] for name in _COLUMNS[:-1]},
                "strong": [name for name in _STRONG if row[name]],
            }
            for row in result.rows
        ]
        notes = [f"{title}: {len(rows)} of {count:,} shown; more with --limit"] if count > len(rows) else []
        notes += [f"{title}: {note}" for note in result.notes if count]
        tables.append(Description(what, title, _COLUMNS, rows, notes))
    return tables
