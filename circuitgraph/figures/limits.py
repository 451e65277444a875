"""What a picture left out, in its own words, for whoever does not look at it."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from circuitgraph.draw import Picture

__all__ = ["limits_of"]

_SHOWN = re.compile(r"(?i)\b(showing|drawn:)\b.*?([\d,]+)\b.*?\bof (the )?([\d,]+)")


def limits_of(picture: Picture) -> list[str]:
    """Return the lines of a picture that say how many of how many it shows; none where it shows everything."""
    # our own drawing, not a stranger's file
    root = ElementTree.fromstring(picture.svg)  # noqa: S314
    lines = ("".join(element.itertext()) for element in root.iter("{http://www.w3.org/2000/svg}text"))
    said = [line for line in lines if (found := _SHOWN.search(line)) and found[2] != found[4]]
    return list(dict.fromkeys(said))
