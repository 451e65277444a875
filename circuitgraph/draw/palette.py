"""Colours of weights: red excites, blue inhibits, zero is all but white.

The five colours are ColorBrewer's RdBu, reversed; between them the colour runs
straight. A scale is symmetric about zero, so that equal magnitudes look equally strong.
"""

from __future__ import annotations

import math

from circuitgraph.errors import NonFiniteError

__all__ = ["EXCITES", "INHIBITS", "MIXES", "STOPS", "ZERO", "colour", "ink_on"]

STOPS = ("#0571b0", "#92c5de", "#f7f7f7", "#f4a582", "#ca0020")
"""Colours of -scale, -scale/2, 0, scale/2 and scale."""
INHIBITS, ZERO, EXCITES = STOPS[0], STOPS[2], STOPS[4]
MIXES = "#7b3294"
"""For what excites in one place and inhibits in another, and so is neither red nor blue."""

_RGB = tuple(tuple(int(stop[i : i + 2], 16) for i in (1, 3, 5)) for stop in STOPS)


def _blend(value: float, scale: float) -> tuple[int, int, int]:
    if not (math.isfinite(value) and math.isfinite(scale) and scale > 0):
        raise NonFiniteError(
            f"colouring {value} on a scale of {scale}: a finite weight and a scale above 0 are wanted."
        )
    place = (min(1.0, max(-1.0, value / scale)) + 1) * 2
    low = min(3, int(place))
    part = place - low
    red, green, blue = (round(a + (b - a) * part) for a, b in zip(_RGB[low], _RGB[low + 1], strict=True))
    return red, green, blue


def colour(value: float, scale: float) -> str:
    """Return the colour of a weight.

    Parameters
    ----------
    value
        The weight; beyond the scale it takes the end's colour.
    scale
        The magnitude that has the full colour, above 0, in the weight's own unit of measure.

    Raises
    ------
    NonFiniteError
        The weight is NaN or infinite, or the scale is not above 0.

    Examples
    --------
    >>> colour(0.0, 1.0), colour(1.0, 1.0), colour(-0.25, 1.0)
    ('#f7f7f7', '#ca0020', '#c4deea')
    """
    return "#{:02x}{:02x}{:02x}".format(*_blend(value, scale))


def ink_on(value: float, scale: float) -> str:
    """Return the colour, black or white, in which text on a weight's colour reads best."""
    # WCAG relative luminance; at 0.18 black and white have equal contrast, 4.6
    linear = [
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (v / 255 for v in _blend(value, scale))
    ]
    return "#000000" if 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2] > 0.18 else "#ffffff"
