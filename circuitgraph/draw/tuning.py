"""A family's members and their tuning curves, drawn one below the other."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from circuitgraph.draw.marks import brief
from circuitgraph.draw.svg import GREY, INK, Markup, number, shorten, signed, tag, text
from circuitgraph.errors import NonFiniteError, ShapeError
from circuitgraph.graph import as_kernel

__all__ = ["RingMember", "draw_strips", "member_channel", "member_name", "sample_tuning", "tuning_peak"]

_WIDTH, _MARGIN = 720.0, 16.0
_MOST_SAMPLES = 7200
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
    source
        Where the kernel leads from, any text, such as a unit's short name; drawn below it.

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
    source: str = ""

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


def member_name(member: RingMember) -> str:
    """Return what to call a member."""
    return brief(member.label) or member.uid.partition("/")[2] or member.uid


def member_channel(member: RingMember) -> str:
    """Return its uid without the network."""
    return member.uid.partition("/")[2] or member.uid


def sample_tuning(tuning: NDArray[np.float64], count: int = 360) -> NDArray[np.float64]:
    """Return the curve at `count` equally spaced angles, and at 360 once more."""
    if tuning.size <= count:
        return np.append(tuning, tuning[0])
    at = np.arange(count) * (tuning.size / count)
    values = np.interp(at, np.arange(tuning.size + 1), np.append(tuning, tuning[0]))
    return np.append(values, values[0])


def draw_strips(shown: Sequence[RingMember], top: float) -> tuple[list[Markup], float]:
    """Draw the tuning curves one below the other, and return where they end."""
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

    values = sample_tuning(tuning)
    xs = left + wide * np.arange(len(values)) / (len(values) - 1)
    line = "L".join(f"{number(float(x))} {number(place(float(v)))}" for x, v in zip(xs, values, strict=True))
    angle = member.angle_deg or 0.0
    name, uid = member_name(member), member_channel(member)
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
