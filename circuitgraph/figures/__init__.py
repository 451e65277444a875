"""Figures: what a picture needs, gathered from bundles, catalogues and searches, and drawn.

The same function stands behind a command of ``circuitgraph draw``, what a notebook shows, and a page of the explorer,
so that all of them show the same bytes. What draws is in `circuitgraph.draw`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from circuitgraph.figures.circuit import circuit_figure
    from circuitgraph.figures.family import family_figure
    from circuitgraph.figures.grid import grid_figure
    from circuitgraph.figures.kernel import kernel_figure
    from circuitgraph.figures.layer import layer_figure
    from circuitgraph.figures.motif import motif_figure
    from circuitgraph.figures.unit import unit_figure

__all__ = [
    "circuit_figure",
    "family_figure",
    "grid_figure",
    "kernel_figure",
    "layer_figure",
    "motif_figure",
    "unit_figure",
]


def __getattr__(name: str) -> Any:
    # each loaded on first use: a kernel needs none of what a circuit does
    if name in __all__:
        from importlib import import_module

        return getattr(import_module(f"circuitgraph.figures.{name.removesuffix('_figure')}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
