"""Pictures as SVG text: from arrays and graphs, never from a bundle or a store."""

from __future__ import annotations

from circuitgraph.draw.circuit import draw_circuit
from circuitgraph.draw.kernel import draw_kernel
from circuitgraph.draw.svg import Picture

__all__ = ["Picture", "draw_circuit", "draw_kernel"]
