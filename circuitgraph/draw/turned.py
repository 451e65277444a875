"""Kernels of two families turned to one orientation: which stand in one column, and how alike they are.

Where an upstream and a downstream family both turn with a stimulus, the kernel between two units depends
only on the difference of their angles, once it is turned back by the downstream unit's: kernels of
one relative angle stand in one column, and in a family that is equivariant the column shows one kernel many times.

References
----------
Olah, Cammarata, Voss, Schubert, Goh, "Naturally Occurring Equivariance in Neural Networks", Distill 2020.
https://doi.org/10.23915/distill.00024.004
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from circuitgraph.turns import turn_by

__all__ = ["Likeness", "Turned", "relative_deg", "turn_family"]

# the ring of upstream angles is closed where no gap is larger than this many usual ones
_CLOSED_BELOW = 2.2
_MOST_BINS = 3
# mean resultant length from which differences of angles repeat with the ring's step
_REPEATS_FROM = 0.5


def relative_deg(up_deg: float, down_deg: float) -> float:
    """Return an upstream unit's angle less a downstream unit's, over -180 up to 180."""
    return 180.0 - (180.0 - (up_deg - down_deg)) % 360.0


@dataclass(frozen=True, slots=True)
class Likeness:
    """How much of columns of kernels their means hold, of the squared weights in the disc that no turn leaves.

    Attributes
    ----------
    turned, unturned
        The share when each kernel is turned back, and of the same columns when none is.
    chance
        The share for kernels that have nothing in common: one over how many stand in a column.
    """

    turned: float
    unturned: float
    chance: float


@dataclass(frozen=True, slots=True)
class Turned:
    """Kernels turned to one orientation.

    Attributes
    ----------
    kernels
        (down, up, row, col) as given, each turned back by its downstream unit's angle; NaN where that brings in
        nothing.
    columns
        For each downstream unit, in each column, the upstream unit's place, or -1 for none.
    angles_deg
        Of each column, the mean relative angle.
    means
        (column, row, col), NaN where every kernel of the column is.
    likeness
        None where no column holds two kernels, or no weight.
    """

    kernels: NDArray[np.float32]
    columns: NDArray[np.int64]
    angles_deg: tuple[float, ...]
    means: NDArray[np.float32]
    likeness: Likeness | None


def turn_family(
    kernels: NDArray[np.floating[Any]], down_angles_deg: Sequence[float], up_angles_deg: Sequence[float]
) -> Turned:
    """Turn each kernel back by its downstream unit's angle, and sort it into columns by relative angle.

    Parameters
    ----------
    kernels
        (down, up, row, col), finite.
    down_angles_deg, up_angles_deg
        One finite angle a unit, counter-clockwise as displayed.

    Notes
    -----
    Columns are evenly spaced bins, as many as upstream units where those go all around, else as their usual gap asks
    for; within a row each upstream unit takes another bin, so that the squared distances sum to the least. Bins
    that stay empty are left out.
    """
    # scipy takes a quarter of a second to load
    from scipy.optimize import linear_sum_assignment

    turned = np.stack([turn_by(row, -angle) for row, angle in zip(kernels, down_angles_deg, strict=True)])
    relative = np.array([[relative_deg(up, down) for up in up_angles_deg] for down in down_angles_deg])
    bins = _bins(relative, np.asarray(up_angles_deg, dtype=np.float64))
    columns = np.full((len(relative), len(bins)), -1, dtype=np.int64)
    for place, row in enumerate(relative):
        apart = (row[:, np.newaxis] - bins + 180) % 360 - 180
        # rounded, so that equal costs stay equal on every machine
        ups, taken = linear_sum_assignment(np.round(apart**2, 6))
        columns[place, taken] = ups
    columns = columns[:, (columns >= 0).any(axis=0)]
    angles, means = [], []
    for column in columns.T:
        rows = np.flatnonzero(column >= 0)
        angles.append(_mean_angle(relative[rows, column[rows]]))
        means.append(_mean(turned[rows, column[rows]]))
    return Turned(
        turned, columns, tuple(angles), np.array(means, dtype=np.float32), _likeness(kernels, turned, columns)
    )


def _bins(relative: NDArray[np.float64], ups: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the middles of the columns, ascending over -180 up to 180."""
    count = len(ups)
    gaps = np.sort(np.diff(np.sort(ups % 360), append=np.sort(ups % 360)[0] + 360))
    if count > 1 and gaps[-1] > _CLOSED_BELOW * np.median(gaps):
        usual = max(1e-9, float(np.median(gaps[:-1])))
        count = min(max(count, round(360 / usual)), _MOST_BINS * count)
    if len(ups) == 1:
        count = len(relative)
    step = 360 / count
    # where differences repeat with the step, the bins lie on them; else one lies on 0
    resultant = np.exp(2j * np.pi * relative / step).mean()
    phase = float(np.angle(resultant)) * step / (2 * np.pi) if abs(resultant) > _REPEATS_FROM else 0.0
    phase = round(phase, 6)
    return np.asarray(phase + step * (np.arange(count) - (count - 1) // 2), dtype=np.float64)


def _mean_angle(angles_deg: NDArray[np.float64]) -> float:
    at = np.exp(1j * np.radians(angles_deg)).mean()
    angle = float(np.degrees(np.angle(at)))
    return 180.0 if angle <= -179.5 else angle


def _mean(kernels: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the mean over the first axis of what is not NaN; NaN where all is."""
    is_there = ~np.isnan(kernels)
    counts = is_there.sum(axis=0)
    total = np.where(is_there, kernels, 0.0).sum(axis=0, dtype=np.float64)
    return np.asarray(np.where(counts > 0, total / np.maximum(counts, 1), np.nan), dtype=np.float64)


def _likeness(
    kernels: NDArray[np.floating[Any]], turned: NDArray[np.float32], columns: NDArray[np.int64]
) -> Likeness | None:
    height, width = kernels.shape[-2:]
    rows, cols = np.mgrid[:height, :width]
    disc = np.hypot(rows - (height - 1) / 2, cols - (width - 1) / 2) <= min(height, width) / 2
    held = {"turned": 0.0, "unturned": 0.0}
    whole = {"turned": 0.0, "unturned": 0.0}
    chance = 0.0
    for column in columns.T:
        downs = np.flatnonzero(column >= 0)
        if len(downs) < 2:
            continue
        for name, source in (("turned", turned), ("unturned", kernels)):
            cells = np.asarray(source[downs, column[downs]], dtype=np.float64)[:, disc]
            squares = float(np.square(cells).sum())
            whole[name] += squares
            held[name] += float(np.square(cells.mean(axis=0)).sum()) * len(downs)
            chance += squares / len(downs) if name == "turned" else 0.0
    if whole["turned"] == 0 or whole["unturned"] == 0:
        return None
    return Likeness(held["turned"] / whole["turned"], held["unturned"] / whole["unturned"], chance / whole["turned"])
