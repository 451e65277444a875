"""Whether a database holds of a bundle what it should: nodes and blocks one by one, edges by their sums, or one by one.

The sums of every number that edges carry are worked out twice, by the server and with numpy from the bundle, for each
block and each pair of layers. They are over doubles, so that one edge that is off by a ten-thousand-millionth of all of
its block is seen. `UNSEEN` says what sums cannot see; with `deep` nothing is left unseen.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from circuitgraph.bundle.blocks import BlockInfo, DirectionBlockInfo
from circuitgraph.errors import QueryError, QueryLimitError
from circuitgraph.progress import SILENT, Progress
from circuitgraph.store.edge_batches import Relation
from circuitgraph.store.projection import Projection
from circuitgraph.store.schema import NODES, RELATIONSHIPS

if TYPE_CHECKING:
    from circuitgraph.store.neo4j import Store

__all__ = [
    "STRONG_FLAGS",
    "UNSEEN",
    "Difference",
    "Findings",
    "compare_network",
    "compare_totals",
    "kinds_of",
    "node_count",
    "relation_count",
    "same",
]

UNSEEN = (
    "edges were compared by their counts and sums: what leaves every sum of a block as it is, such as two edges that "
    "change places alike, and the cells of kernels by themselves, only --deep sees"
)
STRONG_FLAGS = {"EXCITES": "excites", "INHIBITS": "inhibits", "MIXES": "mixes"}
_SUMMED = tuple(name for name in RELATIONSHIPS["CONNECTS"].properties if name not in ("block", "kernel"))
_STRONG_SUMMED = tuple(RELATIONSHIPS["MIXES"].properties)
_TOLERANCE = 1e-10
_KERNEL_TOLERANCE = 1e-5
_OF_LOADING = ("uid", "bundle_path", "is_complete", "loading")
_KINDS = "a:Direction AS up_kind, b:Direction AS down_kind, b.network AS network, b.layer AS layer"
_MOST_UIDS = 5


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not as it should be.

    Attributes
    ----------
    network
        Empty for what is of no network.
    place
        A node's uid, or a pair of layers.
    what
        Which of its numbers or properties.
    """

    network: str
    place: str
    what: str
    expected: str
    found: str

    def __str__(self) -> str:
        return f"{self.place}: {self.what}: {self.expected} expected, {self.found} found"


@dataclass(slots=True)
class Findings:
    """Differences: the first of them, and how many there are by network."""

    most: int = 20
    first: list[Difference] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """How many there are in all."""
        return sum(self.counts.values())

    def add(self, network: str, place: str, what: str, expected: object, found: object) -> None:
        """Note a difference."""
        self.counts[network] = self.counts.get(network, 0) + 1
        if len(self.first) < self.most:
            self.first.append(Difference(network, place, what, _shown(expected), _shown(found)))


def compare_network(
    store: Store, projection: Projection, findings: Findings, *, deep: bool = False, progress: Progress = SILENT
) -> None:
    """Compare one network that is loaded with its bundle.

    Parameters
    ----------
    deep
        Compare every edge with all of its properties, instead of sums.

    Raises
    ------
    QueryLimitError
        The server did not allow the time that the sums of a layer take.
    """
    from circuitgraph.store.compare_edges import compare_each_edge

    network = projection.bundle.network
    layers = projection.bundle.layers
    with progress.task(f"checking {network}", len(layers), "layer") as task:
        _compare_meta(store, projection, findings)
        _compare_nodes(store, projection, findings)
        _compare_relations(store, projection, findings)
        expected = _Sums()
        expected.take(projection, findings)
        for layer in layers:
            expected.compare(store, layer.uid, findings)
            task.advance()
    if deep:
        compare_each_edge(store, projection, findings, progress=progress)


def compare_totals(store: Store, projections: Sequence[Projection], findings: Findings) -> None:
    """Compare how many nodes and relationships of each kind that bundles bring there are in the whole database."""
    nodes = dict.fromkeys(("Network", "Layer", "Unit", "Neuron", "Direction", "LoadBatch"), 0)
    relations = dict.fromkeys(("IN", "FEEDS", "CONNECTS", "COMBINES"), 0)
    for projection in projections:
        counts, rows = projection.bundle.manifest.counts, projection.directions
        neurons = sum(layer.unit_count for layer in projection.bundle.layers)
        blocks = (*projection.bundle.blocks, *projection.bundle.directions.blocks)
        nodes["Network"] += 1
        nodes["Layer"] += len(projection.bundle.layers)
        nodes["Neuron"] += neurons
        nodes["Direction"] += rows.count
        nodes["Unit"] += neurons + rows.count
        relations["IN"] += neurons + rows.count + len(projection.bundle.layers)
        relations["FEEDS"] += len(blocks)
        relations["CONNECTS"] += projection.total_count
        relations["COMBINES"] += rows.combines_count if counts else 0
    for label, count in nodes.items():
        found = node_count(store, label)
        if found != count:
            findings.add("", f":{label}", "nodes in the database", count, found)
    for type_, count in relations.items():
        found = relation_count(store, type_)
        if found != count:
            findings.add("", f"[:{type_}]", "relationships in the database", count, found)
    _find_strangers(store, findings)


