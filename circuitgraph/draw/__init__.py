"""Pictures as SVG text: from arrays and graphs, never from a bundle or a store."""

from __future__ import annotations

from circuitgraph.draw.circuit import draw_circuit
from circuitgraph.draw.family import RingMember, draw_family
from circuitgraph.draw.grid import draw_grid
from circuitgraph.draw.image import EvidenceImage
from circuitgraph.draw.kernel import draw_kernel
from circuitgraph.draw.layer import LayerTile, draw_layer
from circuitgraph.draw.match import draw_match, draw_null
from circuitgraph.draw.raster import to_html, to_png
from circuitgraph.draw.rgb import draw_rgb
from circuitgraph.draw.svg import Picture
from circuitgraph.draw.unit import draw_unit

__all__ = [
    "EvidenceImage",
    "LayerTile",
    "Picture",
    "RingMember",
    "draw_circuit",
    "draw_family",
    "draw_grid",
    "draw_kernel",
    "draw_layer",
    "draw_match",
    "draw_null",
    "draw_rgb",
    "draw_unit",
    "to_html",
    "to_png",
]
