"""Putting a damaged network right: all that is left of it goes, and it is loaded again from its bundle.

The network's `Meta` stays meanwhile and says where its bundle is, so that a repair that was killed is known for one,
and the next load or repair goes on with it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from circuitgraph.errors import LoadError, NetworkConflictError
from circuitgraph.progress import SILENT, Progress
from circuitgraph.store.append import APPENDING, remove_network
from circuitgraph.store.load import load_bundles
from circuitgraph.store.lock import one_at_a_time
from circuitgraph.store.projection import Projection
from circuitgraph.store.schema import create_schema

if TYPE_CHECKING:
    from circuitgraph.store.neo4j import Store

__all__ = ["drop_marks", "drop_unlabelled", "reload_network", "take_network_out"]

_STRAYS = (
    "MATCH (n:Unit|Layer|Family) WHERE n.uid STARTS WITH $beginning",
    # what has lost its label
    "MATCH (n) WHERE n.uid STARTS WITH $beginning AND NOT n:Unit AND NOT n:Layer AND NOT n:Family",
)
_DELETE = "WITH n LIMIT 1000 DETACH DELETE n RETURN count(*) AS n"


def reload_network(
    store: Store, projection: Projection, *, attributions_come_back: bool = False, progress: Progress = SILENT
) -> None:
    """Take out what is there of a network, and load it again from its bundle; saved motifs of the same bundle stay.

    Parameters
    ----------
    attributions_come_back
        Whether the caller brings its attributions back from a catalogue; without, a network that has some is refused.

    Raises
    ------
    NetworkConflictError
        The database holds other weights under the network's id.
    LoadError
        It has attributions, which no bundle brings back, or another load is under way.
    """
    bundle = projection.bundle
    network = bundle.network
    with one_at_a_time(store, f"repairing {network}"):
        _check_weights(store, projection)
        count = store.run(
            "CYPHER 5 MATCH (u:Unit {network: $network})-[r:ATTRIBUTED]-() RETURN count(DISTINCT r) AS n",
            network=network,
        )[0]["n"]
        if count and not attributions_come_back:
            raise LoadError(
                f"repairing {network}: {count:,} attributions at its units would go, which no bundle brings back.",
                hint="Name the catalogue that has their tables: --catalogue DIR",
            )
        create_schema(store)
        _set_meta(store, projection, "removal")
        _remove_strays(store, network)
        remove_network(store, network, motifs_of=bundle.sha256, keep_meta=True, progress=progress)
        _set_meta(store, projection, APPENDING)
    load_bundles(store, [bundle], edges=str(projection.rule), replace=True, progress=progress)


def _check_weights(store: Store, projection: Projection) -> None:
    ours, network = projection.bundle.info.weights_sha256, projection.bundle.network
    text = "CYPHER 5 MATCH (n) WHERE n:Meta AND n.network = $network OR n:Network AND n.uid = $network RETURN n"
    found = {dict(row["n"]).get("weights_sha256") for row in store.run(text, network=network)}
    if found and ours not in found:
        raise NetworkConflictError(
            f"repairing {network}: other weights are there under this id "
            f"({str(min(map(str, found)))[:12]}, the bundle has {ours[:12]}).",
            hint=f"Replace them with: circuitgraph load {projection.bundle.path} --replace",
        )


def _set_meta(store: Store, projection: Projection, loading: str) -> None:
    text = "CYPHER 5 MERGE (m:Meta {uid: $meta.uid}) SET m = $meta"
    store.run(text, write=True, meta=projection.meta(loading=loading))


def _remove_strays(store: Store, network: str) -> None:
    """Remove nodes that are the network's by their uid, whatever else is said of them."""
    for match in _STRAYS:
        while store.run(f"CYPHER 5 {match} {_DELETE}", write=True, beginning=f"{network}/")[0]["n"]:
            pass


def take_network_out(store: Store, network: str, *, progress: Progress = SILENT) -> None:
    """Take a network out of the database with its motifs; claims about it stay.

    Raises
    ------
    LoadError
        Another load is under way.
    """
    with one_at_a_time(store, f"removing {network}"):
        remove_network(store, network, progress=progress)


def drop_marks(store: Store) -> None:
    """Remove the marks of batches that are left of networks that are whole."""
    text = (
        "CYPHER 5 MATCH (m:Meta {is_complete: true}) MATCH (b:LoadBatch) WHERE b.uid STARTS WITH m.network + '|' "
        "WITH b LIMIT 5000 DELETE b RETURN count(*) AS n"
    )
    with one_at_a_time(store, "repairing"):
        while store.run(text, write=True)[0]["n"]:
            pass


def drop_unlabelled(store: Store, uids: Iterable[str]) -> None:
    """Remove nodes that have lost their label, of these uids."""
    text = "CYPHER 5 MATCH (n) WHERE size(labels(n)) = 0 AND n.uid IN $uids DETACH DELETE n"
    store.run(text, write=True, uids=list(uids))
