"""What a user chooses about steps that are not linear: what is taken as what, and what is refused."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from circuitgraph.errors import ShapeError, WeightsError
from importers.linear_ops import (
    Activation,
    ChannelNorm,
    Gate,
    LinearGraph,
    LocalResponseNorm,
    MapShape,
    Node,
    Op,
    Scale,
    Unsupported,
)

__all__ = ["DEFAULT", "GateMeans", "Linearisation", "MaxPoolRule", "taken_as"]

MaxPoolRule = Literal["avg", "centre"]


class GateMeans(dict[str, NDArray[np.float64]]):
    """The mean of each gate by its module path, (channel,); `record` says what it was measured on."""

    def __init__(self, means: dict[str, NDArray[np.float64]], record: dict[str, Any]) -> None:
        super().__init__(means)
        self.record = record


@dataclass(frozen=True, slots=True)
class Linearisation:
    """How steps with no exact linear form are taken; what is None is refused by name.

    Each choice is recorded on every edge that it lies under.

    Parameters
    ----------
    max_pool
        A max pool as the mean over its window ("avg") or as its middle cell ("centre").
    smooth
        "identity" takes GELU, SiLU, Hardswish, ELU, CELU, Mish and Softplus at slope 1, which they approach above zero.
    leaky
        "identity" takes LeakyReLU, PReLU and RReLU at slope 1, which they have above zero.
    gate
        What a squeeze-and-excitation gate multiplies a map by: one number, or by the gate's module path an array
        (channel,), for example its mean over images.
    norm_gain
        What stands for 1 / standard deviation in a LayerNorm, and for the factor of a local response norm.

    Raises
    ------
    WeightsError
        A choice is none of those named, or a number is not finite.
    """

    max_pool: MaxPoolRule = "avg"
    smooth: Literal["identity"] | None = None
    leaky: Literal["identity"] | None = None
    gate: float | Mapping[str, NDArray[np.floating[Any]]] | None = None
    norm_gain: float | None = None

    def __post_init__(self) -> None:
        if self.max_pool not in ("avg", "centre"):
            raise WeightsError(f"choosing a linearisation: max_pool is {self.max_pool!r}; 'avg' or 'centre' is wanted.")
        for name in ("smooth", "leaky"):
            if getattr(self, name) not in (None, "identity"):
                raise WeightsError(
                    f"choosing a linearisation: {name} is {getattr(self, name)!r}; 'identity' or nothing is wanted."
                )
        numbers = {"gate": self.gate, "norm_gain": self.norm_gain}
        for name, value in numbers.items():
            if value is not None and not isinstance(value, Mapping) and not math.isfinite(value):
                raise WeightsError(f"choosing a linearisation: {name} is {value}; a finite number is wanted.")

    def to_options(self) -> dict[str, Any]:
        """Return the choices as they go into a bundle's manifest."""
        options: dict[str, Any] = {"max_pool": self.max_pool}
        for name in ("smooth", "leaky", "norm_gain"):
            if getattr(self, name) is not None:
                options[name] = getattr(self, name)
        if self.gate is not None:
            options["gate"] = (
                {path: [float(x) for x in mean] for path, mean in sorted(self.gate.items())}
                if isinstance(self.gate, Mapping)
                else float(self.gate)
            )
        if isinstance(self.gate, GateMeans):
            options["gate_measured"] = self.gate.record
        return options


DEFAULT = Linearisation()
"""Max pools as means, and nothing else that is not linear."""


def taken_as(graph: LinearGraph, choices: Linearisation) -> LinearGraph:
    """Put linear steps in the place of those that a choice is needed for.

    Parameters
    ----------
    graph
        A network as linear steps.
    choices
        What is taken for what.

    Returns
    -------
    LinearGraph
        The same tensors. What was chosen is in `Node.approximations`; what no choice was made for is `Unsupported`,
        with the choice that would admit it as its remedy.

    Raises
    ------
    WeightsError
        A gate's constants are not finite, or are given for a gate that the network has not.
    ShapeError
        A gate's constants are not one a channel.
    """
    gates = {node.op.path: node.shape for node in graph.nodes.values() if isinstance(node.op, Gate)}
    _check_gates(choices, gates)
    nodes = {name: _taken(node, choices) for name, node in graph.nodes.items()}
    return dataclasses.replace(graph, nodes=nodes)


def _taken(node: Node, choices: Linearisation) -> Node:
    op, approximation = _linear_op(node.op, node.shape, choices)
    if op is node.op:
        return node
    return dataclasses.replace(node, op=op, approximations=(approximation,) if approximation else ())


def _linear_op(op: Op, shape: MapShape, choices: Linearisation) -> tuple[Op, str]:
    """Return what an operation is taken as, and what is recorded for it."""
    if isinstance(op, Activation) and op.option:
        if getattr(choices, op.option) is None:
            return _undecided(*_UNDECIDED[op.option]), ""
        return Activation(op.approximations), f"{op.kind}=identity"
    if isinstance(op, Gate):
        if choices.gate is None or (isinstance(choices.gate, Mapping) and op.path not in choices.gate):
            return _undecided(f"the gate {op.path!r} depends on the map that it gates", "gate", "0.5", _MEASURED), ""
        if isinstance(choices.gate, Mapping):
            said = "gate=mean" if isinstance(choices.gate, GateMeans) else "gate=by-channel"
            return Scale(np.asarray(choices.gate[op.path], np.float64), np.zeros(shape[0])), said
        return Scale(np.full(shape[0], float(choices.gate)), np.zeros(shape[0])), f"gate={choices.gate:g}"
    if isinstance(op, (ChannelNorm, LocalResponseNorm)):
        if choices.norm_gain is None:
            return _undecided(*_UNDECIDED["norm_gain" if isinstance(op, ChannelNorm) else "local_norm"]), ""
        said = f"norm_gain={choices.norm_gain:g}"
        if isinstance(op, ChannelNorm):
            return ChannelNorm(op.gain * choices.norm_gain, op.shift), said
        return Scale(np.full(shape[0], float(choices.norm_gain)), np.zeros(shape[0])), said
    return op, ""


_MEASURED = ", or with its mean over images (--gate mean --images FOLDER; Python: importers.measure_gates)"
_UNDECIDED = {
    "smooth": ("it is only near the identity, far above zero", "smooth", "identity"),
    "leaky": ("it has a slope below zero too, which expanded weights leave out", "leaky", "identity"),
    "norm_gain": ("it divides by a deviation that differs from position to position", "norm_gain", "1"),
    "local_norm": ("it divides by what the neighbouring channels do", "norm_gain", "1"),
}


def _undecided(reason: str, option: str, example: str, more: str = "") -> Unsupported:
    value = example if example[0].isdigit() else repr(example)
    return Unsupported(
        reason,
        f"Admit it with --{option.replace('_', '-')} {example} (Python: Linearisation({option}={value})){more}; "
        "each edge it lies under will say so.",
    )


def _check_gates(choices: Linearisation, gates: Mapping[str, MapShape]) -> None:
    if not isinstance(choices.gate, Mapping):
        return
    for path, values in choices.gate.items():
        if path not in gates:
            known = ", ".join(list(gates)[:5]) or "none"
            raise WeightsError(f"choosing a linearisation: the network has no gate {path!r}; it has {known}.")
        found = np.shape(values)
        if found != gates[path][:1]:
            raise ShapeError(
                f"choosing a linearisation: the gate {path!r} multiplies {gates[path][0]} channels, "
                f"its constants have the shape {found}."
            )
        if not np.all(np.isfinite(values)):
            raise WeightsError(f"choosing a linearisation: a constant of the gate {path!r} is not finite.")
