"""What stands around a grid of kernels: the names, angles and pictures of its units, and where they go."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from circuitgraph.draw.image import EvidenceImage
from circuitgraph.draw.parts import dial
from circuitgraph.draw.svg import GREY, INK, Markup, clean, number, shorten, tag, text, wrap
from circuitgraph.errors import ShapeError

__all__ = [
    "ACT",
    "IMAGE",
    "MARGIN",
    "STRAIGHT_FROM",
    "TIP_LETTERS",
    "Plan",
    "Side",
    "angle_heads",
    "keep_within",
    "known_angles",
    "make_side",
    "name_heads",
    "row_head",
    "slanted_name",
    "unit_picture",
    "written_degrees",
]

ACT = "drawing a grid"
"""What errors begin with."""
MARGIN = 16.0
IMAGE = 40.0
"""Side of a unit's picture, in pixels."""
STRAIGHT_FROM = 56.0
"""Pixels from one column to the next from which their names are not slanted."""
TIP_LETTERS = 120
_MOST_IMAGE_BYTES = 3 << 20
"""Of all pictures of units together."""


@dataclass(frozen=True, slots=True)
class Side:
    """Units along one side: uids or names, what else they are called, angles, pictures, and how many there would be."""

    names: tuple[str, ...]
    labels: tuple[str, ...]
    angles_deg: tuple[float | None, ...]
    images: tuple[EvidenceImage | None, ...]
    whole: int

    @property
    def room(self) -> float:
        """Pixels that the pictures take."""
        return IMAGE + 6 if any(self.images) else 0.0

    def told(self, place: int) -> str:
        """Return what a unit is called, where any length will do."""
        name, label = self.names[place][:TIP_LETTERS], self.labels[place][:TIP_LETTERS]
        return f"{label} ({name})" if label else name


@dataclass(frozen=True, slots=True)
class Plan:
    """Where things go: the tiles' top left corner, from one to the next, a cell's side, and the head's top."""

    left: float
    top: float
    across: float
    down: float
    cell: float
    tile: tuple[float, float]


def make_side(
    count: int,
    shown: int,
    names: Sequence[str],
    labels: Sequence[str],
    angles: Sequence[float | None] | None,
    images: Sequence[EvidenceImage | None],
    which: str,
) -> Side:
    """Return the first `shown` of `count` units, checked.

    Raises
    ------
    ShapeError
        There are fewer names, labels, angles or pictures than units, or an angle is not finite.
    """
    given_angles = () if angles is None else angles
    for said, given in (("names", names), ("labels", labels), ("angles", given_angles), ("pictures", images)):
        if len(given) and len(given) < count:
            raise ShapeError(f"{ACT}: there are {count} {which}stream units and {len(given)} {said}.")
    wanted = [None] * count if angles is None or not len(angles) else list(angles)
    for place, angle in enumerate(wanted):
        if angle is not None and not math.isfinite(angle):
            raise ShapeError(f"{ACT}: the angle of {which}stream unit {place} is {angle}, a finite one is wanted.")
    called = [clean(name) for name in names] or [str(place) for place in range(count)]
    pictures = list(images) or [None] * count
    further = [clean(label) for label in labels] or [""] * count
    whole = max(count, len(names))
    return Side(tuple(called[:shown]), tuple(further[:shown]), tuple(wanted[:shown]), tuple(pictures[:shown]), whole)


def keep_within(sides: Sequence[Side]) -> tuple[list[Side], int]:
    """Return the sides with as many pictures as fit together, and how many do not."""
    left, dropped = _MOST_IMAGE_BYTES, 0
    out = []
    for side in sides:
        kept: list[EvidenceImage | None] = []
        for image in side.images:
            fits = image is not None and len(image.data) <= left
            dropped += image is not None and not fits
            left -= len(image.data) if image is not None and fits else 0
            kept.append(image if fits else None)
        out.append(replace(side, images=tuple(kept)))
    return out, dropped


def unit_picture(image: EvidenceImage | None, x: float, y: float) -> list[Markup]:
    """Draw what a unit looks like, nothing if there is no picture of it."""
    if image is None:
        return []
    at = {"x": x, "y": y, "width": IMAGE, "height": IMAGE}
    said = "; ".join(part for part in (clean(image.caption), clean(image.source)) if part)[: 2 * TIP_LETTERS]
    drawn = tag("image", href=image.uri, preserveAspectRatio="xMidYMid meet", **at)
    return [tag("g", tag("title", said or "picture of the unit"), tag("rect", fill="#f2f2f2", **at), drawn)]


def written_degrees(angle: float, *, is_relative: bool = False) -> str:
    """Write an angle in whole degrees, from 0 to 359, or with its sign if it is a difference of two."""
    whole = round(angle)
    if not is_relative:
        return f"{whole % 360}°"
    return f"{'+' if whole > 0 else '−' if whole < 0 else ''}{abs(whole)}°"


