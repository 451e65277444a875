"""The graph's schema: labels, relationship types, their properties, constraints and indexes.

The reference page ``docs/reference/schema.md`` is made from this file.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from circuitgraph.store.neo4j import Store

__all__ = ["INDEXES", "NODES", "RELATIONSHIPS", "SCHEMA_VERSION", "Kind", "create_schema"]

SCHEMA_VERSION = 1

_FLOAT, _INT, _TEXT, _BOOL, _TEXTS, _FLOATS = "float", "int", "string", "boolean", "string[]", "float[]"


@dataclass(frozen=True, slots=True)
class Kind:
    """A label or a relationship type: what it means, and the type of each property.

    Property types are those of the bulk importer: int, long, float (32 bit), double, string, boolean, and lists.
    """

    meaning: str
    properties: dict[str, str]
    ends: tuple[str, str] = ("", "")
    labels: tuple[str, ...] = field(default=())


NODES: dict[str, Kind] = {
    "Network": Kind(
        "a network, tied to the hash of its weights",
        {
            "uid": _TEXT,
            "name": _TEXT,
            "architecture": _TEXT,
            "weights_sha256": _TEXT,
            "source": _TEXT,
            "importer": _TEXT,
            "input_shape": "int[]",
            "approximations": _TEXTS,
            "reference": _TEXT,
        },
    ),
    "Layer": Kind(
        "a layer of units; sizes, strides and receptive fields in input pixels, (row, col)",
        {
            "uid": _TEXT,
            "network": _TEXT,
            "name": _TEXT,
            "index": _INT,
            "kind": _TEXT,
            "unit_count": _INT,
            "rows": _INT,
            "cols": _INT,
            "stride_row": _INT,
            "stride_col": _INT,
            "receptive_row": _INT,
            "receptive_col": _INT,
            "aliases": _TEXTS,
        },
    ),
    "Unit": Kind(
        "a neuron (a whole channel); kept_count and kept_share say how many of its kernels, and which share "
        "of its incoming l1, the graph holds",
        {
            "uid": _TEXT,
            "network": _TEXT,
            "layer": _TEXT,
            "channel": _INT,
            "bias": _FLOAT,
            "in_norm": _FLOAT,
            "out_norm": _FLOAT,
            "is_dead": _BOOL,
            "kept_count": _INT,
            "kept_share": _FLOAT,
        },
        labels=("Neuron",),
    ),
    "Direction": Kind(
        "a direction: a combination of the neurons of one layer, a `Unit` with kernels of its own (n1 W n2^T at each "
        "position); kept_count and kept_share are of what leads to it from neurons",
        {
            "uid": _TEXT,
            "network": _TEXT,
            "layer": _TEXT,
            "name": _TEXT,
            "source": _TEXT,
            "bias": _FLOAT,
            "in_norm": _FLOAT,
            "out_norm": _FLOAT,
            "is_dead": _BOOL,
            "length": _FLOAT,
            "combines_count": _INT,
            "combines_kept_count": _INT,
            "combines_kept_share": _FLOAT,
            "kept_count": _INT,
            "kept_share": _FLOAT,
            "coefficients_sha256": _TEXT,
        },
        labels=("Unit",),
    ),
    "Family": Kind(
        "units of one layer that detect variations of one thing",
        {
            "uid": _TEXT,
            "network": _TEXT,
            "layer": _TEXT,
            "name": _TEXT,
            "description": _TEXT,
            "reference": _TEXT,
            "is_claimed": _BOOL,
        },
    ),
    "Motif": Kind(
        "a found match of a motif search, with its null and its numbers; the uid is a hash of which units it says "
        "what of, so that another search of the same units brings its numbers up to date",
        {
            "uid": _TEXT,
            "network": _TEXT,
            "motif": _TEXT,
            "score": "double",
            "effect": "double",
            "p": "double",
            "q": "double",
            "null": _TEXT,
            "verdict": _TEXT,
            "draws": _INT,
            "seed": "long",
            "level": "double",
            "tested_count": "long",
            "statement": _TEXT,
            "notes": _TEXTS,
            "details": _TEXT,
            "roles": _TEXTS,
            "positions": "int[]",
            "units": _TEXTS,
            "weights_sha256": _TEXT,
            "bundle_sha256": _TEXT,
        },
    ),
    "Circuit": Kind(
        "a circuit of the catalogue, bound to its units where the weights that it was seen in are loaded; "
        "its i-th edge leads from `ups[i]` to `downs[i]`",
        {
            "uid": _TEXT,
            "name": _TEXT,
            "description": _TEXT,
            "reference": _TEXT,
            "author": _TEXT,
            "orcid": _TEXT,
            "date": _TEXT,
            "sha256": _TEXT,
            "supersedes": _TEXTS,
            "networks": _TEXTS,
            "weights": _TEXTS,
            "units": _TEXTS,
            "roles": _TEXTS,
            "orders": "int[]",
            "ups": _TEXTS,
            "downs": _TEXTS,
            "thresholds": _TEXT,
            "record": _TEXT,
        },
    ),
    "Claim": Kind(
        "a claim of the catalogue; `json` is what it says, the other properties are read out of it for queries. A node "
        "without `json` is one that other claims name and that the store does not hold",
        {
            "uid": _TEXT,
            "json": _TEXT,
            "kind": _TEXT,
            "subject": _TEXT,
            "predicate": _TEXT,
            "object": _TEXT,
            "negated": _BOOL,
            "network": _TEXT,
            "object_network": _TEXT,
            "down": _TEXT,
            "statement": _TEXT,
            "confidence": "double",
            "method": _TEXT,
            "method_version": _TEXT,
            "author": _TEXT,
            "date": _TEXT,
            "reference": _TEXT,
            "codes": _TEXTS,
            "argument_count": _INT,
            "position": "long",
            "angle_deg": "double",
        },
    ),
    "Evidence": Kind(
        "an item of evidence, shared by claims that bring the very same",
        {
            "uid": _TEXT,
            "code": _TEXT,
            "is_against": _BOOL,
            "statement": _TEXT,
            "figures": _TEXT,
            "figure_names": _TEXTS,
            "figure_values": "double[]",
            "files": _TEXTS,
            "reference": _TEXT,
        },
    ),
    "Feature": Kind(
        "what units detect, as the vocabulary now has it; without a name where only claims know it",
        {
            "uid": _TEXT,
            "now": _TEXT,
            "name": _TEXT,
            "definition": _TEXT,
            "synonyms": _TEXTS,
            "replaces": _TEXTS,
            "author": _TEXT,
            "date": _TEXT,
            "reference": _TEXT,
        },
    ),
    "Contributor": Kind("who makes claims", {"uid": _TEXT, "name": _TEXT, "orcid": _TEXT}),
    "Record": Kind(
        "an entry of the vocabulary, or a version of a family, as it was written; superseded ones too",
        {"uid": _TEXT, "kind": _TEXT, "about": _TEXT, "json": _TEXT},
    ),
    "Release": Kind(
        "a release of a catalogue; what it lists is in the folder that released it",
        {
            "uid": _TEXT,
            "name": _TEXT,
            "title": _TEXT,
            "author": _TEXT,
            "date": _TEXT,
            "doi": _TEXT,
            "licence": _TEXT,
            "sha256": _TEXT,
            "claim_count": "long",
            "json": _TEXT,
        },
    ),
    "Meta": Kind(
        "what was loaded for one network: the bundle's hash, the cuts, whether the load was completed and, "
        "until then, how it is being loaded",
        {
            "uid": _TEXT,
            "network": _TEXT,
            "schema_version": _INT,
            "bundle_sha256": _TEXT,
            "weights_sha256": _TEXT,
            "bundle_path": _TEXT,
            "edges_rule": _TEXT,
            "edge_count": _INT,
            "edges_in_bundle": _INT,
            "strong_share": "double",
            "mixes_sum_share": "double",
            "directions_sha256": _TEXT,
            "directions_rule": _TEXT,
            "direction_count": _INT,
            "direction_edge_count": _INT,
            "direction_edges_in_bundle": _INT,
            "is_complete": _BOOL,
            "loading": _TEXT,
        },
    ),
}

_STRONG = {"sum": _FLOAT, "share_in": _FLOAT}

RELATIONSHIPS: dict[str, Kind] = {
    "IN": Kind("a unit is in a layer, a layer in a network", {}, ends=("Unit|Layer", "Layer|Network")),
    "FEEDS": Kind(
        "one stored block of kernels between two layers: window, offset and stride in upstream cells, "
        "what was linearised, how well the target is predicted from all its sources, and what the graph holds of it; "
        "cuts are those of the layer pair",
        {
            "block": _INT,
            "form": _TEXT,
            "row_start": _INT,
            "row_stop": _INT,
            "kh": _INT,
            "kw": _INT,
            "offset_row": _INT,
            "offset_col": _INT,
            "stride_row": _INT,
            "stride_col": _INT,
            "approximations": _TEXTS,
            "ignored_activations": _INT,
            "fidelity": "double",
            "fidelity_explained": "double",
            "fidelity_on": _TEXT,
            "edge_count": _INT,
            "kept_count": _INT,
            "l1": "double",
            "kept_l1_share": "double",
            "kept_squared_share": "double",
            "cancellation_median": _FLOAT,
            "cancellation_p90": _FLOAT,
            "strong_sum_cut": _FLOAT,
            "strong_l2_cut": _FLOAT,
            "up_kind": _TEXT,
            "down_kind": _TEXT,
        },
        ends=("Layer", "Layer"),
    ),
    "CONNECTS": Kind(
        "the expanded weights from one unit to another, positive excites",
        {
            "block": _INT,
            "kh": _INT,
            "kw": _INT,
            "sum": _FLOAT,
            "l1": _FLOAT,
            "l2": _FLOAT,
            "excitation": _FLOAT,
            "inhibition": _FLOAT,
            "centre": _FLOAT,
            "surround": _FLOAT,
            "top": _FLOAT,
            "bottom": _FLOAT,
            "left": _FLOAT,
            "right": _FLOAT,
            "peak_row": _INT,
            "peak_col": _INT,
            "cancellation": _FLOAT,
            "share_in": _FLOAT,
            "kernel": _FLOATS,
        },
        ends=("Unit", "Unit"),
    ),
    "EXCITES": Kind("one of the pair's strongest 2% by |sum|, sum > 0", _STRONG, ends=("Unit", "Unit")),
    "INHIBITS": Kind("one of the pair's strongest 2% by |sum|, sum < 0", _STRONG, ends=("Unit", "Unit")),
    "MIXES": Kind(
        "one of the pair's strongest 2% by l2 that nearly sums to nothing: |sum| < 0.2 l1",
        {
            "sum": _FLOAT,
            "top": _FLOAT,
            "bottom": _FLOAT,
            "left": _FLOAT,
            "right": _FLOAT,
            "share_in": _FLOAT,
        },
        ends=("Unit", "Unit"),
    ),
    "COMBINES": Kind(
        "the coefficient of a neuron in a direction, where it is not 0",
        {"weight": _FLOAT},
        ends=("Direction", "Unit:Neuron"),
    ),
    "MEMBER_OF": Kind(
        "a unit's place in a family; the angle counter-clockwise as displayed, 0 pointing right",
        {"position": _INT, "angle_deg": _FLOAT, "source": _TEXT},
        ends=("Unit", "Family"),
    ),
    "BINDS": Kind(
        "a unit in a role of a found motif",
        {"role": _TEXT, "position": _INT},
        ends=("Motif", "Unit"),
    ),
    "INCLUDES": Kind(
        "a unit of a circuit",
        {"role": _TEXT, "order": _INT},
        ends=("Circuit", "Unit"),
    ),
    "ATTRIBUTED": Kind(
        "what one unit contributed to another, for a class or a prompt, as a table of the catalogue says",
        {"influence": "double", "class": _TEXT, "source": _TEXT, "table": _TEXT},
        ends=("Unit", "Unit"),
    ),
    "ABOUT": Kind(
        "what a claim is about, where that is in the graph; a claim about an edge has two, `up` and `down`",
        {"role": _TEXT},
        ends=("Claim", "Unit|Layer|Network|Family|Feature|Circuit|Motif|Claim"),
    ),
    "ASSERTS": Kind(
        "the object of a claim, where that is in the graph: the feature that is detected, the family of a member",
        {},
        ends=("Claim", "Feature|Family|Network|Unit|Layer|Circuit|Motif"),
    ),
    "SUPPORTED_BY": Kind("an item of evidence that a claim brings", {}, ends=("Claim", "Evidence")),
    "BY": Kind("who makes a claim", {}, ends=("Claim", "Contributor")),
    "SUPERSEDES": Kind(
        "the claim that a claim takes the place of; one that nothing supersedes is current", {}, ends=("Claim", "Claim")
    ),
    "BROADER": Kind("what a feature is a kind of", {}, ends=("Feature", "Feature")),
}

_UNIQUE = (*NODES, "LoadBatch")

INDEXES: tuple[str, ...] = (
    *(
        f"CYPHER 5 CREATE CONSTRAINT {label.lower()}_uid IF NOT EXISTS FOR (n:{label}) REQUIRE n.uid IS UNIQUE"
        for label in _UNIQUE
    ),
    "CYPHER 5 CREATE INDEX unit_layer IF NOT EXISTS FOR (n:Unit) ON (n.network, n.layer)",
    "CYPHER 5 CREATE INDEX motif_network IF NOT EXISTS FOR (n:Motif) ON (n.network, n.motif)",
    "CYPHER 5 CREATE INDEX attributed_table IF NOT EXISTS FOR ()-[r:ATTRIBUTED]-() ON (r.table)",
    *(
        f"CYPHER 5 CREATE INDEX claim_{name} IF NOT EXISTS FOR (n:Claim) ON (n.{name})"
        for name in ("subject", "object", "network", "object_network", "down", "predicate")
    ),
    "CYPHER 5 CREATE INDEX feature_now IF NOT EXISTS FOR (n:Feature) ON (n.now)",
    "CYPHER 5 CREATE INDEX record_kind IF NOT EXISTS FOR (n:Record) ON (n.kind, n.about)",
    "CYPHER 5 CREATE FULLTEXT INDEX names IF NOT EXISTS FOR (n:Network|Layer|Family|Feature|Claim|Circuit) "
    "ON EACH [n.name, n.uid, n.description, n.statement]",
)
"""Statements that set up constraints and indexes; each can be run again."""


def create_schema(store: Store) -> None:
    """Set up the constraints and indexes that are not there yet."""
    for statement in INDEXES:
        store.run(statement, write=True)
