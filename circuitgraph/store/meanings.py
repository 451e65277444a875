"""What each property of the graph means, and one query for each label and relationship.

The reference page ``docs/reference/schema.md`` is made from here and from `circuitgraph.store.schema`.
"""

from __future__ import annotations

__all__ = ["EXAMPLES", "MEANINGS", "meaning_of"]

MEANINGS: dict[str, str] = {
    "aliases": "other module paths that name the same tensor",
    "angle_deg": "counter-clockwise as displayed, 0 pointing right; absent where the family has no angles",
    "approximations": "what was linearised or dropped, as in `max_pool=avg`",
    "architecture": "name of the architecture, or `package.module:factory`",
    "bias": "what the pre-activation is where all sources are zero",
    "block": "number of the block of kernels, the same on `FEEDS` and `CONNECTS`",
    "bottom": "sum of the rows below the unit's own position",
    "bundle_path": "where the bundle lay when it was loaded",
    "bundle_sha256": "hash of everything in the bundle but the moment it was made",
    "cancellation": "0 to 1: share of the paths' weight that cancelled; 0 where nothing was multiplied",
    "cancellation_median": "median over the block's kernels; absent where nothing was multiplied",
    "cancellation_p90": "ninth decile over the block's kernels; absent where nothing was multiplied",
    "centre": "the one weight at the unit's own position; 0 where that lies outside the window",
    "channel": "place of the neuron in its layer, from 0",
    "cols": "columns of the map at the input shape of the import; 1 for a vector",
    "description": "in words",
    "edge_count": "how many kernels the block has",
    "edges_in_bundle": "how many kernels the bundle holds",
    "edges_rule": "which edges were asked for: `all`, or the top k per target and source layer",
    "excitation": "sum of the positive weights",
    "form": "`dense`, `row block`, `diagonal` (one source a target), `global` (on the mean of the map) or `spatial` "
    "(over the whole map)",
    "importer": "what made the bundle",
    "in_norm": "root of the sum of squares of all incoming weights",
    "index": "place in topological order, 0 for the input",
    "inhibition": "sum of the negative weights, at most 0; `sum = excitation + inhibition`",
    "input_shape": "(channel, row, col)",
    "is_complete": "false while a load is under way or after it was killed",
    "is_dead": "nothing leads in or nothing leads out",
    "kept_count": "how many of its incoming kernels the graph holds",
    "kept_l1_share": "share of the block's l1 that the graph holds",
    "kept_share": "share of its incoming l1 that the graph holds",
    "kept_squared_share": "share of the block's sum of squares that the graph holds",
    "kernel": "the weights, row by row, `kh * kw` numbers",
    "kh": "rows of the kernel",
    "kind": "`input`, `activation`, `concat`, `pooled` or `linear`",
    "kw": "columns of the kernel",
    "l1": "sum of the magnitudes of the weights",
    "l2": "root of the sum of squares of the weights",
    "layer": "name of its layer",
    "left": "sum of the columns left of the unit's own position",
    "loading": "how it is being loaded or was when it was killed: `bulk`, `append` or `failed`; absent when complete",
    "mixes_sum_share": "an edge mixes when |sum| is below this share of l1",
    "name": "name for reading",
    "network": "id of its network",
    "offset_col": "column of the first weight, in upstream cells from the unit's own position",
    "offset_row": "row of the first weight, in upstream cells from the unit's own position",
    "out_norm": "root of the sum of squares of all outgoing weights",
    "peak_col": "column of the largest magnitude, from the unit's own position",
    "peak_row": "row of the largest magnitude, from the unit's own position",
    "position": "place in the family, from 0",
    "receptive_col": "columns of the receptive field, in input pixels; 0 for the whole input",
    "receptive_row": "rows of the receptive field, in input pixels; 0 for the whole input",
    "reference": "what to cite",
    "right": "sum of the columns right of the unit's own position",
    "row_start": "first channel of the target layer that the block covers",
    "row_stop": "one past the last channel that the block covers",
    "rows": "rows of the map at the input shape of the import; 1 for a vector",
    "schema_version": "version of this schema",
    "share_in": "share of the target's incoming l1, over all its sources",
    "source": "file or object the weights came from",
    "stride_col": "columns by which the window moves: upstream cells on `FEEDS`, input pixels on `Layer`",
    "stride_row": "rows by which the window moves: upstream cells on `FEEDS`, input pixels on `Layer`",
    "strong_l2_cut": "least l2 that counts as strong in this pair of layers",
    "strong_share": "share of a layer pair's edges that counts as strong",
    "strong_sum_cut": "least |sum| that counts as strong in this pair of layers",
    "sum": "sum of the weights; positive excites",
    "surround": "`sum - centre`",
    "top": "sum of the rows above the unit's own position",
    "uid": "unique id",
    "unit_count": "how many units it has",
    "weights_sha256": "hash over names, shapes and values of the weights",
    "Family.layer": "name of the layer its units are in",
    "FEEDS.kept_count": "how many of the block's kernels the graph holds",
    "FEEDS.l1": "sum of the magnitudes of all the block's weights",
    "Layer.name": "module path of the layer in its network",
    "Meta.edge_count": "how many edges were loaded",
    "Network.approximations": "everything that was linearised or dropped in the import, in words",
    "Network.name": "title of the network",
}
"""Name of a property to its meaning; ``Kind.property`` where one label or relationship means another thing."""

