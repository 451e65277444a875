"""Which tensors of a network are layers of units, and what they are called.

Rules:

- "activations": every activation.
- "auto": the activations, and concatenations of activations, that no way jumps over, without 1x1
  bottlenecks (a 1x1 convolution's activation that is narrower than both its neighbours). These are the layers
  that the articles draw. Where that leaves more than four activations in series between two of them, or drops
  activations in blocks that end in sums without an activation, the kernels would say little, and "activations"
  is taken instead, with a `UnitRuleWarning` that says why.
- names of layers, as module paths.

The input, any map that is flattened, and the output belong to all of them.

A layer is named by the innermost module with a forward of its own (no container, bare
activation or pool) whose return value the tensor is; else by the activation or pool
module, its n-th call from 0 as ``relu#1`` where there are several; else by the
enclosing path and the function's name. Every other path that names it is an alias.
"""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from circuitgraph.errors import MappingError
from circuitgraph.records import Layer, LayerKind
from importers.linear_ops import (
    Activation,
    Add,
    Concat,
    Conv,
    Flatten,
    Gather,
    GlobalPool,
    LinearGraph,
    Node,
    Pool,
    Scale,
)

__all__ = ["UnitLayer", "UnitRuleWarning", "choose_unit_layers"]

_MAX_SERIES = 4

Pair = tuple[int, int]


class UnitRuleWarning(UserWarning):
    """The rule for layers of units that was asked for does not suit the network; another was taken."""


@dataclass(frozen=True, slots=True)
class UnitLayer:
    """A layer of units and the tensor that it is."""

    tensor: str
    layer: Layer


def choose_unit_layers(
    graph: LinearGraph, network: str, units: str | Sequence[str] = "auto", *, names: dict[str, str] | None = None
) -> tuple[list[UnitLayer], str]:
    """Choose the layers of units of a network.

    Parameters
    ----------
    graph
        The network as linear steps.
    network
        Its id.
    units
        "auto", "activations", or the layers' names (module paths).
    names
        Names to give, to the module paths they are given to.

    Returns
    -------
    layers
        In topological order, the input first.
    rule
        The rule that was followed: "auto", "activations" or "named".

    Raises
    ------
    MappingError
        A name names no tensor of the network.
    """
    given = {} if names is None else names
    if units == "auto":
        chosen, rule = _auto(graph), "auto"
        longest, where = _longest_series(graph, chosen | _outputs(graph, chosen))
        if longest > _MAX_SERIES or (longest and _has_bare_sums(graph)):
            warnings.warn(
                f"{network}: the rule 'auto' would leave {longest} activation{'s' if longest > 1 else ''} in series "
                f"between two layers of units (before {where or 'the output'}): {_why_so_few(graph, chosen)}; "
                "the rule 'activations' is taken instead.",
                UnitRuleWarning,
                stacklevel=3,
            )
            chosen, rule = _activations(graph), "activations"
    elif units == "activations":
        chosen, rule = _activations(graph), "activations"
    else:
        wanted = [units] if isinstance(units, str) else list(units)
        chosen = {_tensor_called(graph, name, network) for name in wanted} | _always(graph)
        rule = "named"
    chosen |= _outputs(graph, chosen)
    order = sorted(chosen, key=graph.order.__getitem__)
    own_names = {_tensor_called(graph, path, network): name for name, path in given.items()}
    unknown = [name for tensor, name in own_names.items() if tensor not in chosen]
    if unknown:
        raise MappingError(
            f"naming the layers of {network}: {given[unknown[0]]!r}, to be called {unknown[0]!r}, is not a "
            f"layer of units by the rule {rule!r}.",
            hint="Leave it out of the mapping's [layers], or name the layers with --units.",
        )
    return _named(graph, network, order, own_names), rule


def _is_activity(graph: LinearGraph, name: str) -> bool:
    """Whether a tensor holds activations, put together, pooled or picked, and nothing else."""
    stack, is_any = [name], False
    while stack:
        node = graph.nodes[stack.pop()]
        if isinstance(node.op, Activation):
            is_any = True
        elif isinstance(node.op, (Concat, Pool, Gather)):
            stack.extend(node.inputs)
        else:
            return False
    return is_any


def _is_new_activity(graph: LinearGraph, name: str) -> bool:
    """Whether a concatenation holds activity, and none of it is only some channels of an earlier layer passed on."""
    stack = [name]
    while stack:
        node = graph.nodes[stack.pop()]
        if isinstance(node.op, Gather) and not np.array_equal(
            node.op.channels, np.arange(graph.nodes[node.inputs[0]].shape[0])
        ):
            return False
        if isinstance(node.op, (Concat, Pool, Gather)):
            stack.extend(node.inputs)
    return _is_activity(graph, name)


