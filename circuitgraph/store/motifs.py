"""Saved motifs: what a search found, as nodes bound to their units and tied to the bundle they were found in.

A `Motif` node carries the uids of its units besides its `BINDS`. So it outlives the removal of a network that is
loaded again from the same bundle, by whichever way and however often that is interrupted: once all has arrived, it is
bound again. Where another bundle comes under the network's id, its motifs go, since their numbers are of other weights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import neo4j

from circuitgraph.errors import MotifError, UnknownUnitError
from circuitgraph.store.claim_binding import bind_to
from circuitgraph.store.lock import one_at_a_time
from circuitgraph.store.schema import NODES

if TYPE_CHECKING:
    from circuitgraph.store.neo4j import Store

__all__ = ["bind_motifs", "count_motifs", "drop_motifs", "list_motifs", "page_motifs", "save_motifs"]

_WAIT_S = 60
_BIND = (
    "UNWIND range(0, size(m.units) - 1) AS place MATCH (u:Unit {uid: m.units[place]}) "
    "CREATE (m)-[:BINDS {role: m.roles[place], position: m.positions[place]}]->(u) RETURN count(DISTINCT m) AS n"
)


def save_motifs(
    store: Store, network: str, motifs: Sequence[Mapping[str, Any]], *, weights_sha256: str = "", act: str
) -> int:
    """Write motifs of one network in one transaction, and return how many.

    Parameters
    ----------
    motifs
        Properties of the `Motif` nodes (`circuitgraph.store.schema`); the hashes are filled in here.
    weights_sha256
        Hash of the weights that were searched; not compared where it is empty.
    act
        What is being done, for error messages.

    Raises
    ------
    UnknownUnitError
        A unit is not in the store; nothing was written.
    MotifError
        The store holds other weights under the network's id, or not all of them yet; nothing was written.
    """
    from circuitgraph.store.neo4j import foreign_errors

    rows = list({motif["uid"]: dict(motif) for motif in motifs}.values())
    units = sorted({unit for row in rows for unit in row["units"]})

    def work(transaction: neo4j.ManagedTransaction) -> None:
        metas = transaction.run("CYPHER 5 MATCH (m:Meta {network: $network}) RETURN m", network=network)
        loaded = next((dict(record["m"]) for record in metas), None)
        _check_units(transaction, units, network, act, is_loaded=loaded is not None)
        hashes = _hashes(loaded or {}, network, weights_sha256, act)
        transaction.run(
            "CYPHER 5 UNWIND $rows AS row MERGE (m:Motif {uid: row.uid}) SET m = row, m += $hashes "
            "WITH m OPTIONAL MATCH (m)-[old:BINDS]->() DELETE old",
            rows=rows,
            hashes=hashes,
        ).consume()
        uids = [row["uid"] for row in rows]
        transaction.run(f"CYPHER 5 MATCH (m:Motif) WHERE m.uid IN $uids {_BIND}", uids=uids).consume()

    with one_at_a_time(store, act, wait_s=_WAIT_S), foreign_errors(act, store), store.session(write=True) as session:
        session.execute_write(work)
        bind_to(store, "Motif", [row["uid"] for row in rows])
    return len(rows)


def _check_units(
    transaction: neo4j.ManagedTransaction, units: Sequence[str], network: str, act: str, *, is_loaded: bool
) -> None:
    records = transaction.run(
        "CYPHER 5 UNWIND $units AS uid OPTIONAL MATCH (u:Unit {uid: uid}) WITH uid, u WHERE u IS NULL RETURN uid",
        units=units,
    )
    missing = [record["uid"] for record in records]
    if missing:
        few = ", ".join(missing[:3]) + (", ..." if len(missing) > 3 else "")
        where = f"the store, which has {network} with other units" if is_loaded else f"the store, nor is {network}"
        raise UnknownUnitError(
            f"{act}: {len(missing):,} of {len(units):,} units are not in {where}: {few}; nothing was written.",
            hint="Load the bundle that was searched: `circuitgraph load BUNDLE`.",
        )


def _hashes(loaded: Mapping[str, Any], network: str, searched: str, act: str) -> dict[str, Any]:
    if not loaded.get("is_complete"):
        raise MotifError(
            f"{act}: {network} is not wholly loaded; nothing was written.",
            hint=f"Run `circuitgraph load {loaded.get('bundle_path', 'BUNDLE')}` again.",
        )
    if searched and searched != loaded["weights_sha256"]:
        raise MotifError(
            f"{act}: weights {searched[:12]} were searched, the store holds {loaded['weights_sha256'][:12]} under "
            f"{network}; nothing was written.",
            hint="Load the bundle that was searched with --replace, or import it under another --network.",
        )
    return {name: loaded[name] for name in ("weights_sha256", "bundle_sha256")}


def list_motifs(store: Store, network: str | None = None) -> list[dict[str, Any]]:
    """Return the properties of all saved motifs, or of those of one network; None where one is absent."""
    if store.is_new:
        return []
    text = (
        "CYPHER 5 MATCH (m:Motif) WHERE $network IS NULL OR m.network = $network "
        "RETURN m ORDER BY m.network, m.motif, m.q, m.uid"
    )
    names = NODES["Motif"].properties
    return [{name: dict(row["m"]).get(name) for name in names} for row in store.run(text, network=network)]


def page_motifs(
    store: Store,
    network: str | None = None,
    *,
    motif: str | None = None,
    uid: str | None = None,
    skip: int = 0,
    limit: int = 100,
) -> tuple[list[dict[str, Any]], int]:
    """Return some saved motifs, those of smallest q first, as `list_motifs` gives them, and how many there are.

    Parameters
    ----------
    motif, uid
        Only those of this motif; only that one.
    skip, limit
        Which of them; no others leave the store.
    """
    if store.is_new:
        return [], 0
    where = (
        "MATCH (m:Motif) WHERE ($network IS NULL OR m.network = $network) "
        "AND ($motif IS NULL OR m.motif = $motif) AND ($uid IS NULL OR m.uid = $uid) "
    )
    asked: dict[str, Any] = {"network": network, "motif": motif, "uid": uid}
    count = store.run(f"CYPHER 5 {where}RETURN count(m) AS n", **asked)[0]["n"]
    text = f"CYPHER 5 {where}RETURN m ORDER BY m.network, m.motif, m.q, m.uid SKIP $skip LIMIT $limit"
    names = NODES["Motif"].properties
    rows = store.run(text, **asked, skip=skip, limit=limit)
    return [{name: dict(row["m"]).get(name) for name in names} for row in rows], int(count)


def count_motifs(store: Store, network: str, *, bundle_sha256: str) -> tuple[int, int]:
    """Return how many saved motifs of a network are of this bundle, and how many of another."""
    if store.is_new:
        return 0, 0
    row = store.run(
        "CYPHER 5 MATCH (m:Motif {network: $network}) WITH m.bundle_sha256 = $sha AS is_own "
        "RETURN sum(CASE WHEN is_own THEN 1 ELSE 0 END) AS own, sum(CASE WHEN is_own THEN 0 ELSE 1 END) AS other",
        network=network,
        sha=bundle_sha256,
    )[0]
    return row["own"], row["other"]


def drop_motifs(store: Store, network: str, *, but_of: str = "") -> None:
    """Take a network's motifs away, except those found in the bundle of the hash `but_of`."""
    text = (
        "CYPHER 5 MATCH (m:Motif {network: $network}) WHERE m.bundle_sha256 IS NULL OR m.bundle_sha256 <> $but_of "
        "WITH m LIMIT 5000 DETACH DELETE m RETURN count(*) AS n"
    )
    while store.run(text, write=True, network=network, but_of=but_of)[0]["n"]:
        pass


def bind_motifs(store: Store, network: str) -> int:
    """Bind the motifs of a network that lost their units to them again; return how many there were."""
    text = f"CYPHER 5 MATCH (m:Motif {{network: $network}}) WHERE NOT (m)-[:BINDS]->() WITH m {_BIND}"
    return int(store.run(text, write=True, network=network)[0]["n"])