def _find_strangers(store: Store, findings: Findings) -> None:
    """Note kinds of node and relationship that nothing of ours has, and nodes without a label."""
    primary, labelled = {*NODES, "LoadBatch"}, 0
    for row in store.run("CYPHER 5 CALL db.labels() YIELD label RETURN label"):
        label = row["label"]
        count = node_count(store, label)
        # a direction is a Unit besides, and a neuron is nothing else
        labelled += count if label in primary - {"Direction"} else 0
        if count and label not in {*primary, "Neuron"}:
            findings.add("", f":{label}", "nodes of a kind that nothing here brings", 0, count)
    for row in store.run("CYPHER 5 CALL db.relationshipTypes() YIELD relationshipType AS type RETURN type"):
        count = 0 if row["type"] in RELATIONSHIPS else relation_count(store, row["type"])
        if count:
            findings.add("", f"[:{row['type']}]", "relationships of a kind that nothing here brings", 0, count)
    every = int(store.run("CYPHER 5 MATCH (n) RETURN count(n) AS n")[0]["n"])
    if every != labelled:
        findings.add("", "the database", "nodes with one of our labels each", every, labelled)


def node_count(store: Store, label: str) -> int:
    """Return how many nodes have a label, at once, however many."""
    return int(store.run(f"CYPHER 5 MATCH (n:{_quoted(label)}) RETURN count(n) AS n")[0]["n"])


def relation_count(store: Store, type_: str) -> int:
    """Return how many relationships have a type, at once, however many."""
    return int(store.run(f"CYPHER 5 MATCH ()-[r:{_quoted(type_)}]->() RETURN count(r) AS n")[0]["n"])


def _quoted(name: str) -> str:
    return f"`{name.replace('`', '``')}`"


def _compare_meta(store: Store, projection: Projection, findings: Findings) -> None:
    network = projection.bundle.network
    rows = store.run("CYPHER 5 MATCH (m:Meta {network: $network}) RETURN properties(m) AS m", network=network)
    if len(rows) != 1:
        findings.add(network, f"meta:{network}", "Meta nodes", 1, len(rows))
        return
    found, expected = rows[0]["m"], projection.meta(loading="")
    if not projection.directions.count and not found.get("directions_rule"):
        expected["directions_rule"] = found.get("directions_rule")
    for name, kind in NODES["Meta"].properties.items():
        # a database that was loaded before there were directions does not speak of them
        wanted = expected[name] or found.get(name) if name.startswith("direction") else expected[name]
        if name not in _OF_LOADING and not same(wanted, found.get(name), kind):
            findings.add(network, f"meta:{network}", name, wanted, found.get(name))
    if not found.get("is_complete") or found.get("loading"):
        findings.add(network, f"meta:{network}", "is_complete", True, found.get("loading") or found.get("is_complete"))


def _compare_nodes(store: Store, projection: Projection, findings: Findings) -> None:
    network = projection.bundle.network
    for label, rows in projection.nodes().items():
        labels = {label, *NODES[label].labels}
        expected = {row["uid"]: row for row in rows}
        missing = set(expected)
        for found in _nodes(store, label, network, [layer.name for layer in projection.bundle.layers]):
            uid = found["node"].get("uid")
            row = expected.get(uid)
            if row is None:
                if not (label == "Family" and found["node"].get("is_claimed")):
                    findings.add(network, str(uid), f"node {label}", "none", "one")
                continue
            if uid not in missing:
                findings.add(network, uid, f"nodes {label} of this uid", 1, "several")
            missing.discard(uid)
            if set(found["labels"]) != labels:
                findings.add(network, uid, "labels", sorted(labels), sorted(found["labels"]))
            for name in {*NODES[label].properties, *found["node"]}:
                wanted, kind = row.get(name), NODES[label].properties.get(name, "string")
                if not same(wanted, found["node"].get(name), kind):
                    findings.add(network, uid, name, wanted, found["node"].get(name))
        for uid in sorted(missing):
            findings.add(network, uid, f"node {label}", "one", "none")


