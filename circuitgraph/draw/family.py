"""A family as a ring: its units in the order of their orientations, with kernels and tuning curves.

Angles are in degrees, counter-clockwise as displayed, 0 pointing right.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from circuitgraph.draw.kernel import check_scale, scale_bar
from circuitgraph.draw.marks import brief
from circuitgraph.draw.ring import draw_ring
from circuitgraph.draw.svg import GREY, Markup, Picture, shorten, tag, text
from circuitgraph.draw.tuning import RingMember, draw_strips, member_channel, member_name
from circuitgraph.errors import GraphError, ShapeError

__all__ = ["MOST_ON_RING", "RingMember", "draw_family"]

_WIDTH, _MARGIN = 720.0, 16.0
MOST_ON_RING = 32
"""How many members go round the ring."""


def draw_family(
    members: Sequence[RingMember],
    *,
    title: str = "",
    scale: float | None = None,
    limit: int = MOST_ON_RING,
    note: str = "",
) -> Picture:
    """Draw a family round a ring in the order of orientation, then each unit's tuning curve.

    Parameters
    ----------
    members
        In any order; those without an angle are listed apart and counted.
    title
        Any text, shown above.
    scale
        The weight that has the full colour, the same for all kernels; the largest if None.
    limit
        How many are drawn on the ring, at most 32; the picture says how many there are.
    note
        A line to say which kernels these are, any text; drawn where there are any.

    Returns
    -------
    Picture
        720 pixels wide.

    Raises
    ------
    GraphError
        No member, or the same unit twice.
    ShapeError
        `scale` or `limit` is not above 0.
    """
    if not members:
        raise GraphError("drawing a family: it has 0 members, at least 1 is wanted.")
    different = len({member.uid for member in members})
    if different < len(members):
        raise GraphError(f"drawing a family: {len(members)} members are given, {different} are different.")
    if limit < 1:
        raise ShapeError(f"drawing a family: the limit is {limit}, 1 or more is wanted.")
    turned = sorted((m for m in members if m.angle_deg is not None), key=lambda m: (m.angle_deg, m.uid))
    apart = [m for m in members if m.angle_deg is None]
    shown = turned[: min(limit, MOST_ON_RING)]
    kernels = [m.kernel for m in shown if isinstance(m.kernel, np.ndarray)]
    full = check_scale(scale, kernels, "drawing a family")
    heading = brief(title, 1000) or "Family"
    parts = [text(shorten(heading, _WIDTH - 32, 16.5), _MARGIN, 26, 16, font_weight="600")]
    count = f"{len(members):,} {'unit' if len(members) == 1 else 'units'}"
    said = f"{count}, {len(turned):,} with an angle"
    if len(shown) < len(turned):
        said += f"; showing {len(shown):,} of {len(turned):,}, from 0 degrees on"
    parts.append(text(f"{said}. Angles run counter-clockwise, 0 points right.", _MARGIN, 44, 11, fill=GREY))
    y = 56.0
    told = brief(note, 240) if kernels else ""
    if told:
        parts.append(text(shorten(told, _WIDTH - 32, 11), _MARGIN, 60, 11, fill=GREY))
        y += 16
        said = f"{said}. {told.removesuffix('.')}"
    if shown:
        more, y = draw_ring(shown, y, full)
        parts += more
        if kernels:
            parts += scale_bar(_MARGIN, y, 170, full)
            y += 40
        y += 12
    if any(m.tuning is not None for m in shown):
        more, y = draw_strips(shown, y)
        parts += more
    if apart:
        more, y = _draw_apart(apart, y)
        parts += more
    return Picture.compose(
        parts, width=_WIDTH, height=math.ceil(y + 8), title=heading, desc=_describe(shown, apart, said)
    )


def _draw_apart(apart: Sequence[RingMember], top: float) -> tuple[list[Markup], float]:
    most, per_row = 48, 6
    said = f"{len(apart):,} {'unit' if len(apart) == 1 else 'units'} without an angle"
    if len(apart) > most:
        said += f", showing {most} of {len(apart):,}"
    parts = [text(said, _MARGIN, top + 10, 13, font_weight="600")]
    y = top + 18
    pitch = (_WIDTH - 2 * _MARGIN) / per_row
    for place, member in enumerate(apart[:most]):
        x, at = _MARGIN + place % per_row * pitch, y + place // per_row * 30 + 14
        name, uid = member_name(member), member_channel(member)
        own = [tag("title", f"{name} ({member.uid})"), text(shorten(name, pitch - 8, 11), x, at, 10.5)]
        if name != uid:
            own.append(text(shorten(uid, pitch - 8, 9), x, at + 11, 9, fill=GREY))
        parts.append(tag("g", *own))
    return parts, y + -(-min(most, len(apart)) // per_row) * 30 + 8


def _describe(shown: Sequence[RingMember], apart: Sequence[RingMember], said: str) -> str:
    words = [f"{member_name(m)} at {m.angle_deg or 0.0:.4g} degrees" for m in shown]
    if apart:
        words.append(f"without an angle: {', '.join(member_name(m) for m in apart[:48])}")
    return f"{said}. {'; '.join(words)}."
