"""Whether a database holds what bundles and a catalogue say, and nothing else.

Networks are compared in `circuitgraph.store.compare`; here the catalogue is: which claims, features, families,
circuits, releases and attributions there are, and, for up to some thousand claims or with `deep`, what each says, what
it is bound to, and which units follow from it for which family.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from circuitgraph.bundle import Bundle
from circuitgraph.catalogue.store_check_claims import compare_claims
from circuitgraph.catalogue.store_check_records import compare_records
from circuitgraph.errors import CircuitGraphError, LoadError
from circuitgraph.progress import SILENT, Progress
from circuitgraph.store.compare import UNSEEN, Difference, Findings, compare_network, compare_totals, node_count
from circuitgraph.store.projection import Projection

if TYPE_CHECKING:
    from circuitgraph.catalogue.local import Catalogue
    from circuitgraph.store.neo4j import Store

__all__ = ["MANY_CLAIMS", "StoreCheck", "check_store", "projections_of"]

MANY_CLAIMS = 20_000
"""Up to this many claims of a folder each is compared with all it says; above, only with `deep`."""
_CATALOGUE = ("Claim", "Record", "Feature", "Circuit", "Release", "Evidence", "Contributor")


@dataclass(slots=True)
class StoreCheck:
    """What a check found.

    Attributes
    ----------
    networks
        Those that were compared.
    differences
        The first of them.
    difference_count
        How many there are.
    differing
        Networks that differ.
    catalogue_differs
        Whether something else does: what the catalogue brought, or what nothing here brings.
    edge_count, claim_count
        How many edges between units and how many claims the database should hold.
    notes
        What was not compared.
    """

    is_deep: bool
    networks: tuple[str, ...] = ()
    differences: Sequence[Difference] = ()
    difference_count: int = 0
    differing: tuple[str, ...] = ()
    catalogue_differs: bool = False
    edge_count: int = 0
    claim_count: int = 0
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def is_equal(self) -> bool:
        """Whether the database is what it should be."""
        return not self.difference_count

    @property
    def statement(self) -> str:
        """The whole in a sentence."""
        held = f"{len(self.networks)} networks with {self.edge_count:,} edges and {self.claim_count:,} claims"
        if self.is_equal:
            return f"the database holds what the bundles and the catalogue say: {held}."
        return (
            f"the database differs from the bundles and the catalogue ({held}): {self.difference_count:,} differences."
        )

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {
            "is_equal": self.is_equal,
            "is_deep": self.is_deep,
            "networks": list(self.networks),
            "edge_count": self.edge_count,
            "claim_count": self.claim_count,
            "difference_count": self.difference_count,
            "differing": list(self.differing),
            "differences": [
                {
                    "network": each.network,
                    "place": each.place,
                    "what": each.what,
                    "expected": each.expected,
                    "found": each.found,
                }
                for each in self.differences
            ],
            "notes": list(self.notes),
        }


def check_store(
    store: Store,
    bundles: Iterable[Bundle | str | Path] = (),
    *,
    catalogue: Catalogue | None = None,
    deep: bool = False,
    most: int = 20,
    progress: Progress = SILENT,
) -> StoreCheck:
    """Compare all that a database holds with bundles and a catalogue.

    Parameters
    ----------
    bundles
        Networks that are loaded but not among these are compared with the bundles that they were loaded from.
    catalogue
        None where the database should hold nothing of a catalogue.
    deep
        Compare every edge and every claim by itself; takes minutes for millions of edges.
    most
        How many differences to name.

    Raises
    ------
    LoadError
        The bundle of a network that is loaded is not where it was.
    StoreUnavailableError
        The server was lost.
    """
    began = time.monotonic()
    findings = Findings(most)
    projections = projections_of(store, bundles)
    check = StoreCheck(deep)
    if store.is_new:
        for projection in projections:
            findings.add(projection.bundle.network, projection.bundle.network, "network in the database", 1, 0)
    else:
        present = {meta["network"] for meta in store.networks()}
        for projection in projections:
            network = projection.bundle.network
            if network not in present:
                findings.add(network, network, "network in the database", "one", "none")
            else:
                compare_network(store, projection, findings, deep=deep, progress=progress)
        compare_totals(store, projections, findings)
        if catalogue is None:
            for label in _CATALOGUE:
                if count := node_count(store, label):
                    findings.add("", f":{label}", "nodes of a catalogue, though none is given", 0, count)
        else:
            many = compare_records(store, catalogue, findings, check.notes)
            everything = deep or many <= MANY_CLAIMS
            compare_claims(store, catalogue, projections, findings, everything=everything, progress=progress)
            if not everything:
                check.notes.append(
                    f"of {many:,} claims the ids were compared; what each says and is bound to, --deep sees"
                )
            check.claim_count = many
    if not deep:
        check.notes.insert(0, UNSEEN)
    check.networks = tuple(projection.bundle.network for projection in projections)
    check.edge_count = sum(projection.total_count for projection in projections)
    check.differences, check.difference_count = tuple(findings.first), findings.count
    check.differing = tuple(sorted(network for network in findings.counts if network))
    check.catalogue_differs = "" in findings.counts
    check.seconds = time.monotonic() - began
    return check


def projections_of(
    store: Store, bundles: Iterable[Bundle | str | Path], *, edges: str | None = None
) -> list[Projection]:
    """Return what the database should hold: of these bundles, and of those that the other networks came from.

    Parameters
    ----------
    edges
        Which edges of the given bundles; None for what the database says of a network, "auto" where it is not loaded.

    Raises
    ------
    LoadError
        A bundle that a network was loaded from is not where it was, or two of those given have one network id.
    """
    opened = [each if isinstance(each, Bundle) else Bundle.open(each) for each in bundles]
    given = {bundle.network: bundle for bundle in opened}
    if len(given) != len(opened):
        raise LoadError("two of the bundles have the same network id.", hint="Give one of them.")
    metas = {meta["network"]: meta for meta in store.networks()}
    projections = []
    for network in sorted({*given, *metas}):
        rule = str(metas.get(network, {}).get("edges_rule") or "auto")
        if network in given:
            projections.append(_projection(given[network], edges or rule))
            continue
        path = metas[network].get("bundle_path") or ""
        try:
            projections.append(_projection(Bundle.open(path), rule))
        except CircuitGraphError as error:
            raise LoadError(
                f"{network} is in the database, but its bundle cannot be read at {path or 'any path'}.",
                hint=f"Name the bundle's folder, or take the network out: circuitgraph networks remove {network}",
            ) from error
    return projections


def _projection(bundle: Bundle, rule: str) -> Projection:
    try:
        return Projection(bundle, rule)
    except CircuitGraphError:
        # what the database says of it is damaged; the comparison of `Meta` tells
        return Projection(bundle, "auto")
