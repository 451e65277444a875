"""One unit with its strongest kernels, upstream and downstream: what a reader looks at first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any, Literal, get_args

import pyarrow.compute as pc

from circuitgraph.bundle.ranked_edges import RankedEdges, Side, rank_edges, say_ranking
from circuitgraph.bundle.unit_edges import read_edge
from circuitgraph.errors import BundleError
from circuitgraph.graph import CircuitEdge, CircuitUnit
from circuitgraph.ids import UnitId

if TYPE_CHECKING:
    from circuitgraph.bundle.read import Bundle
    from circuitgraph.draw import Picture
    from circuitgraph.draw.image import EvidenceImage

__all__ = ["Strength", "UnitView", "unit_row", "view_unit"]

Strength = Literal[
    "l2",
    "l1",
    "share_in",
    "sum",
    "top",
    "bottom",
    "left",
    "right",
    "centre",
    "-sum",
    "-top",
    "-bottom",
    "-left",
    "-right",
    "-centre",
]
"""What edges are ranked by: with "top", what excites most at the top comes first, with "-top", what inhibits most."""

_MOST = 64


@dataclass(frozen=True, eq=False)
class UnitView:
    """A unit and the strongest edges at it.

    Attributes
    ----------
    uid, layer
        Of the unit and its layer.
    kind
        "neuron" or "direction".
    bias, in_norm, out_norm, is_dead
        As in `Bundle.units`: the norms are l2 over all kernels into and out of it.
    upstream, downstream
        The strongest edges into and out of it, strongest first; those of a neuron are to and from neurons.
    upstream_count, downstream_count
        How many there are whose kernel is not zero.
    by
        What "strongest" is measured in.
    notes
        What was linearised between the layers that are shown, and how well it predicts.
    """

    uid: str
    layer: str
    kind: str
    bias: float
    in_norm: float
    out_norm: float
    is_dead: bool
    upstream: tuple[CircuitEdge, ...]
    downstream: tuple[CircuitEdge, ...]
    upstream_count: int
    downstream_count: int
    by: Strength
    notes: tuple[str, ...] = ()

    @property
    def neighbours(self) -> tuple[str, ...]:
        """Uids of the units at the other ends, upstream first."""
        return tuple(dict.fromkeys([*(edge.up for edge in self.upstream), *(edge.down for edge in self.downstream)]))

    @property
    def left_out(self) -> str:
        """What is not shown, in a sentence; empty where everything is."""
        said = [
            f"{len(shown):,} of {count:,} {side}"
            for shown, count, side in (
                (self.upstream, self.upstream_count, "upstream"),
                (self.downstream, self.downstream_count, "downstream"),
            )
            if len(shown) < count
        ]
        return f"showing {' and '.join(said)} kernels, the strongest by {say_ranking(self.by)}" if said else ""

    def unit(self, label: str = "") -> CircuitUnit:
        """Return the unit as one of a circuit, with what is known of it as attributes."""
        known = {"bias": self.bias, "in_norm": self.in_norm, "out_norm": self.out_norm, "is_dead": self.is_dead}
        return CircuitUnit(self.uid, label, 0, known)

    def picture(
        self,
        *,
        labels: Mapping[str, str] | None = None,
        title: str = "",
        images: Sequence[EvidenceImage] = (),
        facts: Sequence[str] = (),
    ) -> Picture:
        """Draw the unit and its kernels.

        Parameters
        ----------
        labels
            Uid to what to call a unit.
        images
            Feature visualisations and dataset examples, shown beside it.
        facts
            Further lines about it; at most two are shown.
        """
        from circuitgraph.draw.unit import draw_unit

        called = dict(labels or {})
        return draw_unit(
            self.unit(called.get(self.uid, "")),
            self.upstream,
            self.downstream,
            labels=called,
            upstream_count=self.upstream_count,
            downstream_count=self.downstream_count,
            images=images,
            facts=[*self._facts(), *facts],
            title=title,
            by=say_ranking(self.by),
        )

    def _facts(self) -> list[str]:
        dead = ["no weight leads from it" if self.out_norm == 0 else "no weight leads to it"] if self.is_dead else []
        return [f"bias {self.bias:.3g}".replace("-", "−"), *dead]

    def as_dict(self) -> dict[str, Any]:
        """Return everything but the kernels' weights, ready for JSON."""
        own = ("uid", "layer", "kind", "bias", "in_norm", "out_norm", "is_dead", "by")
        return {
            **{name: getattr(self, name) for name in own},
            "upstream": [_edge(edge, edge.up) for edge in self.upstream],
            "upstream_count": self.upstream_count,
            "downstream": [_edge(edge, edge.down) for edge in self.downstream],
            "downstream_count": self.downstream_count,
            "notes": list(self.notes),
        }

    def _repr_svg_(self) -> str:
        return self.picture().svg

    def _repr_html_(self) -> str:
        said = [f"<p>{escape(line)}</p>" for line in (self.left_out, *self.notes) if line]
        return f"<div>{self._repr_svg_()}{''.join(said)}</div>"

    def __repr__(self) -> str:
        return (
            f"<UnitView {self.uid}: {len(self.upstream)} of {self.upstream_count} kernels upstream, "
            f"{len(self.downstream)} of {self.downstream_count} downstream, by {self.by}>"
        )


