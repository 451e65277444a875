"""The figure of one kernel of a bundle."""

from __future__ import annotations

from circuitgraph.bundle import Bundle
from circuitgraph.bundle.unit_edges import read_edge
from circuitgraph.catalogue.base import BaseCatalogue
from circuitgraph.draw import Picture, draw_kernel
from circuitgraph.figures.labels import names_of, short_name

__all__ = ["kernel_figure"]


def kernel_figure(
    bundle: Bundle,
    up: str,
    down: str,
    *,
    catalogue: BaseCatalogue | None = None,
    scale: float | None = None,
    title: str = "",
) -> Picture:
    """Draw the kernel from unit `up` to unit `down`, the downstream unit's own position outlined.

    Parameters
    ----------
    up, down
        Names as `Bundle.unit` takes them; directions too.
    catalogue
        Where the units' names are taken from.
    scale
        As for `circuitgraph.draw.draw_kernel`.

    Raises
    ------
    UnknownUnitError, UnknownLayerError, UnknownPairError
        The unit, its layer or the pair of layers does not exist.
    ShapeError
        `scale` is not a finite number above 0.
    """
    edge = read_edge(bundle, up, down)
    names = names_of(catalogue, [edge.up, edge.down], bundle)
    ends = [f"{names[uid]} ({short_name(uid)})" if uid in names else short_name(uid) for uid in (edge.up, edge.down)]
    return draw_kernel(edge.kernel, scale=scale, title=title or " → ".join(ends), centre=edge.anchor)
