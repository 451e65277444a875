"""Every weight of the handwritten network that was set by hand.

These are the *wished* weights: expanded weights between unit layers, before the
random background that `importers.handwritten` adds. They are multiples of 1/1024,
so turning and mirroring them, and multiplying them out of their bottleneck, is
exact in float32. Positive excites. For angles see `importers.handwritten_plan`.

References
----------
Olah et al., "Zoom In: An Introduction to Circuits", Distill 2020.
https://doi.org/10.23915/distill.00024.001
Cammarata et al., "Curve Circuits", Distill 2021. https://doi.org/10.23915/distill.00024.006
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from math import cos, radians, sin

import numpy as np
from numpy.typing import NDArray

from importers.handwritten_plan import CURVE_RADIUS, LAYERS, channels_of

__all__ = ["wished_weights"]

Array = NDArray[np.float64]
Weights = NDArray[np.float32]
_QUANTUM = 1024


def wished_weights(layer: str) -> Weights:
    """Return the weights into `layer` that were set by hand, (down, up, row, col), without any background.

    The upstream layer is the one before it, and RGB for the first. After a pool
    the kernel is on the pooled map.
    """
    return _WISHES[layer]().copy()


class _Wish:
    """The hand-set kernels between two layers, addressed by role and place."""

    def __init__(self, layer: str) -> None:
        index = next(index for index, plan in enumerate(LAYERS) if plan.name == layer)
        plan = LAYERS[index]
        up_count = LAYERS[index - 1].unit_count if index else 3
        self.size = plan.kernel
        self._down = channels_of(layer)
        self._up = channels_of(LAYERS[index - 1].name) if index else {"rgb": (0, 1, 2)}
        self._weights = np.zeros((plan.unit_count, up_count, plan.kernel, plan.kernel))

    def add(self, down: str, up: str, kernel: Array, *, at: int = 0, of: int = 0) -> None:
        """Add a kernel from place `of` of role `up` to place `at` of role `down`."""
        self._weights[self._down[down][at], self._up[up][of]] += kernel

    def bump(self, x: float = 0.0, y: float = 0.0, total: float = 1.0, spread: float = 0.8) -> Array:
        """Return a Gaussian that sums to `total`; x to the right and y **upwards**, in cells from the centre."""
        return self.ridge(x, y, 0, total, spread, spread)

    def ridge(self, x: float, y: float, along_deg: float, total: float, length: float, width: float) -> Array:
        """Return an elongated Gaussian that sums to `total`."""
        east, north = _grid(self.size)
        turn = radians(along_deg)
        along = (east - x) * cos(turn) + (north - y) * sin(turn)
        across = (north - y) * cos(turn) - (east - x) * sin(turn)
        shape = np.exp(-0.5 * ((along / length) ** 2 + (across / width) ** 2))
        return np.asarray(total * shape / shape.sum())

    def done(self) -> Weights:
        return np.asarray(np.round(self._weights * _QUANTUM) / _QUANTUM, dtype=np.float32)


def _grid(size: int) -> tuple[Array, Array]:
    half = size // 2
    north, east = np.mgrid[half : -half - 1 : -1, -half : half + 1].astype(np.float64)
    return east, north


def _between(first: int, second: int) -> int:
    """Return the angle between two directions, 0 to 180."""
    return abs((first - second + 180) % 360 - 180)


def _between_axes(first: int, second: int) -> int:
    """Return the angle between two undirected lines, 0 to 90."""
    return abs((first - second + 90) % 180 - 90)


def _on_circle(angle: float, radius: float) -> tuple[float, float]:
    return radius * cos(radians(angle)), radius * sin(radians(angle))


@cache
def _conv2d0() -> Weights:
    wish = _Wish("conv2d0")
    east, north = _grid(wish.size)
    envelope = np.exp(-0.5 * (east**2 + north**2) / 1.4**2)
    spot = envelope - np.exp(-0.5 * (east**2 + north**2) / 0.9**2)
    spot -= envelope * spot.sum() / envelope.sum()
    for colour in range(3):
        for place in range(24):
            x, y = _on_circle(15 * place, 1.0)
            odd = (x * east + y * north) * envelope
            wish.add("edges", "rgb", odd / np.abs(odd).sum(), at=place, of=colour)
        wish.add("spots", "rgb", spot / np.abs(spot).sum(), of=colour)
    return wish.done()


@cache
def _conv2d1() -> Weights:
    wish = _Wish("conv2d1")
    for at in range(12):
        for of in range(24):
            weight = _LINE_FROM_EDGE[_between_axes(15 * at + 90, 15 * of)]
            if weight:
                wish.add("lines", "edges", wish.ridge(0, 0, 15 * at, weight, 1.4, 0.8), at=at, of=of)
    wish.add("spots", "spots", wish.bump(total=2.0))
    return wish.done()


_LINE_FROM_EDGE = {0: 1.0, 15: 0.6, 30: 0.0, 45: -0.2, 60: -0.4, 75: -0.5, 90: -0.6}
_LINE_FROM_LINE = {0: 1.0, 15: 0.4, 30: 0.0, 45: 0.0, 60: -0.2, 75: -0.3, 90: -0.4}


@cache
def _conv2d2() -> Weights:
    wish = _Wish("conv2d2")
    for at in range(12):
        for of in range(12):
            weight = _LINE_FROM_LINE[_between_axes(15 * at, 15 * of)]
            if weight:
                wish.add("lines", "lines", wish.ridge(0, 0, 15 * at, weight, 1.8, 0.7), at=at, of=of)
    for side, sign in (("left", 1), ("right", -1)):
        for angle in (30, 45, 60):
            like = (sign * angle) % 180 // 15
            against = (-sign * angle) % 180 // 15
            wish.add(f"strands-{side}", "lines", wish.bump(-0.5 * sign, -0.5, 0.8, 1.3), of=like)
            wish.add(f"strands-{side}", "lines", wish.bump(0.5 * sign, 0.5, -0.8, 1.3), of=against)
    wish.add("spots", "spots", wish.bump(total=1.5))
    return wish.done()


@cache
def _mixed3a() -> Weights:
    wish = _Wish("mixed3a")
    for at in range(24):
        for of in range(12):
            kernel = _arc_of_lines(wish, 15 * at, 15 * of) - 0.8 * _arc_of_lines(wish, 15 * at + 180, 15 * of)
            wish.add("early-curves", "lines", kernel, at=at, of=of)
    for at, line in ((0, 0), (1, 6)):
        wish.add("straight", "lines", wish.ridge(0, 0, 90 * at, 1.5, 1.8, 0.6), at=at, of=line)
    _mirrored(
        wish,
        ("fur", "strands", lambda sign: wish.bump(-0.6 * sign, 0.0, 1.5, 1.0)),
        ("fur", "-strands", lambda sign: wish.bump(0.6 * sign, 0.4, -1.5, 1.0)),
    )
    wish.add("eyes", "spots", wish.bump(total=2.0))
    wish.add("snouts", "spots", wish.bump(0.0, 0.6, total=1.5))
    wish.add("snouts", "lines", wish.ridge(0, -1.2, 0, 1.5, 1.5, 0.6), of=0)
    return wish.done()


def _arc_of_lines(wish: _Wish, angle: int, line: int) -> Array:
    """Return where the arc that bulges towards `angle` runs along `line`; an arc through the kernel's centre."""
    radius = CURVE_RADIUS / 4
    x0, y0 = _on_circle(angle, radius)
    kernel = np.zeros((wish.size, wish.size))
    for step in range(-45, 46, 5):
        turned = _between_axes(angle + step + 90, line)
        if turned < 36:
            x1, y1 = _on_circle(angle + step, radius)
            kernel += wish.bump(x1 - x0, y1 - y0, cos(radians(2.5 * turned)) / 8, 0.6)
    return kernel