def view_unit(
    bundle: Bundle,
    unit: str,
    *,
    top: int = 8,
    by: Strength = "l2",
    ranked: Mapping[Side, RankedEdges] | None = None,
) -> UnitView:
    """Return a unit with its strongest kernels; what `Bundle.view` calls.

    Parameters
    ----------
    ranked
        The edges of both sides by `by`, `top` or more of them, where they are at hand; else they are looked up.

    Raises
    ------
    UnknownUnitError, UnknownLayerError
        There is no such unit or layer.
    BundleError
        `top` or `by` cannot be used.
    """
    uid = bundle.unit(unit)
    if by not in get_args(Strength) or not 0 <= top <= _MOST:
        raise BundleError(
            f"looking at unit {uid}: top={top} and by={by!r} are given; 0 to {_MOST} kernels each way, "
            f"by {', '.join(get_args(Strength))}, are shown.",
            hint="Read more of them with Bundle.edges and Bundle.kernel.",
        )
    name = str(uid)
    sides: tuple[Side, Side] = ("upstream", "downstream")
    into, out = (ranked[side] if ranked else rank_edges(bundle, name, side, by=by, limit=top) for side in sides)
    upstream = [read_edge(bundle, row["unit"], name, share_in=row["share_in"]) for row in into.rows[:top]]
    downstream = [read_edge(bundle, name, row["unit"], share_in=row["share_in"]) for row in out.rows[:top]]
    row = unit_row(bundle, uid)
    return UnitView(
        uid=name,
        layer=str(uid.layer_id),
        kind=row["kind"],
        bias=row["bias"],
        in_norm=row["in_norm"],
        out_norm=row["out_norm"],
        is_dead=row["is_dead"],
        upstream=tuple(upstream),
        downstream=tuple(downstream),
        upstream_count=into.count,
        downstream_count=out.count,
        by=by,
        notes=_notes(bundle, [*upstream, *downstream]),
    )


def _notes(bundle: Bundle, edges: Sequence[CircuitEdge]) -> tuple[str, ...]:
    from circuitgraph.bundle.approximations import approximation_notes

    ends = [[str(UnitId.parse(uid).layer_id) for uid in (edge.up, edge.down)] for edge in edges]
    return tuple(approximation_notes(bundle, [(up, down) for up, down in ends]))


def unit_row(bundle: Bundle, unit: UnitId) -> dict[str, Any]:
    """Return the row of a unit, which is there, in the table of units."""
    # neurons stand there by layer and channel
    units = bundle.units
    if unit.channel is None:
        found = units.filter(pc.equal(units["uid"], str(unit)))
    else:
        own = bundle.layer(str(unit.layer_id))
        start = sum(layer.unit_count for layer in bundle.layers[: own.index])
        found = units.slice(start + unit.channel, 1)
    return dict(found.to_pylist()[0])


def _edge(edge: CircuitEdge, far: str) -> dict[str, Any]:
    kernel = edge.kernel
    return {
        "unit": far,
        "sum": edge.sum,
        "l1": edge.l1,
        "share_in": edge.share_in,
        "shape": list(kernel.shape),
        "anchor": list(edge.anchor),
    }
