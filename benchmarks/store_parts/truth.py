"""What is true of a synthetic network, from its kernels alone, and the motifs that are counted."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from circuitgraph.bundle import Bundle

# over the strong types; what stands for the types over CONNECTS is put in by `over_connects`
MOTIFS = {
    "a chain of two that excite": (
        "MATCH (a:Unit {network: $network, layer: $first})-[e1:EXCITES]->(:Unit)-[e2:EXCITES]->(:Unit) "
        "RETURN count(*) AS n"
    ),
    "two that both excite two (bi-fan)": (
        "MATCH (a1:Unit {network: $network, layer: $first})-[e1:EXCITES]->(b1:Unit)<-[e3:EXCITES]-(a2:Unit) "
        "WHERE a1.channel < a2.channel "
        "MATCH (a1)-[e5:EXCITES]->(b2:Unit)<-[e7:EXCITES]-(a2) WHERE b1.channel < b2.channel RETURN count(*) AS n"
    ),
    "two pathways, each inhibits the other's end, united": (
        "MATCH (a1:Unit {network: $network, layer: $first})-[i1:INHIBITS]->(b2:Unit)<-[e1:EXCITES]-(a2:Unit) "
        "WHERE a1.channel < a2.channel "
        "MATCH (a2)-[i3:INHIBITS]->(b1:Unit)<-[e3:EXCITES]-(a1) "
        "MATCH (b1)-[e2:EXCITES]->(c:Unit)<-[e4:EXCITES]-(b2) RETURN count(*) AS n"
    ),
}
SQL_EDGES = (
    "WITH e1 AS (SELECT up_channel AS u, down_channel AS d FROM edges WHERE excites AND up_layer = $a "
    "AND down_layer = $b), "
    "i1 AS (SELECT up_channel AS u, down_channel AS d FROM edges WHERE inhibits AND up_layer = $a "
    "AND down_layer = $b), "
    "e2 AS (SELECT up_channel AS u, down_channel AS d FROM edges WHERE excites AND up_layer = $b "
    "AND down_layer = $c) "
)
MOTIF_SQL = (
    "SELECT count(*) AS n FROM e1 JOIN e2 ON e1.d = e2.u",
    "SELECT count(*) AS n FROM e1 AS w JOIN e1 AS x ON x.d = w.d AND x.u > w.u JOIN e1 AS y ON y.u = w.u "
    "AND y.d > w.d JOIN e1 AS z ON z.u = x.u AND z.d = y.d",
    "SELECT count(*) AS n FROM e1 AS p JOIN i1 AS pi ON pi.u = p.u JOIN e1 AS q ON q.d = pi.d AND q.u > p.u "
    "JOIN i1 AS qi ON qi.u = q.u AND qi.d = p.d JOIN e2 AS r ON r.u = p.d JOIN e2 AS s ON s.u = q.d AND s.d = r.d",
)


class Truth:
    """Sums of kernels and who is strong, from the kernels alone."""

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle
        self.share = bundle.manifest.strong_share

    @cached_property
    def sums(self) -> list[np.ndarray]:
        """(up, down) for each pair of layers."""
        return [self._bundle.stored(part).sum(axis=(2, 3), dtype=np.float64).T for part in self._bundle.blocks]

    @cached_property
    def l1(self) -> list[float]:
        """Of each pair of layers."""
        return [float(np.abs(self._bundle.stored(part)).sum(dtype=np.float64)) for part in self._bundle.blocks]

    def strong(self, pair: int) -> tuple[np.ndarray, np.ndarray]:
        """Return which of a pair (up, down) excite and which inhibit."""
        sums = self.sums[pair]
        count = int(np.ceil(round(self.share * sums.size, 9)))
        cut = np.sort(np.abs(sums), axis=None)[-count]
        is_strong = np.abs(sums) >= cut
        return is_strong & (sums > 0), is_strong & (sums < 0)

    def motifs(self, pair: int) -> list[int]:
        """Count what `MOTIFS` count from the first layer of a pair."""
        excites, inhibits = (flag.astype(np.float64) for flag in self.strong(pair))
        after = self.strong(pair + 1)[0].astype(np.float64)
        common = np.triu(excites @ excites.T, k=1)
        crossed = excites.T @ inhibits
        return [
            int(excites.sum(axis=0) @ after.sum(axis=1)),
            int((common * (common - 1) / 2).sum()),
            int((crossed * crossed.T * (after @ after.T)).sum()) // 2,
        ]