def _nodes(store: Store, label: str, network: str, layers: Sequence[str]) -> Iterable[dict[str, Any]]:
    answer = "RETURN labels(n) AS labels, properties(n) AS node"
    if label == "Network":
        yield from store.run(f"CYPHER 5 MATCH (n:Network {{uid: $network}}) {answer}", network=network)
    elif label == "Unit":
        for layer in layers:
            text = f"CYPHER 5 MATCH (n:Unit {{network: $network, layer: $layer}}) WHERE NOT n:Direction {answer}"
            yield from store.run(text, network=network, layer=layer)
    else:
        yield from store.run(f"CYPHER 5 MATCH (n:{label} {{network: $network}}) {answer}", network=network)


def _compare_relations(store: Store, projection: Projection, findings: Findings) -> None:
    network = projection.bundle.network
    starts = {
        "IN": ("MATCH (a:Unit|Layer {network: $network})-[r:IN]->(b)",),
        "FEEDS": ("MATCH (a:Layer {network: $network})-[r:FEEDS]->(b)",),
        "MEMBER_OF": ("MATCH (a)-[r:MEMBER_OF]->(b:Family {network: $network}) WHERE r.source IS NULL",),
        "COMBINES": ("MATCH (a:Direction {network: $network})-[r:COMBINES]->(b)",),
    }
    for relation in projection.relations():
        kinds = RELATIONSHIPS[relation.type].properties
        expected = _by_ends(relation)
        for text in starts[relation.type]:
            answer = "RETURN a.uid AS a, b.uid AS b, properties(r) AS r"
            for found in store.run(f"CYPHER 5 {text} {answer}", network=network):
                place = f"{found['a']} -> {found['b']}"
                rows = expected.get((found["a"], found["b"], found["r"].get("block")))
                if not rows:
                    findings.add(network, place, relation.type, "none", "one")
                    continue
                row = rows.pop()
                for name in {*kinds, *found["r"]}:
                    if not same(row.get(name), found["r"].get(name), kinds.get(name, "string")):
                        findings.add(network, place, f"{relation.type}.{name}", row.get(name), found["r"].get(name))
        for (start, end, _), rows in expected.items():
            if rows:
                findings.add(network, f"{start} -> {end}", relation.type, "one", "none")


def _by_ends(relation: Relation) -> dict[tuple[str, str, Any], list[dict[str, Any]]]:
    by_ends: dict[tuple[str, str, Any], list[dict[str, Any]]] = {}
    for start, end, row in zip(relation.start, relation.end, relation.properties, strict=True):
        by_ends.setdefault((start, end, row.get("block")), []).append(row)
    return by_ends


