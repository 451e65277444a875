"""A family as a ring: its units in the order of their orientations, with kernels and tuning curves.

Angles are in degrees, counter-clockwise as displayed, 0 pointing right.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from circuitgraph.draw.kernel import check_scale, kernel_cells, scale_bar
from circuitgraph.draw.marks import brief, shrink
from circuitgraph.draw.ranks import spread
from circuitgraph.draw.svg import GREY, INK, Markup, Picture, number, shorten, signed, tag, text
from circuitgraph.errors import GraphError, NonFiniteError, ShapeError
from circuitgraph.graph import as_kernel

__all__ = ["RingMember", "draw_family", "tuning_peak"]

_WIDTH, _MARGIN = 720.0, 16.0
_MOST = 32
_MOST_SAMPLES = 7200
_INNER = 112.0
_STRIP = 46.0


@dataclass(frozen=True, eq=False, slots=True)
class RingMember:
    """One unit of a family.

    Parameters
    ----------
    uid
        Its uid.
    label
        What to call it, any text; the uid's last part where empty.
    angle_deg
        Its orientation, counter-clockwise with 0 pointing right; None where it has none.
    kernel
        (row, col), row 0 at the top: what stands for the unit, or None.
    tuning
        (n,) its response to what is turned through 360 degrees in n equal steps, the first at 0; or None.

    Raises
    ------
    ShapeError
        The kernel has not two axes, or the tuning is no line of 2 to 7,200 numbers.
    NonFiniteError
        The angle, a weight or a response is NaN or infinite.
    """

    uid: str
    label: str = ""
    angle_deg: float | None = None
    kernel: ArrayLike | None = None
    tuning: ArrayLike | None = None

    def __post_init__(self) -> None:
        place = f"family member {self.uid}"
        if self.angle_deg is not None:
            if not math.isfinite(self.angle_deg):
                raise NonFiniteError(f"{place}: its angle is {self.angle_deg}, a finite number of degrees is wanted.")
            object.__setattr__(self, "angle_deg", float(self.angle_deg) % 360 % 360)
        if self.kernel is not None:
            object.__setattr__(self, "kernel", as_kernel(self.kernel, place))
        if self.tuning is not None:
            object.__setattr__(self, "tuning", _as_tuning(self.tuning, place))


def _as_tuning(values: ArrayLike, place: str) -> NDArray[np.float64]:
    given = np.asarray(values)
    if given.dtype.kind not in "fiub" or given.ndim != 1 or not 2 <= given.size <= _MOST_SAMPLES:
        raise ShapeError(
            f"{place}: the tuning is {given.dtype} of shape {given.shape}, "
            f"2 to {_MOST_SAMPLES:,} responses in a line are wanted."
        )
    tuning = given.astype(np.float64)
    bad = np.flatnonzero(~np.isfinite(tuning))
    if len(bad):
        raise NonFiniteError(f"{place}: {len(bad)} of {tuning.size} responses are no finite number, first {bad[0]}.")
    tuning.setflags(write=False)
    return tuning


def tuning_peak(tuning: ArrayLike) -> tuple[float, float]:
    """Return at which angle, in degrees, a tuning curve is highest (the first of equals), and how high.

    Examples
    --------
    >>> tuning_peak([0.0, 1.0, 3.0, 2.0])
    (180.0, 3.0)
    """
    values = _as_tuning(tuning, "a tuning curve")
    at = int(values.argmax())
    return 360.0 * at / values.size, float(values[at])


def _name(member: RingMember) -> str:
    return brief(member.label) or member.uid.partition("/")[2] or member.uid


def _channel(member: RingMember) -> str:
    return member.uid.partition("/")[2] or member.uid


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


def _samples(tuning: NDArray[np.float64], count: int = 360) -> NDArray[np.float64]:
    """Return the curve at `count` equally spaced angles, and at 360 once more."""
    if tuning.size <= count:
        return np.append(tuning, tuning[0])
    at = np.arange(count) * (tuning.size / count)
    values = np.interp(at, np.arange(tuning.size + 1), np.append(tuning, tuning[0]))
    return np.append(values, values[0])


def draw_family(
    members: Sequence[RingMember], *, title: str = "", scale: float | None = None, limit: int = _MOST
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
    shown = turned[: min(limit, _MOST)]
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
    if shown:
        more, y = _draw_ring(shown, y, full)
        parts += more
        if kernels:
            parts += scale_bar(_MARGIN, y, 170, full)
            y += 40
        y += 12
    if any(m.tuning is not None for m in shown):
        more, y = _draw_strips(shown, y)
        parts += more
    if apart:
        more, y = _draw_apart(apart, y)
        parts += more
    return Picture.compose(
        parts, width=_WIDTH, height=math.ceil(y + 8), title=heading, desc=_describe(shown, apart, said)
    )


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


def _card_of(count: int, *, has_kernels: bool) -> _Card:
    """Return the largest cards that go round the page, on the smallest ring that has room for them."""
    for tile in range(60, 28, -2):
        width = max(tile + 14.0, 46.0) if tile < 60 else 84.0
        for radius in (214.0, 240.0, 266.0, _WIDTH / 2 - _MARGIN - width / 2):
            card = _Card(radius, tile if has_kernels else 0.0, width, (tile if has_kernels else 0.0) + 32)
            if sum(card.gaps([360 * i / count for i in range(count)])) <= 335:
                return card
    return card


def _draw_ring(shown: Sequence[RingMember], top: float, scale: float) -> tuple[list[Markup], float]:
    card = _card_of(len(shown), has_kernels=any(m.kernel is not None for m in shown))
    angles = [m.angle_deg or 0.0 for m in shown]
    is_short = any(_fitting(_channel(m), card.width, 8.5) != _channel(m) for m in shown if m.kernel is not None)
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
        parts.append(_draw_member(member, place, card, centre, scale, inner=inner, is_short=is_short))
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
    name, uid = _name(member), _channel(member)
    last = max(uid.rfind(":"), uid.rfind("@"))
    shown_uid = uid[last:] if is_short and last > 0 else uid
    own = [
        tag("title", f"{name} ({member.uid}), {angle:.4g} degrees"),
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
        values = _samples(member.tuning, 180)[:-1]
        radii = np.maximum(values, 0) / values.max() * (_INNER - 2) if values.max() > 0 else values * 0
        points = [_at(360 * i / len(radii), float(radius), centre) for i, radius in enumerate(radii)]
        d = "M" + "L".join(f"{number(x)} {number(y)}" for x, y in points) + "z"
        parts.append(
            tag(
                "path",
                tag("title", f"Tuning of {_name(member)}"),
                d=d,
                fill="#595959",
                fill_opacity=0.08,
                stroke="#595959",
                stroke_width=0.9,
            )
        )
    return parts


def _draw_strips(shown: Sequence[RingMember], top: float) -> tuple[list[Markup], float]:
    left, right = 210.0, _WIDTH - 130
    wide = right - left
    parts = [
        text("Tuning: response to what is turned through 360 degrees", _MARGIN, top + 10, 13, font_weight="600"),
        text(
            "Each curve on its own height. Dashed: the unit's angle. Dot: the highest response.",
            _MARGIN,
            top + 26,
            10,
            fill=GREY,
        ),
    ]
    y = top + 40
    with_tuning = [m for m in shown if isinstance(m.tuning, np.ndarray)]
    height = _STRIP if len(with_tuning) <= 16 else 30.0
    bottom = y + height * len(with_tuning)
    for quarter in range(5):
        x = left + wide * quarter / 4
        parts.append(tag("path", d=f"M{number(x)} {number(y)}V{number(bottom)}", stroke="#e3e3e3"))
        parts.append(text(f"{90 * quarter}°", x, bottom + 14, 10, fill=GREY, text_anchor="middle"))
    for member in with_tuning:
        parts.append(_draw_strip(member, left, y, wide, height))
        y += height
    return parts, bottom + 30


def _draw_strip(member: RingMember, left: float, y: float, wide: float, height: float) -> Markup:
    tuning: NDArray[Any] = np.asarray(member.tuning)
    at, peak = tuning_peak(tuning)
    low, high = min(0.0, float(tuning.min())), max(0.0, peak)
    span = (high - low) or 1.0
    floor = y + height - 6

    def place(value: float) -> float:
        return floor - (value - low) / span * (height - 12)

    values = _samples(tuning)
    xs = left + wide * np.arange(len(values)) / (len(values) - 1)
    line = "L".join(f"{number(float(x))} {number(place(float(v)))}" for x, v in zip(xs, values, strict=True))
    angle = member.angle_deg or 0.0
    name, uid = _name(member), _channel(member)
    middle = y + height / 2
    own = [
        tag("title", f"{name} ({member.uid}): highest response {signed(peak, 3)} at {at:.4g} degrees"),
        tag("path", d=f"M{number(left)} {number(place(0.0))}h{number(wide)}", stroke="#8c8c8c", stroke_width=0.7),
        tag(
            "path",
            d=f"M{number(left)} {number(place(0.0))}L{line}L{number(left + wide)} {number(place(0.0))}z",
            fill="#595959",
            fill_opacity=0.12,
        ),
        tag("path", d=f"M{line}", fill="none", stroke="#404040", stroke_width=1.3, stroke_linejoin="round"),
        tag(
            "path",
            d=f"M{number(left + wide * angle / 360)} {number(y + 3)}V{number(y + height - 3)}",
            fill="none",
            stroke=INK,
            stroke_dasharray="3 2",
        ),
        tag("circle", cx=left + wide * at / 360, cy=place(peak), r=2.6, fill=INK),
        text(shorten(name, 120, 11.5), _MARGIN, middle + (0 if name != uid else 4), 11, font_weight="600"),
    ]
    if name != uid:
        own.append(text(shorten(uid, 120, 9.5), _MARGIN, middle + 12, 9.5, fill=GREY))
    own.append(text(f"{angle:.4g}°", left - 12, middle + 4, 11, text_anchor="end"))
    off = (at - angle + 180) % 360 - 180
    beside = left + wide + 12
    own.append(text(f"peak {at:.4g}° ({signed(off, 3)}°)", beside, middle, 10))
    own.append(text(f"highest {signed(peak, 3)}", beside, middle + 12, 9.5, fill=GREY))
    return tag("g", *own)


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
        name, uid = _name(member), _channel(member)
        own = [tag("title", f"{name} ({member.uid})"), text(shorten(name, pitch - 8, 11), x, at, 10.5)]
        if name != uid:
            own.append(text(shorten(uid, pitch - 8, 9), x, at + 11, 9, fill=GREY))
        parts.append(tag("g", *own))
    return parts, y + -(-min(most, len(apart)) // per_row) * 30 + 8


def _describe(shown: Sequence[RingMember], apart: Sequence[RingMember], said: str) -> str:
    words = [f"{_name(m)} at {m.angle_deg or 0.0:.4g} degrees" for m in shown]
    if apart:
        words.append(f"without an angle: {', '.join(_name(m) for m in apart[:48])}")
    return f"{said}. {'; '.join(words)}."
