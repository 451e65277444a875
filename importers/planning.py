"""What an expansion will make, take and refuse, told from shapes alone before anything is computed."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from circuitgraph.bundle import Bundle
from circuitgraph.bundle.describe import Description
from circuitgraph.bundle.format import canonical_json
from circuitgraph.errors import BlockTooLargeError, CircuitGraphError, UnsupportedOperationError
from circuitgraph.ids import check_network_name
from circuitgraph.progress import SILENT, Progress
from circuitgraph.records import Layer, RefusedPair
from importers.expand import MAX_BLOCK_BYTES, Expansion, PlannedPair
from importers.linear_ops import LinearGraph
from importers.linearisation import DEFAULT, Linearisation
from importers.unit_layers import UnitLayer, choose_unit_layers

__all__ = ["ExpansionPlan", "Review", "in_words", "plan_expansion", "plan_import"]


@dataclass(frozen=True)
class ExpansionPlan:
    """What an import would write.

    Attributes
    ----------
    network
        The network's id.
    units
        The rule by which the layers of units were chosen: "auto", "activations" or "named".
    layers
        The layers in topological order, the input first.
    pairs
        Each pair of layers with kernels between them, what they take as float32, and what is linearised on the way.
        The tables of edges beside the kernels take about 50 bytes an edge more.
    refused
        The pairs that lead into a layer that cannot be expanded; the reason names the step or the pair at fault.
    errors
        What was refused for each layer that cannot be expanded, the first raised unless refused ones are skipped.
    """

    network: str
    units: str
    layers: tuple[Layer, ...]
    pairs: tuple[PlannedPair, ...]
    refused: tuple[RefusedPair, ...]
    errors: tuple[CircuitGraphError, ...]
    expansion: Expansion = dataclasses.field(repr=False)
    unit_layers: tuple[UnitLayer, ...] = dataclasses.field(repr=False)

    @property
    def bytes(self) -> int:
        """What all kernels take."""
        return sum(pair.bytes for pair in self.pairs)

    @property
    def largest(self) -> PlannedPair | None:
        """The pair that takes most; None where nothing can be expanded."""
        return max(self.pairs, key=lambda pair: pair.bytes, default=None)

    @property
    def refused_layers(self) -> tuple[str, ...]:
        """The layers that cannot be expanded."""
        return tuple(dict.fromkeys(pair.down for pair in self.refused))

    @property
    def approximations(self) -> tuple[str, ...]:
        """Everything that is linearised on the way, sorted."""
        return tuple(sorted({token for pair in self.pairs for token in pair.approximations}))

    @property
    def fingerprint(self) -> str:
        """A hash of how the network is put together; its parameters have a hash of their own."""
        steps = [
            [node.name, type(node.op).__name__, node.inputs, node.shape, _settings(node.op)]
            for node in self.expansion.graph.nodes.values()
        ]
        return hashlib.sha256(canonical_json(steps).encode()).hexdigest()

    def is_refused(self, *, skip_refused: bool) -> bool:
        """Whether the import would stop at what is refused; skipping it needs something to be left."""
        return bool(self.errors) and not (skip_refused and self.pairs)

    def describe(self) -> list[Description]:
        """Say it in tables: the pairs, and those that are refused."""
        pairs = Description(
            "pairs",
            f"{self.network}: {len(self.layers)} layers by the rule {self.units!r}, {len(self.pairs)} pairs, "
            f"{self.bytes:,} bytes of kernels",
            ("up", "down", "bytes", "approximations"),
            [
                {
                    "up": pair.up.partition("/")[2],
                    "down": pair.down.partition("/")[2],
                    "bytes": pair.bytes,
                    "approximations": list(pair.approximations),
                }
                for pair in self.pairs
            ],
            ["the tables of edges take about 50 bytes a kernel more; nothing was written"],
            key_columns=2,
        )
        if not self.refused:
            return [pairs]
        rows = [
            {"up": pair.up.partition("/")[2], "down": pair.down.partition("/")[2], "reason": pair.reason}
            for pair in self.refused
        ]
        hints = tuple(dict.fromkeys(pair.hint for pair in self.refused if pair.hint))
        title = f"refused: pairs {len(rows)}, layers that they lead into {len(self.errors)}"
        refused = Description("refused", title, ("up", "down", "reason"), rows, hints, key_columns=2)
        return [pairs, refused]


Review = Callable[[ExpansionPlan], None]
"""Is shown the plan of an import before anything is computed or written; what it raises ends the import."""


def _settings(op: Any) -> dict[str, str]:
    fields = {field.name: getattr(op, field.name) for field in dataclasses.fields(op)}
    return {
        name: hashlib.sha256(value.tobytes()).hexdigest()
        # what is moved where; the weights are hashed where they are read
        if isinstance(value, np.ndarray) and value.dtype.kind == "i"
        else str(value)
        for name, value in fields.items()
        if not isinstance(value, np.ndarray) or value.dtype.kind == "i"
    }


def plan_expansion(
    graph: LinearGraph,
    network: str,
    *,
    units: str | Sequence[str] = "auto",
    names: Mapping[str, str] | None = None,
    linearisation: Linearisation = DEFAULT,
    max_block_bytes: int = MAX_BLOCK_BYTES,
    progress: Progress = SILENT,
) -> ExpansionPlan:
    """Choose the layers of units of a network and say what its expansion takes.

    Parameters
    ----------
    graph
        The network as linear steps.
    network
        The id that the bundle is to have.
    units, names, linearisation, max_block_bytes
        As for `importers.bundling.write_expansion`.

    Raises
    ------
    MappingError, IdError
        The layers of units cannot be chosen so.
    """
    check_network_name(network)
    layers, rule = choose_unit_layers(graph, network, units, names=dict(names or {}))
    uids = {own.tensor: own.layer.uid for own in layers}
    expansion = Expansion(graph, uids, linearisation=linearisation, max_block_bytes=max_block_bytes)
    pairs: list[PlannedPair] = []
    refused: list[RefusedPair] = []
    errors: list[CircuitGraphError] = []
    with progress.task(f"planning {network}", total=len(expansion.targets), unit="layer") as task:
        for target in expansion.targets:
            task.describe(uids[target])
            try:
                pairs += expansion.plan(target)
            except (BlockTooLargeError, UnsupportedOperationError) as error:
                errors.append(error)
                refused += [
                    RefusedPair(up=uids[source], down=uids[target], reason=error.message, hint=error.hint)
                    for source in expansion.sources(target)
                ]
            task.advance()
    return ExpansionPlan(
        network=network,
        units=rule,
        layers=tuple(own.layer for own in layers),
        pairs=tuple(pairs),
        refused=tuple(refused),
        errors=tuple(errors),
        expansion=expansion,
        unit_layers=tuple(layers),
    )


class _PlannedError(Exception):
    def __init__(self, plan: ExpansionPlan) -> None:
        super().__init__()
        self.plan = plan


def plan_import(importer: Callable[..., Bundle], *arguments: Any, **options: Any) -> ExpansionPlan:
    """Say what an import would write; nothing is computed and no file is made.

    Parameters
    ----------
    importer
        One of `import_torch`, `import_kernels` and the like; `arguments` and `options` are what it would be called
        with.

    Raises
    ------
    CircuitGraphError
        What the importer raises before it would begin to compute: files that cannot be read, modules that cannot be
        traced. Layers that cannot be expanded are in the plan.

    Examples
    --------
    >>> plan = plan_import(import_torch, "resnet18", weights="resnet18.pth", out="resnet18.circuit")  # doctest: +SKIP
    >>> plan.bytes, plan.largest.up, plan.largest.down  # doctest: +SKIP
    """

    def review(plan: ExpansionPlan) -> None:
        raise _PlannedError(plan)

    try:
        importer(*arguments, **options, review=review)
    except _PlannedError as planned:
        return planned.plan
    raise TypeError(f"{importer} did not show its plan")


def in_words(token: str) -> str:
    """Write out what an approximation's token stands for."""
    known = {
        "max_pool=avg": "max pools are taken as the mean over their window",
        "max_pool=centre": "max pools are taken as the middle cell of their window",
        "border": "terms at the border are dropped before a global pool",
    }
    words = known.get(token)
    kind, _, value = token.partition("=")
    if kind == "ceiling":
        words = "the ceiling of a bounded ReLU is ignored"
    elif kind == "gate":
        taken = {
            "mean": "their mean over images, one a channel",
            "by-channel": "constants that were given, one a channel",
        }
        words = f"gates are taken as {taken.get(value, value)}"
    elif kind == "norm_gain":
        words = f"what a norm multiplies by at each position is taken as {value} everywhere"
    elif value == "identity":
        words = f"{kind} is taken at slope 1, as it is far above zero"
    return f"{token}: {words}" if words else token