class _Sums:
    """Counts and sums of edges, by what tells a block or a pair of layers from the others."""

    def __init__(self) -> None:
        self.expected: dict[tuple[Any, ...], dict[str, float]] = {}
        self.sizes: dict[tuple[Any, ...], dict[str, float]] = {}

    def take(self, projection: Projection, findings: Findings) -> None:
        """Sum what the bundle holds, and see that its kernels and its tables agree."""
        kernels: dict[int, list[float]] = {}
        for batch in projection.iter_edges():
            part, ends = batch.block, kinds_of(batch.block)
            columns = {name: batch.table[name].to_numpy().astype(np.float64) for name in batch.table.column_names[:-1]}
            columns["kh"] = np.full(len(batch.up), float(part.window[0]))
            columns["kw"] = np.full(len(batch.up), float(part.window[1]))
            for name, places, kind in (("at_up", batch.up, ends[0]), ("at_down", batch.down, ends[1])):
                columns[name] = columns["l1"] * (places if kind == "neuron" else 0)
            self._add((part.up, part.down, "CONNECTS", part.block, *ends), columns, (*_SUMMED, "at_up", "at_down"))
            for type_, flag in STRONG_FLAGS.items():
                own = columns[flag] > 0
                names = RELATIONSHIPS[type_].properties
                strong = {name: columns[name][own] for name in (*names, "sum")}
                self._add((part.up, part.down, type_, None, *ends), strong, tuple(names), count=int(own.sum()))
            values = batch.table["kernel"].combine_chunks().values.to_numpy().astype(np.float64)
            sums = kernels.setdefault(part.block, [0.0, 0.0, 0.0, 0.0])
            both = (values, np.abs(values), columns["sum"], columns["l1"])
            kernels[part.block] = [before + float(each.sum()) for before, each in zip(sums, both, strict=True)]
        for block, (total, l1, said, said_l1) in kernels.items():
            if abs(total - said) > _KERNEL_TOLERANCE * l1 or abs(l1 - said_l1) > _KERNEL_TOLERANCE * l1:
                network = projection.bundle.network
                place = f"{projection.bundle.path}, block {block}"
                findings.add(network, place, "sum and l1 of the kernels", (said, said_l1), (total, l1))

    def _add(
        self, key: tuple[Any, ...], columns: Mapping[str, Any], names: Sequence[str], *, count: int | None = None
    ) -> None:
        n = len(columns["sum"]) if count is None else count
        if not n:
            return
        own, sizes = self.expected.setdefault(key, {"count": 0.0}), self.sizes.setdefault(key, {})
        own["count"] += n
        for name in names:
            own[name] = own.get(name, 0.0) + float(columns[name].sum())
            sizes[name] = sizes.get(name, 0.0) + float(np.abs(columns[name]).sum())

    def compare(self, store: Store, layer: str, findings: Findings) -> None:
        """Compare with what the database holds from the units of one layer on."""
        network, _, name = layer.partition("/")
        found: dict[tuple[Any, ...], dict[str, Any]] = {}
        texts = {
            "CONNECTS": f"RETURN 'CONNECTS' AS type, e.block AS block, {_KINDS}, count(e) AS count, "
            + ", ".join(f"sum(e.{each}) AS {each}" for each in _SUMMED)
            + ", sum(a.channel * e.l1) AS at_up, sum(b.channel * e.l1) AS at_down",
            "EXCITES|INHIBITS|MIXES": f"RETURN type(e) AS type, NULL AS block, {_KINDS}, count(e) AS count, "
            + ", ".join(f"sum(e.{each}) AS {each}" for each in _STRONG_SUMMED),
        }
        for types, answer in texts.items():
            text = f"CYPHER 5 MATCH (a:Unit {{network: $network, layer: $layer}})-[e:{types}]->(b) {answer}"
            try:
                rows = store.run(text, network=network, layer=name)
            except QueryLimitError:
                raise
            except QueryError as error:
                findings.add(network, layer, f"edges {types} that can be summed", "all", error.message)
                return
            for row in rows:
                kinds = ("direction" if row["up_kind"] else "neuron", "direction" if row["down_kind"] else "neuron")
                found[layer, f"{row['network']}/{row['layer']}", row["type"], row["block"], *kinds] = row
        wanted = {key for key in self.expected if key[0] == layer}
        for key in sorted(wanted | set(found), key=str):
            self._compare_one(network, key, found.get(key, {}), findings)

    def _compare_one(self, network: str, key: tuple[Any, ...], found: Mapping[str, Any], findings: Findings) -> None:
        own, sizes = self.expected.get(key, {}), self.sizes.get(key, {})
        up, down, type_, block, up_kind, down_kind = key
        place = f"{up} -> {down}" + (f" (block {block})" if block is not None else "")
        if "direction" in (up_kind, down_kind):
            place += f" ({up_kind} -> {down_kind})"
        if int(own.get("count", 0)) != found.get("count", 0):
            findings.add(network, place, f"number of {type_}", int(own.get("count", 0)), found.get("count", 0))
        for name, size in sizes.items():
            there = float(found.get(name) or 0.0)
            if not math.isclose(own[name], there, rel_tol=0, abs_tol=_TOLERANCE * size + 1e-30):
                findings.add(network, place, f"{_WORDS.get(name, f'sum of {name}')} over {type_}", own[name], there)


_WORDS = {"at_up": "l1 times upstream channel", "at_down": "l1 times downstream channel"}


def kinds_of(part: BlockInfo) -> tuple[str, str]:
    """Return the kinds of unit at both ends of a block."""
    return (part.up_kind, part.down_kind) if isinstance(part, DirectionBlockInfo) else ("neuron", "neuron")


def same(wanted: Any, found: Any, kind: str) -> bool:
    """Say whether a property of this kind of the schema is as it should be; an empty list is as good as none."""
    if wanted in (None, []) or found in (None, []):
        return wanted in (None, []) and found in (None, [])
    if kind == "float":
        return _is_number(found) and np.float32(wanted) == np.float32(found)
    if kind == "double":
        return _is_number(found) and math.isclose(wanted, found, rel_tol=1e-12, abs_tol=0)
    return type(wanted) is type(found) and bool(wanted == found)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _shown(value: object) -> str:
    if isinstance(value, bool) or value is None:
        return "nothing" if value is None else str(value).lower()
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.12g}"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_shown, value))[:200] or "nothing"
    return str(value)[:200]
