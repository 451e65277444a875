"""Whether a bundle still holds the circuit that a record says: which of its edges are as they were."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from circuitgraph.bundle import Bundle
from circuitgraph.catalogue.circuit_kernels import KernelReader, kernel_sha256, kernel_sums
from circuitgraph.catalogue.circuits import CircuitRecord, RecordedEdge
from circuitgraph.draw import Picture, draw_circuit
from circuitgraph.errors import CatalogueError
from circuitgraph.ids import UnitId

__all__ = ["CircuitCheck", "EdgeCheck", "NetworkCheck", "check_circuit", "draw_record"]

EdgeState = Literal["unchanged", "changed", "gone", "not checked"]


@dataclass(frozen=True, slots=True)
class NetworkCheck:
    """One network of a circuit: the hash of its weights in the record and in the bundle, None without a bundle."""

    network: str
    recorded: str
    found: str | None

    @property
    def state(self) -> Literal["same", "other", "no bundle"]:
        """Whether the weights are those of the record."""
        return "no bundle" if self.found is None else "same" if self.found == self.recorded else "other"


@dataclass(frozen=True, slots=True)
class EdgeCheck:
    """One edge of a circuit.

    Attributes
    ----------
    state
        "unchanged": the very same weights. "changed": others. "gone": a unit or all weights between the two layers are
        missing, or every weight is zero and was not. "not checked": no bundle of its network was given.
    sum, l1
        As they are now, None where there is no kernel; those of the record are in `edge`.
    reason
        Why, in words, where it is not unchanged.
    """

    edge: RecordedEdge
    state: EdgeState
    sum: float | None = None
    l1: float | None = None
    reason: str = ""

    def __str__(self) -> str:
        return f"{self.edge.up} -> {self.edge.down}: {self.reason or self.state}"


@dataclass(frozen=True, slots=True)
class CircuitCheck:
    """What is left of a circuit.

    Attributes
    ----------
    networks, edges
        What was found of each.
    missing
        Units that their bundle does not have, with the reason.
    """

    uid: str
    networks: tuple[NetworkCheck, ...]
    missing: tuple[str, ...]
    edges: tuple[EdgeCheck, ...]

    def count(self, state: EdgeState) -> int:
        """Return how many edges are in a state."""
        return sum(each.state == state for each in self.edges)

    @property
    def is_unchanged(self) -> bool:
        """Whether every network, unit and edge was found as the record has it."""
        return all(each.state == "same" for each in self.networks) and self.are_edges_unchanged

    @property
    def are_edges_unchanged(self) -> bool:
        """Whether every unit and edge was found as the record has it, whatever else in the network has changed."""
        return not self.missing and all(each.state == "unchanged" for each in self.edges)

    @property
    def differences(self) -> list[str]:
        """Everything that was not found as recorded, a line each: networks, then units, then edges."""
        lines = []
        for each in self.networks:
            if each.found is None:
                lines.append(f"{each.network}: no bundle of it was given")
            elif each.state == "other":
                lines.append(f"{each.network}: the weights were {each.recorded[:12]}, they are {each.found[:12]}")
        return [*lines, *self.missing, *(str(each) for each in self.edges if each.state != "unchanged")]

    @property
    def statement(self) -> str:
        """One sentence: how many edges are as they were, of how many."""
        counts = [f"{self.count('unchanged')} of {len(self.edges)} edges unchanged"]
        states: tuple[EdgeState, ...] = ("changed", "gone", "not checked")
        counts += [f"{self.count(state)} {state}" for state in states if self.count(state)]
        if self.missing:
            counts.append(f"{len(self.missing)} units not found")
        other = [each.network for each in self.networks if each.state == "other"]
        absent = [each.network for each in self.networks if each.state == "no bundle"]
        if other:
            counts.append(f"other weights in {', '.join(other)}")
        if absent:
            counts.append(f"no bundle of {', '.join(absent)}")
        same = not other and not absent and not self.are_edges_unchanged
        said = f"{self.uid}: {', '.join(counts)}"
        return f"{said}; the imported weights are the same, so the bundle was made in another way" if same else said


def check_circuit(record: CircuitRecord, bundles: Bundle | Sequence[Bundle]) -> CircuitCheck:
    """Compare a circuit with bundles, kernel by kernel.

    Parameters
    ----------
    bundles
        Of the circuit's networks; others are left aside.
    """
    given = [bundles] if isinstance(bundles, Bundle) else list(bundles)
    readers = {bundle.network: KernelReader(bundle) for bundle in given if bundle.network in record.networks}
    networks = tuple(
        NetworkCheck(name, digest, readers[name].bundle.info.weights_sha256 if name in readers else None)
        for name, digest in record.networks.items()
    )
    missing = []
    for unit in record.units:
        reader = readers.get(UnitId.parse(unit.uid).network)
        try:
            if reader is not None:
                reader.bundle.unit(unit.uid)
        except (LookupError, ValueError) as error:
            missing.append(str(error).splitlines()[0].rstrip("."))
    edges = tuple(_check_edge(edge, readers.get(UnitId.parse(edge.up).network)) for edge in record.edges)
    return CircuitCheck(record.uid, networks, tuple(missing), edges)


def _check_edge(edge: RecordedEdge, reader: KernelReader | None) -> EdgeCheck:
    if reader is None:
        return EdgeCheck(edge, "not checked", reason="no bundle of its network was given")
    try:
        own = reader.edge(edge.up, edge.down)
    except (LookupError, ValueError) as error:
        return EdgeCheck(edge, "gone", reason=str(error).splitlines()[0].rstrip("."))
    total, l1 = kernel_sums(own.kernel)
    if l1 == 0 and edge.l1 > 0:
        return EdgeCheck(edge, "gone", total, l1, f"every weight is 0, the l1 was {edge.l1:.6g}")
    shape = (own.kernel.shape[0], own.kernel.shape[1])
    if shape != edge.shape:
        was, now = "x".join(map(str, edge.shape)), "x".join(map(str, shape))
        return EdgeCheck(edge, "changed", total, l1, f"the kernel was {was}, it is {now}")
    if own.anchor != edge.anchor:
        return EdgeCheck(edge, "changed", total, l1, f"the kernel's centre was at {edge.anchor}, it is at {own.anchor}")
    if kernel_sha256(own.kernel) == edge.sha256:
        return EdgeCheck(edge, "unchanged", total, l1)
    said = f"sum {edge.sum:.6g} -> {total:.6g}, l1 {edge.l1:.6g} -> {l1:.6g}"
    if (edge.sum, edge.l1) == (total, l1):
        said = f"sum {total:.6g} and l1 {l1:.6g} are the same, the weights are not"
    return EdgeCheck(edge, "changed", total, l1, said)


def draw_record(
    record: CircuitRecord,
    bundles: Bundle | Sequence[Bundle],
    *,
    labels: Mapping[str, str] | None = None,
    anyway: bool = False,
    found: CircuitCheck | None = None,
    scale: float | None = None,
    max_edges: int = 60,
) -> Picture:
    """Draw a circuit with the kernels of its bundles.

    Parameters
    ----------
    labels
        As for `CircuitRecord.graph`.
    anyway
        Draw what there is even where the weights have changed; the picture's title then says what differs.
    found
        What `check_circuit` says of the same record and bundles, where that is known already.
    scale, max_edges
        As for `circuitgraph.draw.draw_circuit`.

    Raises
    ------
    UnknownNetworkError
        A network of the circuit has no bundle among them.
    CatalogueError
        The bundles do not hold the circuit as it was recorded, and it is not to be drawn anyway.
    """
    given = [bundles] if isinstance(bundles, Bundle) else list(bundles)
    graph = record.graph(*given, labels=labels, whole=False)
    found = found or check_circuit(record, given)
    title = record.title
    if not found.are_edges_unchanged:
        if not anyway:
            raise CatalogueError(
                f"drawing {found.statement}; first: {found.differences[0]}.",
                hint="Give the bundle it was made from, or draw what there is with --anyway.",
            )
        said = [f"{found.count(state)} {state}" for state in ("changed", "gone") if found.count(state)]
        units = f", {len(found.missing)} units not found" if found.missing else ""
        title = f"NOT AS RECORDED: of {len(found.edges)} edges {', '.join(said) or '0 changed'}{units} | {title}"
    elif not found.is_unchanged:
        title = f"{title} (other weights in the network; these edges are as recorded)"
    return draw_circuit(graph, title=title, scale=scale, max_edges=max_edges)
