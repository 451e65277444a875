"""Expanded weights in closed form: the linear maps between layers of units, multiplied out.

For a target layer T and each source layer S from which a way leads to T that meets
no other layer of units, the pre-activation of T is

    T[o, p] = bias[o] + sum over S, i, u of K[o, i, u] S[i, stride * p + offset + u]

wherever p is far enough from the border. Nonlinearities on the way are ignored,
as the definition says; max pools are taken as told. Weights are folded in float64
and composed in float32.

References
----------
Voss et al., "Visualizing Weights", Distill 2021. https://doi.org/10.23915/distill.00024.007
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from circuitgraph.errors import BlockTooLargeError, NonFiniteError, ShapeError, UnsupportedOperationError
from circuitgraph.records import Form, NewBlock
from importers import steps as ways
from importers.convolving import average, convolve
from importers.linear_ops import (
    NOTHING_ADMITS_IT,
    Activation,
    Add,
    ChannelNorm,
    Concat,
    Conv,
    Flatten,
    Gather,
    GlobalPool,
    LinearGraph,
    Node,
    Pool,
    Scale,
    Unsupported,
)
from importers.linearisation import DEFAULT, Linearisation, taken_as
from importers.pieces import Paths, Piece, dense, identity

__all__ = [
    "MAX_BLOCK_BYTES",
    "Expansion",
    "PlannedPair",
    "expand_bottleneck",
    "expand_network",
    "own_activations",
]

MAX_BLOCK_BYTES = 2 * 1024**3
"""The largest array of kernels that is computed unless told otherwise."""


@dataclass(frozen=True, slots=True)
class PlannedPair:
    """What is known of a pair of layers before anything is computed."""

    up: str
    down: str
    bytes: int
    approximations: tuple[str, ...]


@dataclass(slots=True)
class _Value:
    """Ways from each source to a tensor, and what it is where all sources are zero (None in a plan)."""

    paths: dict[str, Paths]
    bias: NDArray[np.float64] | None


def own_activations(graph: LinearGraph, tensor: str) -> frozenset[str]:
    """Return the activations that make a layer what it is, as against those that are dropped on the way to it.

    They are the tensor itself, or, of a concatenation, the activations that it puts together.
    """
    own: set[str] = set()
    stack = [tensor]
    while stack:
        node = graph.nodes[stack.pop()]
        if isinstance(node.op, Activation):
            own.add(node.name)
        elif isinstance(node.op, (Concat, Pool, Gather)):
            stack.extend(node.inputs)
    return frozenset(own)


class Expansion:
    """The expansion of one network.

    Parameters
    ----------
    graph
        The network as linear steps.
    layers
        Tensor to uid of each layer of units, in topological order, the input first.
    linearisation
        What is taken for steps that are not linear.
    max_block_bytes
        The largest array of kernels that may be made.

    Raises
    ------
    UnsupportedOperationError
        (from `plan` and `expand_layer`) A step on the way has no linear form here.
    BlockTooLargeError
        (from both) A pair of layers would take more than `max_block_bytes`.
    """

    def __init__(
        self,
        graph: LinearGraph,
        layers: Mapping[str, str],
        *,
        linearisation: Linearisation = DEFAULT,
        max_block_bytes: int = MAX_BLOCK_BYTES,
    ) -> None:
        self.graph = taken_as(graph, linearisation)
        self.layers = dict(layers)
        self.linearisation = linearisation
        self.max_block_bytes = max_block_bytes
        # a batch norm after a convolution that nothing else reads is folded into it
        self._folds = {
            node.inputs[0]: node.name
            for node in self.graph.nodes.values()
            if isinstance(node.op, Scale)
            and isinstance(graph.nodes[node.inputs[0]].op, Conv)
            and len(graph.users[node.inputs[0]]) == 1
            and node.inputs[0] not in self.layers
        }

    @property
    def targets(self) -> tuple[str, ...]:
        """The tensors of all layers but the first."""
        return tuple(self.layers)[1:]

    def plan(self, target: str) -> list[PlannedPair]:
        """Say which pairs lead into a layer and what they take, from shapes alone."""
        value = self._sweep(target, plan=True)
        return [
            PlannedPair(
                self.layers[source],
                self.layers[target],
                sum(piece.bytes(paths.up_count) for piece in paths.pieces),
                tuple(sorted(paths.approximations)),
            )
            for source, paths in value.paths.items()
        ]

    def expand_layer(self, target: str) -> tuple[NDArray[np.float32], list[NewBlock]]:
        """Compute the bias of a layer, (unit,), and all blocks of kernels into it."""
        # what is beyond float32 becomes infinite, which the writer refuses by name
        with np.errstate(over="ignore", invalid="ignore"):
            return self._expand_layer(target)

    def _expand_layer(self, target: str) -> tuple[NDArray[np.float32], list[NewBlock]]:
        value = self._sweep(target, plan=False)
        bias = np.zeros(self.graph.nodes[target].shape[0]) if value.bias is None else value.bias
        blocks = [
            block
            for source, paths in value.paths.items()
            for block in _blocks(paths, self.layers[source], self.layers[target])
        ]
        return bias.astype(np.float32), blocks

    def sources(self, target: str) -> list[str]:
        """Return the tensors of the layers from which a way leads to a layer that meets no other."""
        needed = self._needed(target)
        return [tensor for tensor in self.layers if tensor in needed and tensor != target]

    def _needed(self, target: str) -> set[str]:
        """Return every tensor on a way to a layer, from the layers where it begins, and the layer's own."""
        needed, stack = {target}, [target]
        while stack:
            for source in self.graph.nodes[stack.pop()].inputs:
                if source not in needed:
                    needed.add(source)
                    if source not in self.layers:
                        stack.append(source)
        return needed

    def _sweep(self, target: str, *, plan: bool) -> _Value:
        """Carry the ways of all sources forward to the target, freeing each tensor's after its last use."""
        needed = self._needed(target)
        order = sorted(needed, key=self.graph.order.__getitem__)
        left = {name: sum(user in needed for user in self.graph.users[name]) for name in order}
        self._refuse_attention(order, target)
        own = own_activations(self.graph, target)
        values: dict[str, _Value] = {}
        for name in order:
            node = self.graph.nodes[name]
            if name in self.layers and name != target:
                channels, *size = node.shape
                paths = identity(channels, (size[0], size[1]), plan=plan)
                values[name] = _Value({name: paths}, None if plan else np.zeros(channels))
                continue
            if name in self._folds and name != target:
                continue
            inputs = node.inputs
            fold = inputs[0] if inputs and self._folds.get(inputs[0]) == name else None
            read = self.graph.nodes[fold].inputs if fold else inputs
            used_up = [source for source in read if left[source] == 1 and read.count(source) == 1]
            spare = _spare(values, used_up) if isinstance(node.op, Add) and not plan else ()
            value = self._step(node, [values[source] for source in read], fold, own, target, spare, plan=plan)
            self._afford(value, node, target)
            values[name] = _noted(value, node.approximations)
            for source in dict.fromkeys(read):
                left[source] -= 1
                if not left[source] and source != target:
                    del values[source]
        return values[target]

    def _refuse_attention(self, names: Iterable[str], target: str) -> None:
        """Name attention before anything that an option would admit."""
        for name in names:
            node = self.graph.nodes[name]
            if isinstance(node.op, Unsupported) and node.op.is_attention:
                raise self._refusal(node, target, node.op.reason, node.op.remedy)

    def _refusal(self, node: Node, target: str, reason: str, remedy: str) -> UnsupportedOperationError:
        return UnsupportedOperationError(
            f"expanding {self.layers[target]}: {node}: {reason}.", hint=remedy or NOTHING_ADMITS_IT
        )

    def _step(
        self,
        node: Node,
        values: Sequence[_Value],
        fold: str | None,
        own: frozenset[str],
        target: str,
        spare: Sequence[NDArray[np.float32]],
        *,
        plan: bool,
    ) -> _Value:
        try:
            if isinstance(node.op, Add):
                return _added(values, spare)
            if fold is not None:
                conv, norm = self.graph.nodes[fold].op, node.op
                if isinstance(conv, Conv) and isinstance(norm, Scale):
                    return _convolved(conv, norm, values[0], plan=plan)
            return self._apply(node, values, own, plan=plan)
        except UnsupportedOperationError as error:
            raise self._refusal(node, target, error.message, error.hint) from None

    def _apply(self, node: Node, values: Sequence[_Value], own: frozenset[str], *, plan: bool) -> _Value:
        op = node.op
        if isinstance(op, Conv):
            return _convolved(op, None, values[0], plan=plan)
        if isinstance(op, Scale):
            paths = {source: ways.scale(p, op.gain) for source, p in values[0].paths.items()}
            return _Value(paths, None if values[0].bias is None else values[0].bias * op.gain + op.shift)
        if isinstance(op, ChannelNorm):
            return _normalised(op, values[0], plan=plan)
        if isinstance(op, Activation):
            return self._activated(node, op, values[0], own)
        if isinstance(op, Pool):
            return _Value({s: self._pooled(op, p) for s, p in values[0].paths.items()}, values[0].bias)
        if isinstance(op, GlobalPool):
            size = self.graph.nodes[node.inputs[0]].shape[1:]
            return _Value({s: ways.mean_of_map(p, size=size) for s, p in values[0].paths.items()}, values[0].bias)
        if isinstance(op, Concat):
            return _concatenated(values, [self.graph.nodes[source].shape[0] for source in node.inputs], node.shape[0])
        if isinstance(op, Gather):
            paths = {
                s: ways.gather(p, op.channels, stride=op.stride, shift=op.shift) for s, p in values[0].paths.items()
            }
            bias = values[0].bias
            picked = None if bias is None else np.where(op.channels < 0, 0.0, bias[op.channels])
            return _Value({s: p for s, p in paths.items() if p.pieces}, picked)
        if isinstance(op, Flatten):
            bias = None if plan else np.zeros(len(op.order))
            return _Value({s: ways.flatten(p, op.order) for s, p in values[0].paths.items()}, bias)
        if isinstance(op, Unsupported):
            raise UnsupportedOperationError(op.reason, hint=op.remedy)
        raise TypeError(f"no rule for {type(op).__name__}")

    def _activated(self, node: Node, op: Activation, value: _Value, own: frozenset[str]) -> _Value:
        paths = value.paths
        if node.name not in own:
            only = len(paths) == 1
            paths = {s: ways.pass_activation(p, is_only_way=only) for s, p in paths.items()}
        return _noted(_Value(dict(paths), value.bias), op.approximations)

    def _pooled(self, op: Pool, paths: Paths) -> Paths:
        if not op.is_max:
            return average(paths, window=op.window, stride=op.stride, pad=op.pad, gain=op.gain)
        noted = dataclasses.replace(
            paths, approximations=paths.approximations | {f"max_pool={self.linearisation.max_pool}"}
        )
        if self.linearisation.max_pool == "avg":
            gain = 1 / (op.window[0] * op.window[1])
            return average(noted, window=op.window, stride=op.stride, pad=op.pad, gain=gain)
        middle = ((op.window[0] - 1) // 2 - op.pad[0], (op.window[1] - 1) // 2 - op.pad[1])
        return ways.shift_by(noted, by=middle, stride=op.stride)

    def _afford(self, value: _Value, node: Node, target: str) -> None:
        for source, paths in value.paths.items():
            for piece in paths.pieces:
                size = piece.bytes(paths.up_count)
                if size > self.max_block_bytes:
                    raise BlockTooLargeError(
                        f"expanding {self.layers[source]} -> {self.layers[target]}: {piece.rows} x {paths.up_count} "
                        f"kernels of {piece.window[0]}x{piece.window[1]}, made by {node}, take {size:,} bytes, "
                        f"the limit is {self.max_block_bytes:,}.",
                        hint=f"Allow more with --max-block {size}, or take layers in between with --units activations.",
                    )


def _noted(value: _Value, approximations: Sequence[str]) -> _Value:
    """Record approximations on all ways into a tensor."""
    if not approximations:
        return value
    added = frozenset(approximations)
    paths = {s: dataclasses.replace(p, approximations=p.approximations | added) for s, p in value.paths.items()}
    return _Value(paths, value.bias)


def _normalised(op: ChannelNorm, value: _Value, *, plan: bool) -> _Value:
    """Take the mean over channels away, which is linear, and apply the gain."""
    count = len(op.gain)
    centred = (np.eye(count) - 1 / count) * op.gain[:, None]
    return _convolved(Conv(centred[:, :, None, None], op.shift), None, value, plan=plan)


def _convolved(op: Conv, norm: Scale | None, value: _Value, *, plan: bool) -> _Value:
    """Carry a value through a convolution, with the batch norm after it if there is one."""
    kernel = op.weight
    if not plan:
        kernel = kernel.astype(np.float32, copy=norm is not None).view()
        if norm is not None:
            gain = norm.gain[:, None, None, None]
            np.multiply(op.weight, gain, out=kernel, dtype=np.float64, casting="same_kind")
        # what is made of it may be no more than a view, and it may be the module's own
        kernel.flags.writeable = False
    paths = {
        source: convolve(p, kernel, stride=op.stride, pad=op.pad, dilation=op.dilation, groups=op.groups)
        for source, p in value.paths.items()
    }
    if value.bias is None:
        return _Value(paths, None)
    out = np.zeros(len(op.weight)) if op.bias is None else op.bias.astype(np.float64)
    if np.any(value.bias):
        # far from the border a constant map stays constant
        grouped = value.bias.reshape(op.groups, -1, 1)
        reach = op.weight.sum(axis=(2, 3), dtype=np.float64).reshape(op.groups, -1, op.weight.shape[1])
        out = out + (reach @ grouped).reshape(-1)
    return _Value(paths, out if norm is None else out * norm.gain + norm.shift)


def _spare(values: Mapping[str, _Value], used_up: Collection[str]) -> list[NDArray[np.float32]]:
    """Return the kernels of tensors that are `used_up` which no other tensor or piece reads."""
    held = [
        array
        for value in values.values()
        for paths in value.paths.values()
        for piece in paths.pieces
        for array in (piece.kernel, piece.before, piece.after)
        if array is not None
    ]
    return [
        piece.kernel
        for name in used_up
        for paths in values[name].paths.values()
        for piece in paths.pieces
        if piece.kernel is not None and sum(np.may_share_memory(piece.kernel, array) for array in held) == 1
    ]


def _added(values: Sequence[_Value], spare: Sequence[NDArray[np.float32]]) -> _Value:
    sources = dict.fromkeys(source for value in values for source in value.paths)
    paths = {s: ways.add_paths([v.paths[s] for v in values if s in v.paths], spare=spare) for s in sources}
    _need_one_stride(paths)
    biases = [value.bias for value in values if value.bias is not None]
    return _Value(paths, np.sum(biases, axis=0) if biases else None)


def _concatenated(values: Sequence[_Value], counts: Sequence[int], rows: int) -> _Value:
    starts = np.cumsum([0, *counts])[:-1].tolist()
    sources = dict.fromkeys(source for value in values for source in value.paths)
    paths = {
        s: ways.concatenate([(at, v.paths[s]) for at, v in zip(starts, values, strict=True) if s in v.paths], rows)
        for s in sources
    }
    biases = [value.bias for value in values if value.bias is not None]
    return _Value(paths, np.concatenate(biases) if biases else None)


def _need_one_stride(paths: Mapping[str, Paths]) -> None:
    """Refuse what only seems to be a sum: a vector, broadcast over a map."""
    kinds = {p.kind == "sliding" for p in paths.values()}
    if len(kinds) > 1:
        raise UnsupportedOperationError("a map and a pooled vector are added")


def _blocks(paths: Paths, up: str, down: str) -> Iterator[NewBlock]:
    if paths.kind == "flat":
        raise UnsupportedOperationError(
            f"expanding {down}: it is a flattened map.", hint="Choose the map before it as the layer."
        )
    approximations = tuple(sorted(paths.approximations))
    for piece in sorted(paths.pieces, key=lambda p: p.start):
        if piece.up is not None and not np.any(piece.up >= 0):
            continue
        if paths.kind != "sliding":
            piece = dense(piece, paths.up_count)
        yield _block(piece, paths, up, down, approximations)


def _block(piece: Piece, paths: Paths, up: str, down: str, approximations: tuple[str, ...]) -> NewBlock:
    form: Form
    if paths.kind == "global":
        form = "global"
    elif paths.kind == "spatial":
        form = "spatial"
    elif piece.up is not None:
        form = "diagonal"
    else:
        form = "dense" if piece.rows == paths.rows else "row block"
    factors: tuple[NDArray[np.float32], ...] = ()
    if piece.before is not None and piece.after is not None and piece.passed == 1:
        factors = (piece.after, piece.before)
    return NewBlock(
        up=up,
        down=down,
        row_start=piece.start,
        form=form,
        kernels=np.ascontiguousarray(piece.weights, dtype=np.float32),
        offset=piece.offset,
        stride=paths.stride,
        up_channels=None if piece.up is None else piece.up.astype(np.int32),
        gross=piece.gross if piece.depth > 1 else None,
        approximations=approximations,
        factors=tuple(np.ascontiguousarray(factor) for factor in factors),
        ignored_activations=piece.passed,
    )


def expand_network(
    graph: LinearGraph,
    layers: Mapping[str, str],
    *,
    linearisation: Linearisation = DEFAULT,
    max_block_bytes: int = MAX_BLOCK_BYTES,
) -> Iterator[tuple[str, NDArray[np.float32], list[NewBlock]]]:
    """Expand every layer, one at a time: (uid, bias (unit,), blocks into it).

    See `Expansion` for the parameters and what is raised.
    """
    expansion = Expansion(graph, layers, linearisation=linearisation, max_block_bytes=max_block_bytes)
    for target in expansion.targets:
        bias, blocks = expansion.expand_layer(target)
        yield expansion.layers[target], bias, blocks


def expand_bottleneck(reduce: NDArray[np.floating], conv: NDArray[np.floating]) -> NDArray[np.floating]:
    """Multiply a 1x1 bottleneck out of the convolution that follows it.

    Parameters
    ----------
    reduce, conv
        Weights as the model applies them (cross-correlation, row 0 at the top), (mid, up, 1, 1) and
        (down, mid, row, col), in output activation per input activation.

    Returns
    -------
    ndarray
        Expanded weights between the units around the bottleneck, (down, up, row, col), same unit of measure.

    Raises
    ------
    ShapeError
        ``conv`` does not take as many inputs as ``reduce`` gives outputs.
    NonFiniteError
        A weight is NaN or infinite; the message says where.

    Notes
    -----
    The nonlinearity between the two maps is ignored, so paths that never fire
    together still add up or cancel; report `cancellation` beside every kernel.

    References
    ----------
    Voss et al., "Visualizing Weights", Distill 2021, "Dealing with Indirect
    Interactions". https://doi.org/10.23915/distill.00024.007

    Examples
    --------
    >>> reduce = np.array([[1.0, 0.0], [-1.0, 2.0]])[:, :, None, None]
    >>> expand_bottleneck(reduce, np.ones((1, 2, 3, 3)))[0, :, 1, 1]
    array([0., 2.])
    """
    if reduce.ndim != 4 or conv.ndim != 4 or reduce.shape[2:] != (1, 1):
        raise ShapeError(
            f"expanding a bottleneck: shapes {reduce.shape} and {conv.shape}, "
            "(mid, up, 1, 1) and (down, mid, row, col) are wanted."
        )
    if conv.shape[1] != reduce.shape[0]:
        raise ShapeError(
            f"expanding a bottleneck: conv takes {conv.shape[1]} inputs, but reduce gives {reduce.shape[0]} outputs."
        )
    for name, weights in (("reduce", reduce), ("conv", conv)):
        bad = np.argwhere(~np.isfinite(weights))
        if len(bad):
            raise NonFiniteError(f"expanding a bottleneck: {name} has {weights[tuple(bad[0])]} at {bad[0].tolist()}.")
    expanded: NDArray[np.floating] = np.einsum("omrc,mi->oirc", conv, reduce[:, :, 0, 0], optimize=True)
    return expanded
