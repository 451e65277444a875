"""Which layers and units each role of a pattern may take, in one given graph."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from circuitgraph.errors import MotifError, PatternError, UnknownLayerError, UnknownUnitError
from circuitgraph.ids import UnitId, slugify
from circuitgraph.records import Family
from queries.base import Unit
from queries.pattern_counts import Placed, symmetry_order
from queries.pattern_edges import COMPARE, Pair, PatternGraph, Test
from queries.pattern_text import Pattern, UnitCondition

__all__ = [
    "Families",
    "FamilySource",
    "Layers",
    "Placing",
    "find_layer",
    "find_units",
    "place_pattern",
    "restrict_layers",
]

FamilySource = Mapping[str, Sequence[Unit]] | Sequence[Family]
Layers = tuple[int, ...]
"""The layer of each role."""

_MOST_PLACINGS = 20_000
_NUMBER = re.compile("0|[1-9][0-9]{0,8}")


@dataclass(frozen=True, eq=False)
class Families:
    """Named sets of units: those given, and those that came with the bundle.

    A name may stand for one family in each of several layers.
    """

    given: Mapping[str, tuple[Unit, ...]]
    stored: tuple[Family, ...]

    @classmethod
    def read(cls, source: FamilySource | None, graph: PatternGraph) -> Families:
        """Take what the user gave beside what the bundle holds."""
        given: dict[str, tuple[Unit, ...]] = {}
        if isinstance(source, Mapping):
            given = {str(name): tuple(units) for name, units in source.items()}
        elif source is not None:
            for family in source:
                if not isinstance(family, Family):
                    raise MotifError(
                        f"reading families: {type(family).__name__} is no Family.",
                        hint="Give a dict of names to units, or a list of Family records.",
                    )
                members = tuple(member.unit for member in family.members)
                for name in (family.uid, family.uid.partition("!")[2], family.name):
                    given[name] = tuple(dict.fromkeys((*given.get(name, ()), *members)))
        return cls(given, graph.bundle.families if graph.bundle is not None else ())

    def find(self, name: str) -> tuple[tuple[Family, ...], tuple[Unit, ...]]:
        """Return the stored families of that uid, slug or name; or the units given under it, which come first.

        Raises
        ------
        PatternError
            There is none.
        """
        if name in self.given:
            return (), self.given[name]
        stored = tuple(f for f in self.stored if name in (f.uid, f.uid.partition("!")[2], f.name))
        if stored:
            return stored, ()
        names = [*self.given, *(family.name for family in self.stored)]
        close = difflib.get_close_matches(name, [*names, *map(slugify, names)], n=1)
        known = ", ".join(dict.fromkeys(names[:6])) or "there are none; give families="
        raise PatternError(
            f"where: there is no family {name!r}.", hint=f"Did you mean {close[0]}?" if close else f"Known: {known}."
        )


@dataclass(frozen=True, eq=False)
class Placing:
    """A pattern in a graph: the ways to lay its roles on layers, and the units each role may then take."""

    pattern: Pattern
    graph: PatternGraph
    families: Families
    layers: tuple[Layers, ...]
    masks: Mapping[tuple[int, int], NDArray[np.bool_]]

    @cached_property
    def automorphisms(self) -> tuple[tuple[int, ...], ...]:
        """Of the pattern with its conditions."""
        return self.pattern.automorphisms()

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """The layer pairs that an edge of the pattern may lie in."""
        number = {role: place for place, role in enumerate(self.pattern.roles)}
        return tuple(sorted({(at[number[e.up]], at[number[e.down]]) for at in self.layers for e in self.pattern.edges}))

    @cached_property
    def tests(self) -> tuple[Test, ...]:
        """What is asked of edges, each once."""
        return tuple(dict.fromkeys(edge.test for edge in self.pattern.edges))

    @cached_property
    def meeting(self) -> tuple[tuple[int, int], ...]:
        """Pairs of roles that may lie in one layer."""
        count = len(self.pattern.roles)
        return tuple(
            (a, b) for a in range(count) for b in range(a + 1, count) if any(at[a] == at[b] for at in self.layers)
        )

    @cached_property
    def order(self) -> tuple[tuple[int, int, bool], ...]:
        """Pairs of roles that must ascend to leave one embedding a subgraph, and whether they always share a layer."""
        return tuple((a, b, all(at[a] == at[b] for at in self.layers)) for a, b in symmetry_order(self.automorphisms))

    def placed(self, at: Layers, matrix: Callable[[Pair, Test], Any]) -> Placed:
        """Return the pattern on these layers, with the matrices of its edges."""
        number = {role: place for place, role in enumerate(self.pattern.roles)}
        matrices: dict[tuple[int, int], list[Any]] = {}
        for edge in self.pattern.edges:
            up, down = number[edge.up], number[edge.down]
            matrices.setdefault((up, down), []).append(matrix((at[up], at[down]), edge.test))
        return Placed(
            layers=at,
            sizes=tuple(self.graph.unit_counts[layer] for layer in at),
            matrices=matrices,
            domains={role: self.masks[role, layer] for role, layer in enumerate(at) if (role, layer) in self.masks},
        )

    def ordered(self, at: Layers) -> tuple[tuple[int, int], ...] | None:
        """Return the pairs of roles whose places must ascend on these layers, None where their layers descend."""
        pairs = []
        for one, other, _ in self.order:
            first, second = self.graph.short(at[one]), self.graph.short(at[other])
            if first > second:
                return None
            if first == second:
                pairs.append((one, other))
        return tuple(pairs)


def restrict_layers(pattern: Pattern, layers: Mapping[str, str] | None) -> Pattern:
    """Ask of roles that they lie in these layers; roles that the pattern does not have are left out."""
    asked = tuple(
        UnitCondition(role, "layer", "=", (str(layer),))
        for role, layer in (layers or {}).items()
        if role in pattern.roles
    )
    return replace(pattern, units=tuple(dict.fromkeys((*pattern.units, *asked))))


def place_pattern(
    pattern: Pattern, graph: PatternGraph, families: Families, *, only: Sequence[int] | None = None
) -> Placing:
    """Find all ways to lay a pattern on the layers of a graph.

    Parameters
    ----------
    only
        Numbers of the layers to look in; all where None.

    Raises
    ------
    PatternError
        The pattern runs in a circle, which layers do not; or a family is not known.
    UnknownLayerError, UnknownUnitError
        A condition names a layer or unit that is not there.
    MotifError
        There are too many ways.
    """
    if graph.is_layered:
        _check_no_circle(pattern)
    masks: dict[tuple[int, int], NDArray[np.bool_]] = {}
    choices: list[list[int]] = []
    for number, role in enumerate(pattern.roles):
        asked = [condition for condition in pattern.units if condition.role == role]
        allowed = []
        for layer in range(len(graph.layers)) if only is None else only:
            mask = np.ones(graph.unit_counts[layer], dtype=np.bool_)
            for condition in asked:
                mask &= _holds(condition, graph, layer, families)
            if mask.any():
                allowed.append(layer)
                if not mask.all():
                    masks[number, layer] = mask
        choices.append(allowed)
    return Placing(pattern, graph, families, tuple(sorted(_placings(pattern, graph, choices))), masks)


def _check_no_circle(pattern: Pattern) -> None:
    left = list(pattern.edges)
    while left:
        # edges into roles that nothing leads away from can be in no circle
        kept = [edge for edge in left if any(other.up == edge.down for other in left)]
        if len(kept) == len(left):
            through = ", ".join(dict.fromkeys(edge.up for edge in kept))
            raise PatternError(
                f"the pattern {pattern.text!r} runs in a circle through {through}; the layers of a network do not.",
                hint="Turn one arrow round, or give a graph (networkx DiGraph, scipy sparse matrix).",
            )
        left = kept


def _placings(pattern: Pattern, graph: PatternGraph, choices: Sequence[Sequence[int]]) -> list[Layers]:
    number = {role: place for place, role in enumerate(pattern.roles)}
    edges = [(number[edge.up], number[edge.down]) for edge in pattern.edges]
    order = [0]
    while len(order) < len(choices):
        near = [b if a in order else a for a, b in edges if (a in order) != (b in order)]
        order.append(near[0])
    found: list[dict[int, int]] = [{}]
    for depth, role in enumerate(order):
        ends = [(a, b) for a, b in edges if role in (a, b) and {a, b} <= set(order[: depth + 1])]
        grown = []
        for partial in found:
            for layer in choices[role]:
                at = {**partial, role: layer}
                if all((at[a], at[b]) in graph.pairs for a, b in ends):
                    grown.append(at)
        found = grown
        if len(found) > _MOST_PLACINGS:
            raise MotifError(
                f"the pattern {pattern.text!r} can be laid on the layers in more than {_MOST_PLACINGS:,} ways.",
                hint="Name some of the layers: layers={'a': 'conv1', ...}.",
            )
    return [tuple(at[role] for role in range(len(choices))) for at in found]


def _holds(condition: UnitCondition, graph: PatternGraph, layer: int, families: Families) -> Any:
    size = graph.unit_counts[layer]
    if condition.what == "layer":
        same = find_layer(graph, condition.values[0]) == layer
        return np.full(size, same == (condition.compare == "="))
    if condition.what == "channel":
        return COMPARE[condition.compare](np.arange(size), float(condition.values[0]))
    units: Sequence[Unit] = condition.values
    if condition.what == "family":
        stored, given = families.find(condition.values[0])
        units = given or tuple(member.unit for family in stored for member in family.members)
    mask = np.zeros(size, dtype=np.bool_)
    for unit in units:
        for where, place in find_units(graph, unit):
            if where == layer:
                mask[place] = True
    return ~mask if condition.compare in ("!=", "not in") else mask


def find_layer(graph: PatternGraph, name: str) -> int:
    """Return the number of a layer.

    Raises
    ------
    UnknownLayerError
        There is none of that name.
    """
    if graph.bundle is not None:
        return graph.bundle.layer(name).index
    if name in graph.layers:
        return graph.layers.index(name)
    raise UnknownLayerError(
        f"layer {name!r} does not exist; {graph.source} has {', '.join(graph.layers)}.",
        hint="The layers of arrays are numbered from 0, the input side first.",
    )


def find_units(graph: PatternGraph, unit: Unit) -> list[tuple[int, int]]:
    """Return the (layer, place) that a unit's name stands for: one, or, for a bare place of arrays, one a layer.

    Raises
    ------
    UnknownUnitError, UnknownLayerError
        There is no such unit.
    """
    if graph.bundle is not None:
        if isinstance(unit, str):
            uid: UnitId = graph.bundle.neuron(unit)
            return [(graph.bundle.layer(str(uid.layer_id)).index, uid.channel or 0)]
        raise UnknownUnitError(
            f"unit {unit!r} is no uid.", hint=f"Name it as {graph.layers[-1]}:{unit}, or as {graph.short(0)}:{unit}."
        )
    if graph.nodes:
        same = [place for place, node in enumerate(graph.nodes) if node == unit or str(node) == str(unit)]
        if same:
            return [(0, same[0])]
        raise UnknownUnitError(f"node {unit!r} is not in {graph.source}.", hint=f"One is {graph.nodes[0]!r}.")
    layer, _, place = str(unit).rpartition(":")
    layers = [find_layer(graph, layer)] if layer else list(range(len(graph.layers)))
    found = [(at, int(place)) for at in layers if _NUMBER.fullmatch(place) and int(place) < graph.unit_counts[at]]
    if not found:
        counts = ", ".join(str(graph.unit_counts[at]) for at in layers)
        raise UnknownUnitError(
            f"unit {unit!r} does not exist; the layers have {counts} units, counted from 0.",
            hint="Name it by its place (3), or by layer and place (1:3).",
        )
    return found
