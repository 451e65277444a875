"""Cards round a ring, each at its angle or as near as there is room, and tuning curves round its centre."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from circuitgraph.draw.kernel import kernel_cells
from circuitgraph.draw.marks import brief, shrink
from circuitgraph.draw.ranks import spread
from circuitgraph.draw.svg import GREY, INK, Markup, clean, number, shorten, tag, text
from circuitgraph.draw.tuning import RingMember, member_channel, member_name, sample_tuning

__all__ = ["draw_ring"]

_WIDTH, _MARGIN = 720.0, 16.0
_INNER = 112.0


def _at(angle: float, radius: float, centre: tuple[float, float]) -> tuple[float, float]:
    # y grows downwards in a picture: counter-clockwise as displayed is minus
    return (
        centre[0] + radius * math.cos(math.radians(angle)),
        centre[1] - radius * math.sin(math.radians(angle)),
    )


def _spread_round(angles: Sequence[float], gaps: Sequence[float]) -> list[float]:
    """Move sorted angles apart, each to take its gap in degrees, in their order round the circle.

    An angle is moved to one side or the other, never round: what is returned may lie below 0 or above 360.
    """
    share = min(1.0, 360.0 / sum(gaps))
    rooms = [gap * share for gap in gaps]
    between = [(after - before) % 360 for before, after in zip(angles, [*angles[1:], angles[0]], strict=True)]
    cut = max(range(len(between)), key=lambda i: (between[i], -i)) + 1
    # a line from the middle of the widest gap once round
    low = angles[cut - 1] + between[cut - 1] / 2
    order = [*range(cut, len(angles)), *range(cut)]
    line = [low + (angles[i] - low) % 360 for i in order]
    placed = spread(line, [rooms[i] for i in order], low, low + 360)
    out = [0.0] * len(angles)
    for i, start, place in zip(order, line, placed, strict=True):
        out[i] = angles[i] + place - start
    return out


@dataclass(frozen=True, slots=True)
class _Card:
    """How large the members' cards are, and how far from the centre."""

    radius: float
    tile: float
    width: float
    height: float

    def gaps(self, places: Sequence[float]) -> list[float]:
        """Return how many degrees of the ring a card takes at each place, so that it overlaps no neighbour."""
        out = []
        for place in places:
            across, along = abs(math.sin(math.radians(place))), abs(math.cos(math.radians(place)))
            out.append(math.degrees(min(self.width / max(across, 1e-9), self.height / max(along, 1e-9)) / self.radius))
        return out


def _card_of(count: int, *, has_kernels: bool, has_sources: bool) -> _Card:
    """Return the largest cards that go round the page, on the smallest ring that has room for them."""
    words = 43.0 if has_sources else 32.0
    for tile in range(60, 28, -2):
        width = max(tile + 14.0, 46.0) if tile < 60 else 84.0
        for radius in (214.0, 240.0, 266.0, _WIDTH / 2 - _MARGIN - width / 2):
            card = _Card(radius, tile if has_kernels else 0.0, width, (tile if has_kernels else 0.0) + words)
            if sum(card.gaps([360 * i / count for i in range(count)])) <= 335:
                return card
    return card


def draw_ring(shown: Sequence[RingMember], top: float, scale: float) -> tuple[list[Markup], float]:
    """Draw members, sorted by angle, round a ring, and return where it ends."""
    card = _card_of(
        len(shown),
        has_kernels=any(m.kernel is not None for m in shown),
        has_sources=any(m.kernel is not None and clean(m.source) for m in shown),
    )
    angles = [m.angle_deg or 0.0 for m in shown]
    is_short = any(
        _fitting(member_channel(m), card.width, 8.5) != member_channel(m) for m in shown if m.kernel is not None
    )
    sources = [f"← {brief(m.source)}" for m in shown if m.kernel is not None]
    small = 9.0 if card.width > 60 else 7.5
    is_short_source = any(shorten(said, card.width, small) != said for said in sources)
    places = angles
    for _ in range(4):
        # how much a card takes depends on where it lies
        places = _spread_round(angles, card.gaps(places))
    is_moved = any(abs(place - angle) > 25 for place, angle in zip(places, angles, strict=True))
    # without curves inside it, the circle grows to where the cards are, unless long lines wind between the two
    is_free = not is_moved and all(m.tuning is None for m in shown)
    inner = max(_INNER, card.radius - card.height / 2 - 44) if is_free else _INNER
    heights = [_at(place, card.radius, (0.0, 0.0))[1] for place in places]
    centre = (_WIDTH / 2, top + max(inner + 6, card.height / 2 - min(heights)))
    bottom = centre[1] + max(inner + 6, card.height / 2 + max(heights))
    parts = [
        tag("circle", cx=centre[0], cy=centre[1], r=radius, fill="none", stroke="#e3e3e3")
        for radius in (inner / 2, inner)
    ]
    for quarter in (0, 90, 180, 270):
        x, y = _at(quarter, inner, centre)
        parts.append(
            tag("path", d=f"M{number(centre[0])} {number(centre[1])}L{number(x)} {number(y)}", stroke="#e3e3e3")
        )
    parts += _draw_lobes(shown, centre)
    for quarter in (0, 90, 180, 270):
        x, y = _at(quarter, inner - 15, centre)
        halo: dict[str, str | float | None] = {"stroke": "#ffffff", "stroke_width": 3.0, "paint_order": "stroke"}
        parts.append(text(f"{quarter}°", x, y + 3.5, 9.5, fill=GREY, text_anchor="middle", **halo))
    for member, place in zip(shown, places, strict=True):
        parts.append(
            _draw_member(
                member, place, card, centre, scale, inner=inner, is_short=is_short, is_short_source=is_short_source
            )
        )
    return parts, bottom


