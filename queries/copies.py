"""Turned copies inside one layer: which unit reads what another reads, turned or mirrored.

``C_g[b, b'] = cos(T_g W[b, pa^-1 .], W[b', .])`` on the informative part of the kernels, where pa is how the upstream
units move when the image is turned by g: not at all for the channels of an image. A unit's copy is its best
partner other than itself. Null: Gaussian layers with the layer's own covariance averaged over the turns, so that they
are as smooth, as low in rank and as oriented as the layer but hold no copies; the best partner is searched in them too.

The isotropic control asks the same at angles that mean nothing to a family of quarter turns. Random Gabors without any
family have as many significant copies at 30 and 60 degrees as at 90, and so has the first layer of a real network.
There both sides are turned by half the angle, so that interpolation costs the same at each angle, and the
part of a kernel that no rotation changes is taken out.

Complexity: O(n^2 m k^2) per transformation and draw, for n units with m kernels of k x k; memory some ten
times the kernels.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from circuitgraph.turns import TURNS, informative, turn
from queries.significance import p_pooled, q_values

__all__ = ["Copies", "IsotropicControl", "Part", "closed_cycles", "find_copies", "measure_isotropy"]

CONTROL_DEG = (30.0, 60.0)
"""Angles that no quarter turn, and no family of eight orientations, explains."""


@dataclass(frozen=True, eq=False)
class Part:
    """Kernels (n, m, row, col) float64 from one upstream layer, and how its units move under each transformation."""

    kernels: NDArray[np.float64]
    up_permutations: Mapping[str, NDArray[np.intp]]

    def turned(self, name: str) -> NDArray[np.float64]:
        """Return T_g W[b, pa^-1 .] as rows (n, m * row * col)."""
        moved = np.empty_like(self.kernels)
        moved[:, self.up_permutations[name]] = turn(self.kernels, name)
        return moved.reshape(len(moved), -1)


@dataclass(frozen=True, eq=False)
class Copies:
    """For each unit its best copy under one transformation.

    Attributes
    ----------
    partner
        (n,) place of the copy.
    cosine
        (n,) -1 to 1.
    p, q
        (n,) pooled from the null; q over all units and transformations of the search.
    null_median
        Median of the best cosine in the null.
    all_cosines
        (n, n) of each unit turned [row] with each other as it is [column]; -inf with itself.
    null_cosines
        (draws x n,) the best cosines in the null, ascending.
    """

    partner: NDArray[np.intp]
    cosine: NDArray[np.float64]
    p: NDArray[np.float64]
    q: NDArray[np.float64]
    null_median: float
    all_cosines: NDArray[np.float64]
    null_cosines: NDArray[np.float64]


@dataclass(frozen=True)
class IsotropicControl:
    """What copies at meaningless angles say of those at 90 degrees.

    Attributes
    ----------
    copy_counts
        Angle in degrees to units with a significant copy at that angle, interpolated alike at each.
    best_at_90_share
        Of the units with a copy at any of the angles, the share that fits best at 90; a third by chance.
    closed_share
        Of the units with a copy by a quarter turn, the share that lie in a closed cycle of quarter turns.
    is_isotropic
        Copies are no more frequent at 90 than at the other angles (by two standard deviations), or no better; and
        at most half of them close. Random populations close a quarter; a family with a unit every 15 degrees has
        copies at every angle too, and all of them close.
    """

    copy_counts: Mapping[float, int]
    best_at_90_share: float
    closed_share: float
    is_isotropic: bool


def find_copies(
    parts: Sequence[Part], names: Sequence[str], *, draws: int, seed: int, after_draw: Iterator[None]
) -> dict[str, Copies]:
    """Return each unit's best copy under each transformation.

    Parameters
    ----------
    parts
        One for each upstream layer; all with the same units.
    names
        Transformations that every part has a permutation for.
    after_draw
        Advanced once a draw; what tells of the progress.
    """
    parts = _informative_parts(parts)
    cosines = {name: _cosines(parts, name) for name in names}
    known = [name for name in TURNS if all(name in part.up_permutations for part in parts)]
    pools: dict[str, list[NDArray[np.float64]]] = {name: [] for name in names}
    for draw in range(draws):
        random = _surrogate(parts, known, np.random.default_rng([seed, draw]))
        for name in names:
            pools[name].append(_cosines(random, name).max(axis=1))
        next(after_draw, None)
    pooled = {name: np.concatenate(pool) for name, pool in pools.items()}
    best = {name: cosine.max(axis=1) for name, cosine in cosines.items()}
    p = {name: p_pooled(best[name], pooled[name]) for name in names}
    # a dead unit is a copy of nothing
    for name in names:
        p[name] = np.where(best[name] > 0, p[name], 1.0)
    q = np.split(q_values(np.concatenate([p[name] for name in names])), len(names))
    return {
        name: Copies(
            cosines[name].argmax(axis=1),
            best[name],
            p[name],
            own,
            float(np.median(pooled[name])),
            cosines[name],
            np.sort(pooled[name]),
        )
        for name, own in zip(names, q, strict=True)
    }


def closed_cycles(copies: Copies, length: int, level: float) -> list[tuple[int, ...]]:
    """Return cycles of `length` units, each the best copy of the one before, all at q <= `level`."""
    cycles = []
    for start in range(len(copies.partner)):
        walk = [start]
        while len(walk) <= length:
            walk.append(int(copies.partner[walk[-1]]))
        cycle = walk[:-1]
        is_closed = walk[-1] == start and len(set(cycle)) == length
        if is_closed and start == min(cycle) and all(copies.q[unit] <= level for unit in cycle):
            cycles.append(tuple(cycle))
    return cycles


def measure_isotropy(
    kernels: Sequence[NDArray[np.float64]], *, closed_share: float, level: float, draws: int, seed: int
) -> IsotropicControl:
    """Count copies at 30, 60 and 90 degrees, interpolated alike.

    Parameters
    ----------
    kernels
        (n, m, size, size) of each upstream layer, whose units do not move when the image is turned.
    closed_share
        As in `IsotropicControl`.
    """
    angles = (*CONTROL_DEG, 90.0)
    free = [_without_radial_part(each) for each in kernels]
    best = {angle: _cosines_at(free, angle).max(axis=1) for angle in angles}
    pools: dict[float, list[NDArray[np.float64]]] = {angle: [] for angle in angles}
    stay = [Part(each, {name: np.arange(each.shape[1]) for name in TURNS}) for each in kernels]
    for draw in range(draws):
        random = _surrogate(stay, list(TURNS), np.random.default_rng([seed, 1, draw]))
        turned_free = [_without_radial_part(part.kernels) for part in random]
        for angle in angles:
            pools[angle].append(_cosines_at(turned_free, angle).max(axis=1))
    q = {angle: q_values(p_pooled(best[angle], np.concatenate(pools[angle]))) for angle in angles}
    counts = {angle: int(np.count_nonzero(q[angle] <= level)) for angle in angles}
    has_copy = np.min([q[angle] for angle in angles], axis=0) <= level
    is_best = best[90.0] > np.max([best[angle] for angle in CONTROL_DEG], axis=0)
    share = float(is_best[has_copy].mean()) if has_copy.any() else 0.0
    unit_count = len(kernels[0])
    expected = float(np.mean([counts[angle] for angle in CONTROL_DEG]))
    spread = float(np.sqrt(expected * (1 - expected / unit_count)))
    is_like_90 = expected > 0 and (counts[90.0] <= expected + 2 * spread or share <= 0.5)
    return IsotropicControl(counts, share, closed_share, bool(is_like_90 and closed_share <= 0.5))


def _informative_parts(parts: Sequence[Part]) -> list[Part]:
    turning = [informative(part.kernels) for part in parts]
    whole = sum(np.square(part.kernels).sum(axis=(1, 2, 3)) for part in parts)
    left = sum(np.square(each).sum(axis=(1, 2, 3)) for each in turning)
    # what a radial kernel leaves is rounding, and points nowhere
    keeps = (left > 1e-12 * whole)[:, None, None, None]
    return [Part(np.asarray(each * keeps), part.up_permutations) for each, part in zip(turning, parts, strict=True)]


def _unit_rows(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(norms > 0, norms, 1.0)


def _rows(parts: Sequence[Part], name: str) -> NDArray[np.float64]:
    return np.concatenate([part.turned(name) for part in parts], axis=1)


def _cosines(parts: Sequence[Part], name: str) -> NDArray[np.float64]:
    cosines = _unit_rows(_rows(parts, name)) @ _unit_rows(_rows(parts, "identity")).T
    np.fill_diagonal(cosines, -np.inf)
    return np.asarray(cosines)


def _surrogate(parts: Sequence[Part], names: Sequence[str], rng: np.random.Generator) -> list[Part]:
    """Return a Gaussian layer with the covariance of the units' directions, averaged over the named turns.

    Each kernel takes the norm of the kernel in its place: a few strong kernels alone would make copies.
    """
    count = len(parts[0].kernels)
    total = np.zeros((count, sum(part.kernels[0].size for part in parts)))
    for name in names:
        total += rng.normal(size=(count, count)) @ _unit_rows(_rows(parts, name))
    ends = np.cumsum([0, *(part.kernels[0].size for part in parts)])
    drawn = []
    for part, (start, stop) in zip(parts, pairwise(ends), strict=True):
        norms = np.sqrt(np.square(part.kernels).sum(axis=(2, 3), keepdims=True))
        values = total[:, start:stop].reshape(part.kernels.shape)
        scale = np.sqrt(np.square(values).sum(axis=(2, 3), keepdims=True))
        values = values / np.where(scale > 0, scale, 1.0)
        drawn.append(Part(values * norms, part.up_permutations))
    return drawn


def _rotation(size: int, angle_deg: float) -> NDArray[np.float64]:
    """Return the (size^2, size^2) map that turns a kernel counter-clockwise as displayed, bilinear, 0 outside."""
    middle = (size - 1) / 2
    angle = np.radians(angle_deg)
    operator = np.zeros((size * size, size * size))
    for place in range(size * size):
        row, col = place // size - middle, place % size - middle
        from_col = col * np.cos(angle) - row * np.sin(angle) + middle
        from_row = col * np.sin(angle) + row * np.cos(angle) + middle
        top, left = int(np.floor(from_row)), int(np.floor(from_col))
        for near_row, near_col in ((top, left), (top, left + 1), (top + 1, left), (top + 1, left + 1)):
            share = (1 - abs(from_row - near_row)) * (1 - abs(from_col - near_col))
            if 0 <= near_row < size and 0 <= near_col < size:
                operator[place, near_row * size + near_col] += share
    return operator


def _without_radial_part(kernels: NDArray[np.float64]) -> NDArray[np.float64]:
    size = kernels.shape[-1]
    flat = kernels.reshape(*kernels.shape[:2], size * size)
    mean = sum((_rotation(size, angle) for angle in range(15, 360, 15)), np.eye(size * size)) / 24
    return np.asarray((flat - flat @ mean.T).reshape(kernels.shape))


def _cosines_at(kernels: Sequence[NDArray[np.float64]], angle_deg: float) -> NDArray[np.float64]:
    forward, back = [], []
    for each in kernels:
        size = each.shape[-1]
        middle = (size - 1) / 2
        rows, cols = np.mgrid[:size, :size] - middle
        disc = (np.hypot(rows, cols) <= middle + 0.5).ravel()
        flat = each.reshape(*each.shape[:2], size * size)
        forward.append(((flat @ _rotation(size, angle_deg / 2).T) * disc).reshape(len(each), -1))
        back.append(((flat @ _rotation(size, -angle_deg / 2).T) * disc).reshape(len(each), -1))
    cosines = _unit_rows(np.concatenate(forward, axis=1)) @ _unit_rows(np.concatenate(back, axis=1)).T
    np.fill_diagonal(cosines, -np.inf)
    return np.asarray(cosines)