def _always(graph: LinearGraph) -> set[str]:
    flattened = {node.inputs[0] for node in graph.nodes.values() if isinstance(node.op, Flatten)}
    return {"input"} | flattened


def _activations(graph: LinearGraph) -> set[str]:
    return {name for name, node in graph.nodes.items() if isinstance(node.op, Activation)} | _always(graph)


def _auto(graph: LinearGraph) -> set[str]:
    candidates, reach = [], 0
    for place, (name, node) in enumerate(graph.nodes.items()):
        # no way from an earlier tensor to a later one passes by this one
        if reach <= place and (
            isinstance(node.op, Activation) or (isinstance(node.op, Concat) and _is_new_activity(graph, name))
        ):
            candidates.append(name)
        reach = max([reach, *(graph.order[user] for user in graph.users[name])])
    chain = ["input", *candidates, *(name for name in graph.outputs if name not in candidates)]
    kept = set()
    for before, name, after in zip(chain[:-2], chain[1:-1], chain[2:], strict=True):
        width, *others = (graph.nodes[n].shape[0] for n in (name, before, after))
        if not (_is_pointwise(graph, name) and width < min(others)):
            kept.add(name)
    return kept | {chain[-1]} | _always(graph) if chain[-1] in candidates else kept | _always(graph)


def _is_pointwise(graph: LinearGraph, name: str) -> bool:
    """Whether a tensor is the activation of a 1x1 convolution of a map."""
    node = graph.nodes[name]
    if not isinstance(node.op, Activation):
        return False
    source = graph.nodes[node.inputs[0]]
    # a bias and a batch norm may be steps of their own
    while isinstance(source.op, Scale):
        source = graph.nodes[source.inputs[0]]
    return isinstance(source.op, Conv) and source.op.weight.shape[2:] == (1, 1) and source.shape[1:] != (1, 1)


def _longest_series(graph: LinearGraph, chosen: set[str]) -> tuple[int, str]:
    """Count the dropped activations on the longest way between two layers; and the path of the later one."""
    longest, where = 0, ""
    depth: dict[str, int] = {}
    for name, node in graph.nodes.items():
        depth[name] = max((0 if n in chosen else depth[n] for n in node.inputs), default=0)
        depth[name] += isinstance(node.op, Activation)
        # the last activation before a layer is its own
        dropped = depth[name] - _is_activity(graph, name)
        if name in chosen and dropped > longest:
            longest, where = dropped, node.where
    return longest, where


def _why_so_few(graph: LinearGraph, chosen: set[str]) -> str:
    """Say what keeps the rule "auto" from finding layers."""
    if not any(isinstance(graph.nodes[name].op, (Activation, Concat)) for name in chosen):
        return "no activation is passed by all ways through the network"
    if _has_bare_sums(graph):
        return "its blocks end in sums without an activation (linear bottlenecks), and ways jump over what is in them"
    return "ways jump over whole blocks"


def _has_bare_sums(graph: LinearGraph) -> bool:
    """Whether the sum at the end of some block is read as it is, with no activation on it."""
    return any(
        not isinstance(graph.nodes[user].op, Activation)
        for name, node in graph.nodes.items()
        if isinstance(node.op, Add)
        for user in _past_scales(graph, graph.users[name])
    )


def _past_scales(graph: LinearGraph, names: Iterable[str]) -> list[str]:
    """Return tensors, or, of those that are only another scale, the tensors made from them."""
    found: list[str] = []
    for name in names:
        is_scale = isinstance(graph.nodes[name].op, Scale)
        found += _past_scales(graph, graph.users[name]) if is_scale else [name]
    return found


def _outputs(graph: LinearGraph, chosen: set[str]) -> set[str]:
    """Return the outputs that are not just a pool of a layer of units."""
    return {name for name in graph.outputs if _pooled_layer(graph, name, chosen) is None}


def _pooled_layer(graph: LinearGraph, name: str, chosen: set[str]) -> str | None:
    while name not in chosen:
        node = graph.nodes[name]
        if not isinstance(node.op, (Pool, GlobalPool)):
            return None
        name = node.inputs[0]
    return name