@cache
def _mixed3b() -> Weights:
    wish = _Wish("mixed3b")
    radius = CURVE_RADIUS / 4
    for at in range(24):
        x0, y0 = _on_circle(15 * at, radius)
        for of in range(24):
            between = _between(15 * at, 15 * of)
            if between <= 45:
                x1, y1 = _on_circle(15 * of, radius)
                wish.add(
                    "curves",
                    "early-curves",
                    wish.ridge(x1 - x0, y1 - y0, 15 * of + 90, cos(radians(1.6 * between)), 0.9, 0.6),
                    at=at,
                    of=of,
                )
            elif between >= 120:
                inhibition = 0.8 * cos(radians(between))
                wish.add("curves", "early-curves", wish.ridge(0, 0, 15 * at + 90, inhibition, 1.5, 0.9), at=at, of=of)
    for at in range(4):
        tip = 45 + 90 * at
        for of in range(2):
            # the arm along x lies on the side away from the tip, as does the arm along y
            x, y = _on_circle(tip, 1.2)
            place = (-x, 0.0) if of == 0 else (0.0, -y)
            wish.add("corners", "straight", wish.ridge(*place, 90 * of, 1.5, 1.0, 0.6), at=at, of=of)
    _mirrored(
        wish,
        ("side", "fur", lambda sign: wish.bump(0.7 * sign, 0.3, 2.0, 1.0)),
        ("side", "-fur", lambda sign: wish.bump(-0.7 * sign, 0.3, -2.0, 1.0)),
        ("side", "eyes", lambda sign: wish.bump(-0.3 * sign, 1.2, 1.5, 0.7)),
        ("side", "snouts", lambda sign: wish.bump(-1.5 * sign, -0.8, 1.5, 0.7)),
    )
    return wish.done()