def known_angles(angles: tuple[float | None, ...], which: str) -> list[float]:
    """Return the angles, none of them missing.

    Raises
    ------
    ShapeError
        One is.
    """
    missing = [place for place, angle in enumerate(angles) if angle is None]
    if missing:
        raise ShapeError(
            f"{ACT}: to turn it, every unit needs an angle; {len(missing)} of {len(angles)} {which}stream units "
            f"have none, the first is {missing[0]}.",
            hint=f"Give {which}_angles_deg, or draw the grid as it is, with turned=False.",
        )
    return [angle for angle in angles if angle is not None]


def angle_heads(angles: tuple[float, ...], plan: Plan) -> list[Markup]:
    """Draw the relative angles of columns above them."""
    parts = [text("angle of the upstream unit less the row's", plan.left, plan.top - 40, 10, fill=GREY)]
    for col, angle in enumerate(angles):
        x = plan.left + col * plan.across + plan.tile[0] / 2
        parts.append(dial(angle, x, plan.top - 26))
        parts.append(
            text(
                written_degrees(angle, is_relative=True),
                x,
                plan.top - 8,
                10.5 if plan.across > 34 else 9,
                text_anchor="middle",
            )
        )
    return [*parts, text("downstream unit", MARGIN, plan.top - 8, 10, fill=GREY)]


def slanted_name(up: Side, col: int) -> str:
    """Return what stands above a narrow column."""
    angle = up.angles_deg[col]
    return shorten(up.names[col], 80 if angle is None else 60, 10) + (
        "" if angle is None else f" {written_degrees(angle)}"
    )


def name_heads(up: Side, plan: Plan) -> list[Markup]:
    """Draw the names, angles and pictures of upstream units above their columns."""
    base = plan.top - up.room
    parts: list[Markup] = [
        text("upstream →", plan.left - 10, base - 20, 10, fill=GREY, text_anchor="end"),
        text("downstream ↓", plan.left - 10, base - 7, 10, fill=GREY, text_anchor="end"),
    ]
    for col, name in enumerate(up.names):
        x = plan.left + col * plan.across + plan.tile[0] / 2
        angle = up.angles_deg[col]
        said = tag("title", up.told(col))
        parts += unit_picture(up.images[col], x - IMAGE / 2, plan.top - up.room + 3)
        if plan.across < STRAIGHT_FROM:
            slanted = slanted_name(up, col)
            turn = f"rotate(-55 {number(x)} {number(base - 8)})"
            parts.append(tag("g", said, text(slanted, x, base - 8, 10, transform=turn)))
            continue
        label = up.labels[col]
        lines = wrap(label, plan.across - 4, 10.5) if label else []
        lines += wrap(name, plan.across - 4, 10.5, lines=1 if label or angle is not None else 2)
        y = base - 8 - (14 if angle is not None else 0) - 12 * (len(lines) - 1)
        words = [
            text(line, x, y + 12 * i, 10.5, text_anchor="middle", fill=GREY if label and line is lines[-1] else INK)
            for i, line in enumerate(lines)
        ]
        parts.append(tag("g", said, *words))
        if angle is not None:
            parts.append(dial(angle, x - 15, base - 12))
            parts.append(text(written_degrees(angle), x - 5, base - 8, 10, fill=GREY))
    return parts


def row_head(down: Side, plan: Plan, row: int) -> list[Markup]:
    """Draw the label, name and angle of a downstream unit before its row, what the row's height has room for."""
    name, label, angle = down.names[row], down.labels[row], down.angles_deg[row]
    middle = plan.top + row * plan.down + plan.tile[1] / 2
    end = plan.left - 10 - (0 if angle is None else 17)
    wide = end - MARGIN - down.room
    fitting = max(1, int((plan.tile[1] + 8) / 13))
    said = [] if angle is None else [written_degrees(angle)]
    if said and fitting == 1:
        lines = [f"{shorten(name, wide - 26, 10.5)} {said.pop()}"]
    elif label and fitting - len(said) >= 2:
        said.insert(0, shorten(name, wide, 10.5))
        lines = wrap(label, wide, 10.5, lines=min(2, fitting - len(said)))
    else:
        lines = wrap(name, wide, 10.5, lines=min(2, fitting - len(said)))
    y = middle + 4 - 6.5 * (len(lines) + len(said) - 1)
    words = [
        text(line, end, y + 13 * place, 10.5, fill=INK if place < len(lines) else GREY, text_anchor="end")
        for place, line in enumerate([*lines, *said])
    ]
    if angle is not None:
        words.append(dial(angle, plan.left - 16, middle))
    return [tag("g", tag("title", down.told(row)), *words)]
