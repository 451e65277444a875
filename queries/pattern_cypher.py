"""A pattern as Cypher over the strong edges of the store.

It gives one row for each distinct subgraph, roles in columns, as `find_pattern` lists them: where roles can be
exchanged the one of the smaller (layer, channel) comes first. Nothing of the user's text is pasted but the names of
roles; values, units and layers are parameters.

``EXCITES`` and ``INHIBITS`` hold an edge's sum and share_in; every other number is looked up on ``CONNECTS``, which the
store has for each strong edge. One edge may be exciting and mixing at once, hence ``DISTINCT``.
"""

from __future__ import annotations

import re
from typing import Any

from queries.pattern_edges import PatternGraph
from queries.pattern_roles import Placing, find_layer, find_units
from queries.pattern_text import EdgeCondition, EdgeTerm, UnitCondition

__all__ = ["pattern_cypher"]

_TYPES = {"excites": "EXCITES", "inhibits": "INHIBITS", "mixes": "MIXES"}
_ON_STRONG = ("sum", "share_in")
_OPERATORS = {"!=": "<>"}
_PLAIN_NAME = re.compile(r"[A-Za-z](?:[A-Za-z]|_?[0-9]+)?")
_WORDS = ("as", "by", "do", "if", "in", "is", "of", "on", "or", "to")


def pattern_cypher(placing: Placing, *, only: tuple[int, ...] | None = None) -> tuple[str, dict[str, Any]]:
    """Write a pattern as Cypher.

    Parameters
    ----------
    only
        Numbers of the layers that were searched, None for all.

    Returns
    -------
    text, parameters
    """
    writer = _Writer(placing)
    return writer.write(only)


class _Writer:
    def __init__(self, placing: Placing) -> None:
        self.placing = placing
        self.graph: PatternGraph = placing.graph
        self.parameters: dict[str, Any] = {"network": self.graph.network}
        self.roles = {role: _name(role) for role in placing.pattern.roles}

    def write(self, only: tuple[int, ...] | None) -> tuple[str, dict[str, Any]]:
        pattern = self.placing.pattern
        seen: set[str] = set()
        paths, conditions = [], []
        for number, edge in enumerate(pattern.edges):
            link = self._free(f"r{number + 1}")
            types = _TYPES[edge.kind] + ("|MIXES" if edge.may_mix and edge.kind != "mixes" else "")
            # within one MATCH no relationship is used twice, but one mixing edge may be two of the pattern's
            is_again = any((edge.up, edge.down) == (each.up, each.down) for each in pattern.edges[:number])
            join = "\nMATCH " if is_again else ",\n      " if number else "MATCH "
            paths.append(f"{join}{self._node(edge.up, seen)}-[{link}:{types}]->{self._node(edge.down, seen)}")
            conditions += self._edge_conditions(edge, link)
        for condition in pattern.units:
            conditions.append(self._unit_condition(condition))
        if only is not None:
            searched = self._value([self.graph.short(layer) for layer in only])
            conditions += [f"{role}.layer IN {searched}" for role in self.roles.values()]
        ordered = {(a, b) for a, b, _ in self.placing.order}
        names = list(self.roles.values())
        for one, other, in_one_layer in self.placing.order:
            a, b = names[one], names[other]
            ascends = f"{a}.channel < {b}.channel"
            conditions.append(
                ascends if in_one_layer else f"({a}.layer < {b}.layer OR ({a}.layer = {b}.layer AND {ascends}))"
            )
        for one, other in self.placing.meeting:
            if not {(one, other), (other, one)} & ordered and not self._joined(one, other):
                conditions.append(f"{names[one]} <> {names[other]}")
        columns = ", ".join(f"{name}.uid AS {name}" for name in names)
        text = "CYPHER 5\n" + "".join(paths)
        if conditions:
            text += "\nWHERE " + "\n  AND ".join(conditions)
        return f"{text}\nRETURN DISTINCT {columns}", self.parameters

    def _joined(self, one: int, other: int) -> bool:
        roles = self.placing.pattern.roles
        return any({edge.up, edge.down} == {roles[one], roles[other]} for edge in self.placing.pattern.edges)

    def _node(self, role: str, seen: set[str]) -> str:
        name = self.roles[role]
        if role in seen:
            return f"({name})"
        # one role pins the network: edges never leave it
        first = "" if seen else " {network: $network}"
        seen.add(role)
        return f"({name}:Unit:Neuron{first})"

    def _free(self, name: str) -> str:
        while name in self.roles:
            name += "_"
        return name

    def _value(self, value: Any) -> str:
        name = f"p{len(self.parameters)}"
        self.parameters[name] = value
        return f"${name}"

    def _edge_conditions(self, edge: EdgeTerm, link: str) -> list[str]:
        own = [
            c for c in edge.conditions if {c.scalar, c.value if isinstance(c.value, str) else "sum"} <= {*_ON_STRONG}
        ]
        rest = [c for c in edge.conditions if c not in own]
        written = [self._compare(link, condition) for condition in own]
        if not rest:
            return written
        weights = self._free("k" + link[1:])
        inner = [self._compare(weights, condition) for condition in rest]
        if edge.may_mix and edge.kind != "mixes":
            sign = ">" if edge.kind == "excites" else "<"
            says = " OR ".join(f"{weights}.{side} {sign} 0" for side in edge.sides)
            inner.append(f"(type({link}) = '{_TYPES[edge.kind]}' OR {says})")
        up, down = self.roles[edge.up], self.roles[edge.down]
        return [*written, f"EXISTS {{ ({up})-[{weights}:CONNECTS]->({down}) WHERE {' AND '.join(inner)} }}"]

    def _compare(self, link: str, condition: EdgeCondition) -> str:
        operator = _OPERATORS.get(condition.compare, condition.compare)
        value = f"{link}.{condition.value}" if isinstance(condition.value, str) else self._value(condition.value)
        return f"{link}.{condition.scalar} {operator} {value}"

    def _unit_condition(self, condition: UnitCondition) -> str:
        role = self.roles[condition.role]
        operator = _OPERATORS.get(condition.compare, condition.compare)
        if condition.what == "layer":
            name = self.graph.short(find_layer(self.graph, condition.values[0]))
            return f"{role}.layer {operator} {self._value(name)}"
        if condition.what == "channel":
            return f"{role}.channel {operator} {self._value(float(condition.values[0]))}"
        negated = "NOT " if condition.compare in ("!=", "not in") else ""
        if condition.what == "family":
            stored, given = self.placing.families.find(condition.values[0])
            if stored:
                uids = self._value([family.uid for family in stored])
                family = self._free("f")
                return f"{negated}EXISTS {{ ({role})-[:MEMBER_OF]->({family}:Family) WHERE {family}.uid IN {uids} }}"
            return f"{negated}{role}.uid IN {self._value(self._uids(given))}"
        return f"{negated}{role}.uid IN {self._value(self._uids(condition.values))}"

    def _uids(self, units: Any) -> list[str]:
        return [str(self.graph.unit(layer, place)) for unit in units for layer, place in find_units(self.graph, unit)]


def _name(role: str) -> str:
    """Give a role a variable's name, quoted where it might be a word of Cypher."""
    return role if _PLAIN_NAME.fullmatch(role) and role.lower() not in _WORDS else f"`{role}`"