EXAMPLES: dict[str, str] = {
    "Network": "MATCH (n:Network) RETURN n.uid, n.architecture, n.source",
    "Layer": "MATCH (l:Layer {network: 'handwritten'}) RETURN l.name, l.unit_count, l.receptive_row ORDER BY l.index",
    "Unit": "MATCH (u:Unit {uid: 'handwritten/mixed4c:41'}) RETURN u.bias, u.in_norm, u.out_norm, u.kept_share",
    "Family": "MATCH (f:Family {network: 'handwritten'}) RETURN f.name, f.layer ORDER BY f.name LIMIT 5",
    "Meta": "MATCH (m:Meta) RETURN m.network, m.edge_count, m.edges_in_bundle, m.is_complete",
    "IN": "MATCH (u:Unit)-[:IN]->(l:Layer)-[:IN]->(n:Network) RETURN n.uid, l.name, count(u) ORDER BY l.name LIMIT 3",
    "FEEDS": "MATCH (a:Layer)-[f:FEEDS]->(b:Layer) RETURN a.name, b.name, f.kh, f.kw, f.approximations LIMIT 5",
    "CONNECTS": "MATCH (u:Unit)-[e:CONNECTS]->(:Unit {uid: 'handwritten/mixed4c:41'}) "
    "RETURN u.uid, e.top, e.bottom ORDER BY e.top DESC LIMIT 5",
    "EXCITES": "MATCH (u:Unit)-[e:EXCITES]->(:Unit {uid: 'handwritten/mixed4a:31'}) "
    "RETURN u.uid, e.sum ORDER BY e.sum DESC LIMIT 5",
    "INHIBITS": "MATCH (a:Unit)-[e:INHIBITS]->(b:Unit) RETURN a.uid, b.uid, e.sum ORDER BY e.sum LIMIT 5",
    "MIXES": "MATCH (u:Unit)-[e:MIXES]->(:Unit {uid: 'handwritten/mixed4c:41'}) RETURN u.uid, e.top, e.bottom",
    "MEMBER_OF": "MATCH (u:Unit)-[m:MEMBER_OF]->(:Family {uid: 'handwritten/mixed3b!curves'}) "
    "RETURN u.uid, m.angle_deg ORDER BY m.position LIMIT 5",
}
"""Label or relationship to a query that uses it and runs on what ``circuitgraph demo`` loads."""


def meaning_of(kind: str, name: str) -> str:
    """Return what the property `name` means on the label or relationship `kind`."""
    return MEANINGS.get(f"{kind}.{name}", MEANINGS.get(name, ""))