def _mirrored(wish: _Wish, *parts: tuple[str, str, Callable[[int], Array]]) -> None:
    """Add each part for both sides; a kernel is called with 1 for left, -1 for right, "-role" is the other side's."""
    for side, other, sign in (("left", "right", 1), ("right", "left", -1)):
        for down, up, kernel in parts:
            source = f"{up[1:]}-{other}" if up.startswith("-") else f"{up}-{side}"
            wish.add(f"{down}-{side}", up if up in ("eyes", "snouts") else source, kernel(sign))


@cache
def _mixed4a() -> Weights:
    wish = _Wish("mixed4a")
    for of in range(24):
        wish.add("circles", "curves", wish.bump(*_on_circle(15 * of, CURVE_RADIUS / 8), total=0.5, spread=0.6), of=of)
    for of in range(4):
        x, y = _on_circle(45 + 90 * of, 1.5)
        wish.add("panes", "corners", wish.bump(x, y, total=1.5, spread=0.7), of=of)
    for of in range(2):
        x, _ = _on_circle(45 + 90 * of, 2.0)
        wish.add("plates", "corners", wish.bump(x, 0.5, total=1.5, spread=0.7), of=of)
    _mirrored(
        wish,
        ("head", "side", lambda sign: wish.bump(-0.5 * sign, 0.0, 2.0, 0.9)),
        ("head", "-side", lambda sign: wish.bump(0.5 * sign, 0.0, -2.0, 0.9)),
    )
    return wish.done()


@cache
def _mixed4b() -> Weights:
    wish = _Wish("mixed4b")
    wish.add("windows", "panes", wish.bump(total=2.0))
    wish.add("car-body", "plates", wish.bump(total=2.0))
    wish.add("wheels", "circles", wish.bump(total=2.0))
    for at in range(5):
        source = "plates" if at % 2 else "panes"
        wish.add("other-vehicle-parts", source, wish.bump(*_on_circle(72 * at, 1.2), total=1.5), at=at)
        source = "head-right" if at % 2 else "head-left"
        wish.add("dog-parts", source, wish.bump(*_on_circle(72 * at + 36, 1.2), total=1.5), at=at)
    for side, sign in (("left", 1), ("right", -1)):
        wish.add("head", f"head-{side}", wish.bump(0.8 * sign, 0.2, 2.0))
    return wish.done()


@cache
def _mixed4c() -> Weights:
    wish = _Wish("mixed4c")
    above = wish.ridge(0, 1.5, 0, 2.0, 1.2, 0.5)
    below = wish.ridge(0, -1.5, 0, 2.0, 1.2, 0.5)
    wish.add("car", "windows", above - below)
    wish.add("car", "wheels", below - above)
    wish.add("car", "car-body", wish.ridge(0, -1.0, 0, 2.5, 1.2, 0.6))
    for at in range(7):
        for of in (at % 5, (at + 2) % 5):
            wish.add("other-vehicles", "other-vehicle-parts", wish.bump(*_on_circle(51 * at, 0.8), 1.5), at=at, of=of)
    for at in range(12):
        wish.add("dogs", "head", wish.bump(*_on_circle(30 * at, 0.7), 1.5), at=at)
        wish.add("dogs", "dog-parts", wish.bump(*_on_circle(30 * at + 180, 0.7), 1.2), at=at, of=at % 5)
    return wish.done()


@cache
def _mixed4d() -> Weights:
    wish = _Wish("mixed4d")
    for at in range(12):
        wish.add("dogs", "car", wish.bump(*_on_circle(30 * at, 1.0), 1.2), at=at)
        for step in (0, 1, 5):
            wish.add("dogs", "dogs", wish.bump(*_on_circle(30 * at + 90, 0.6), 1.2), at=at, of=(at + step) % 12)
        for step in (0, 3):
            source = (at + step) % 7
            wish.add("vehicles", "other-vehicles", wish.bump(*_on_circle(30 * at, 0.6), 1.2), at=at, of=source)
    return wish.done()


@cache
def _mixed4e() -> Weights:
    wish = _Wish("mixed4e")
    for of in (2, 7):
        wish.add("polysemantic", "dogs", wish.bump(0.0, 0.5, 1.5), of=of)
        wish.add("polysemantic", "vehicles", wish.bump(0.0, -0.5, 1.5), of=of)
    return wish.done()


_WISHES: Mapping[str, Callable[[], Weights]] = {
    "conv2d0": _conv2d0,
    "conv2d1": _conv2d1,
    "conv2d2": _conv2d2,
    "mixed3a": _mixed3a,
    "mixed3b": _mixed3b,
    "mixed4a": _mixed4a,
    "mixed4b": _mixed4b,
    "mixed4c": _mixed4c,
    "mixed4d": _mixed4d,
    "mixed4e": _mixed4e,
}