def _draw_member(
    member: RingMember,
    place: float,
    card: _Card,
    centre: tuple[float, float],
    scale: float,
    *,
    inner: float,
    is_short: bool,
    is_short_source: bool,
) -> Markup:
    """Draw a member's dot on the circle, its card where there is room, and a line that winds from one to the other."""
    angle = member.angle_deg or 0.0
    across, along = abs(math.sin(math.radians(place))), abs(math.cos(math.radians(place)))
    half = 16.0 if member.kernel is None else card.height / 2
    inside = min(half / max(across, 1e-9), card.width / 2 / max(along, 1e-9))
    ends = (inner, card.radius - inside - 3)
    steps = max(1, math.ceil(abs(place - angle) / 8))
    points = [
        _at(angle + (place - angle) * i / steps, ends[0] + (ends[1] - ends[0]) * i / steps, centre)
        for i in range(steps + 1)
    ]
    start = _at(angle, inner, centre)
    x, y = _at(place, card.radius, centre)
    name, uid = member_name(member), member_channel(member)
    last = max(uid.rfind(":"), uid.rfind("@"))
    shown_uid = uid[last:] if is_short and last > 0 else uid
    source = brief(member.source) if member.kernel is not None else ""
    tip = f"{name} ({member.uid}), {angle:.4g} degrees"
    own = [
        tag("title", f"{tip}, kernel from {source}" if source else tip),
        tag("path", d="M" + "L".join(f"{number(px)} {number(py)}" for px, py in points), fill="none", stroke="#8c8c8c"),
        tag("circle", cx=start[0], cy=start[1], r=3, fill=INK),
    ]
    at = y - card.height / 2
    if isinstance(member.kernel, np.ndarray):
        kernel, _, _ = shrink(member.kernel, (-1, -1), 16)
        cell = card.tile / max(kernel.shape)
        left, above = x - kernel.shape[1] * cell / 2, at + (card.tile - kernel.shape[0] * cell) / 2
        own += kernel_cells(kernel, left, above, cell, scale)
    at += card.tile + 12 if member.kernel is not None else card.height / 2 - 2
    size = 10.0 if card.width > 60 else 8.5
    said = f"{angle:.4g}°"
    if name == uid:
        own.append(text(shorten(shown_uid, card.width, size), x, at, size, text_anchor="middle", font_weight="600"))
    else:
        own.append(text(shorten(name, card.width, size), x, at, size, text_anchor="middle", font_weight="600"))
        said = f"{_fitting(shown_uid, card.width - 30, size - 1)} {said}"
    own.append(text(said, x, at + size + 1, size - 1, fill=GREY, text_anchor="middle"))
    if source:
        last = max(source.rfind(":"), source.rfind("@"))
        arrow = shorten(f"← {source[last:] if is_short_source and last > 0 else source}", card.width, size - 1)
        own.append(text(arrow, x, at + 2 * size + 1, size - 1, fill=GREY, text_anchor="middle"))
    return tag("g", *own)


def _fitting(uid: str, width: float, size: float) -> str:
    """Return a uid's last part where the whole does not fit."""
    if shorten(uid, width, size) == uid:
        return uid
    last = max(uid.rfind(":"), uid.rfind("@"))
    return shorten(uid[last:] if last > 0 else uid, width, size)


def _draw_lobes(shown: Sequence[RingMember], centre: tuple[float, float]) -> list[Markup]:
    """Draw the tuning curves round the centre, each as far out as its own highest response."""
    parts = []
    for member in shown:
        if not isinstance(member.tuning, np.ndarray) or member.tuning.max() <= 0:
            continue
        values = sample_tuning(member.tuning, 180)[:-1]
        radii = np.maximum(values, 0) / values.max() * (_INNER - 2) if values.max() > 0 else values * 0
        points = [_at(360 * i / len(radii), float(radius), centre) for i, radius in enumerate(radii)]
        d = "M" + "L".join(f"{number(x)} {number(y)}" for x, y in points) + "z"
        parts.append(
            tag(
                "path",
                tag("title", f"Tuning of {member_name(member)}"),
                d=d,
                fill="#595959",
                fill_opacity=0.08,
                stroke="#595959",
                stroke_width=0.9,
            )
        )
    return parts
