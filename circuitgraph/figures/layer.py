"""The figure of a layer: a tile for each of its units, with what reads it best at a glance."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from circuitgraph.bundle import Bundle
from circuitgraph.bundle.ranked_edges import rank_edges
from circuitgraph.bundle.unit_edges import read_edge
from circuitgraph.catalogue.base import BaseCatalogue
from circuitgraph.draw import Picture
from circuitgraph.draw.layer import LayerTile, draw_layer
from circuitgraph.errors import BundleError
from circuitgraph.figures.labels import names_of, short_name
from circuitgraph.records import Layer

__all__ = ["layer_figure"]

_LIMIT = 48
_COLOURS = "RGB"


def layer_figure(
    bundle: Bundle,
    layer: str,
    *,
    catalogue: BaseCatalogue | None = None,
    limit: int = _LIMIT,
    first: int = 0,
    units: Sequence[str] | None = None,
    title: str = "",
) -> Picture:
    """Draw an overview of a layer, its units by channel.

    A unit that reads the image is drawn in colour: its kernels from red, green and blue, in the order that the import
    recorded as ``input_channels``, RGB if none. Any other has its strongest kernel by l2, from upstream; in the first
    layer of a network, downstream.

    Parameters
    ----------
    layer
        As `Bundle.layer` takes it.
    catalogue
        Where names are taken from.
    limit, first
        Most units, and the channel to begin with; what is left out is said, and is not read.

    units
        Draw these units of the layer, in this order, instead of those from `first` on.

    Raises
    ------
    UnknownLayerError
        There is no such layer.
    BundleError
        `limit` or `first` names no unit.
    """
    own = bundle.layer(layer)
    if limit < 1 or not 0 <= first < own.unit_count:
        raise BundleError(
            f"drawing layer {own.uid}: {limit} units from channel {first} are asked for, "
            f"it has channels 0 to {own.unit_count - 1}.",
            hint="Ask for 1 or more, from a channel that is there.",
        )
    channels = range(first, min(own.unit_count, first + limit))
    chosen = [str(own.unit(channel)) for channel in channels] if units is None else [*units][:limit]
    names = names_of(catalogue, chosen, bundle)
    colours = _colours_of(bundle, own)
    tiles = [_tile(bundle, uid, names.get(uid, ""), colours) for uid in chosen]
    said = title or short_name(own.uid)
    if first and units is None:
        said += f", from channel {first}"
    return draw_layer(tiles, title=said, unit_count=own.unit_count, limit=limit)


def _colours_of(bundle: Bundle, layer: Layer) -> tuple[str, ...]:
    """Return the units for red, green and blue of the image that a layer reads; none if it reads anything else."""
    sources = [bundle.layer(up) for up, down in bundle.pairs if down == layer.uid]
    order = str(bundle.info.options.get("input_channels") or _COLOURS).upper()
    if len(sources) != 1 or sources[0].kind != "input" or sources[0].unit_count != len(_COLOURS):
        return ()
    if sorted(order) != sorted(_COLOURS):
        return ()
    return tuple(str(sources[0].unit(order.index(colour))) for colour in _COLOURS)


def _tile(bundle: Bundle, uid: str, label: str, colours: tuple[str, ...]) -> LayerTile:
    if colours:
        return LayerTile(uid, label, np.array([read_edge(bundle, colour, uid).kernel for colour in colours]), "")
    for row in rank_edges(bundle, uid, "upstream", limit=1).rows:
        return LayerTile(uid, label, read_edge(bundle, row["unit"], uid).kernel, f"from {short_name(row['unit'])}")
    for row in rank_edges(bundle, uid, "downstream", limit=1).rows:
        return LayerTile(uid, label, read_edge(bundle, uid, row["unit"]).kernel, f"to {short_name(row['unit'])}")
    return LayerTile(uid, label, None, "no weights")