def _tensor_called(graph: LinearGraph, path: str, network: str) -> str:
    path = path.removeprefix(f"{network}/")
    if path == "input":
        return "input"
    known = {name.path: tensor for tensor, names in graph.names.items() for name in names}
    if path in known:
        return known[path]
    close = difflib.get_close_matches(path, known, n=3, cutoff=0.5)
    numbered = sorted(name for name in known if name.startswith(f"{path}#"))
    said = f"did you mean {' or '.join(numbered[:3] or close)}?" if numbered or close else "it has no such module."
    raise MappingError(
        f"naming the layers of {network}: no tensor is called {path!r}; {said}",
        hint="A layer is called by the path of the module that returns it, its n-th call as PATH#n.",
    )


def _named(graph: LinearGraph, network: str, order: Sequence[str], given: dict[str, str]) -> list[UnitLayer]:
    reach = _reaches(graph)
    main = {tensor: given.get(tensor) or _main_name(graph, tensor) for tensor in order}
    taken = set(given.values())
    aliases = {tensor: [name.path for name in graph.names[tensor]] for tensor in order}
    for output in graph.outputs:
        pooled = _pooled_layer(graph, output, set(order))
        if pooled is not None and pooled != output:
            aliases[pooled] += [name.path for name in graph.names[output]]
    layers: list[UnitLayer] = []
    used: set[str] = set()
    for tensor in order:
        options = [main[tensor], *aliases[tensor], f"{main[tensor]}-{tensor}"]
        own = options[0] if tensor in given else next(o for o in options if o not in used | taken)
        used.add(own)
        main[tensor] = own
    for place, tensor in enumerate(order):
        node = graph.nodes[tensor]
        stride, field = reach[tensor]
        others = tuple(dict.fromkeys(path for path in aliases[tensor] if path not in used))
        layers.append(
            UnitLayer(
                tensor,
                Layer(
                    uid=f"{network}/{main[tensor]}",
                    index=place,
                    kind=_kind(node),
                    unit_count=node.shape[0],
                    size=node.shape[1:],
                    stride=stride,
                    receptive_field=field,
                    aliases=others,
                ),
            )
        )
    return layers


def _main_name(graph: LinearGraph, tensor: str) -> str:
    if tensor == "input":
        return "input"
    names = graph.names[tensor]
    kinds = ["module", "activation"] if isinstance(graph.nodes[tensor].op, Activation) else ["module"]
    for kind in kinds:
        for name in names:
            if name.kind == kind:
                return name.path
    # the last pool before a map is flattened: an adaptive one may have passed it on as it was
    pools = [name.path for name in names if name.kind == "pool"]
    if pools:
        return pools[-1]
    functions = [name.path for name in names if name.kind == "function"]
    return (functions or [name.path for name in names] or ["output"])[0]


def _kind(node: Node) -> LayerKind:
    if node.name == "input":
        return "input"
    if isinstance(node.op, Activation):
        return "activation"
    if isinstance(node.op, Concat):
        return "concat"
    if isinstance(node.op, (Pool, GlobalPool)):
        return "pooled"
    return "linear"


def _reaches(graph: LinearGraph) -> dict[str, tuple[Pair, Pair]]:
    """For each tensor the stride and receptive field in input pixels; (0, 0) where it sees the whole input."""
    whole: tuple[Pair, Pair] = ((0, 0), (0, 0))
    found: dict[str, tuple[Pair, Pair]] = {}
    for name, node in graph.nodes.items():
        inputs = [found[source] for source in node.inputs]
        if not inputs:
            found[name] = ((1, 1), (1, 1))
            continue
        if whole in inputs or isinstance(node.op, (GlobalPool, Flatten)):
            found[name] = whole
            continue
        stride = inputs[0][0]
        rows, cols = (max(field[axis] for _, field in inputs) for axis in (0, 1))
        taps, steps = _window(node)
        field = (rows + (taps[0] - 1) * stride[0], cols + (taps[1] - 1) * stride[1])
        found[name] = ((stride[0] * steps[0], stride[1] * steps[1]), field)
    return found


def _window(node: Node) -> tuple[Pair, Pair]:
    """Return how many cells a step spans and how far apart it is taken."""
    op = node.op
    if isinstance(op, Conv):
        height, width = op.weight.shape[2:]
        return (op.dilation[0] * (height - 1) + 1, op.dilation[1] * (width - 1) + 1), op.stride
    if isinstance(op, Pool):
        return op.window, op.stride
    if isinstance(op, Gather):
        return (1, 1), op.stride
    return (1, 1), (1, 1)
