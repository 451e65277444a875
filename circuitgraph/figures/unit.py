"""The figure of one unit: its strongest kernels up and down, what claims say, and pictures that claims carry."""

from __future__ import annotations

from circuitgraph.bundle import Bundle
from circuitgraph.bundle.unit_view import Strength, UnitView
from circuitgraph.catalogue.base import BaseCatalogue
from circuitgraph.draw import Picture
from circuitgraph.figures.evidence import evidence_images
from circuitgraph.figures.labels import names_of

__all__ = ["unit_figure"]


def unit_figure(
    bundle: Bundle,
    unit: str,
    *,
    catalogue: BaseCatalogue | None = None,
    top: int = 8,
    by: Strength = "l2",
    title: str = "",
    view: UnitView | None = None,
) -> Picture:
    """Draw a unit with its strongest kernels.

    Parameters
    ----------
    unit
        A name as `Bundle.unit` takes it; directions too.
    catalogue
        Where names are taken from, and the pictures that claims about the unit carry as evidence.
    top, by
        As for `Bundle.view`.
    view
        What `Bundle.view` gives for these, where it is at hand.

    Raises
    ------
    UnknownUnitError, UnknownLayerError
        There is no such unit or layer.
    BundleError
        `top` or `by` cannot be used.
    """
    view = bundle.view(unit, top=top, by=by) if view is None else view
    found = evidence_images(catalogue, view.uid)
    labels = names_of(catalogue, [view.uid, *view.neighbours], bundle)
    return view.picture(labels=labels, title=title, images=found.images, facts=found.missing)
