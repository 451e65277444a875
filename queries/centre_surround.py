"""Centre-surround: kernels that excite in the middle and inhibit around it, or the reverse.

**Definition.** The centre of a kernel are the cells within a quarter of its size from its anchor, along either axis
(one cell of 3x3, the inner 3x3 of 5x5 and 7x7), the surround is all other cells. With the mean weights c and s of both,

    score = min(|c|, |s|) / rms of the kernel's weights, if c and s have opposite signs, else 0

0 to 1, and 1 for +a in the centre and -a everywhere else. Of a unit (``by="unit"``) the score is the mean over its
sources, weighted by the kernels' squared norms.

A change of sign alone says little: half of all random kernels have one, a quarter of the real kernels between curve
detectors. Two nulls, of which the larger **p** counts: ``scrambled_pixels``, in which the weights of each kernel
change their places, and ``shifted_targets``, in which all kernels of a target move by one random step, what leaves the
window entering on the other side. The first alone raises alarms on smooth kernels (6 of 10 random smooth layers), and
for units on layers of low rank (9 of 10). p is pooled over all kernels (or units) of all draws, **q** after Benjamini
and Hochberg over all that were tested. Radial kernels without a sense are centre-surround half of the time, whatever
made them: random kernels that are symmetric under all turns and mirrors are found, and rightly.

A single kernel of 3x3 can never be found, since its own scrambled copies equal it in one of nine: the search then
says "cannot tell" unless units are asked.

Complexity: O(weights) a draw. Memory: a few copies of the kernels of one layer pair, in pieces of 16 MiB.

Source: "Color Center-Surround" units in Olah et al., "An Overview of Early Vision in InceptionV1", Distill 2020.
https://doi.org/10.23915/distill.00024.002. Score and null are ours.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from circuitgraph.bundle import Bundle
from circuitgraph.errors import BundleError, MotifError
from circuitgraph.progress import SILENT, Progress
from circuitgraph.turns import norm_shares
from queries.base import Match, MotifResult, NullModel, Unit
from queries.null_scores import Chance, NullScores, sample_of
from queries.significance import check_draws, q_values
from queries.weights import Weights, read_weights

__all__ = ["NULLS", "CentreSurroundMatch", "centre_cells", "find_centre_surround"]

Floats = NDArray[np.float64]
SCRAMBLED = NullModel("scrambled_pixels", "the weights of each kernel", "where in the kernel they are")
SHIFTED = NullModel(
    "shifted_targets", "each kernel up to a cyclic move, and the rank of a target", "where the kernels' middle is"
)
NULLS = (SCRAMBLED, SHIFTED)
_ACT = "finding centre-surround kernels"
_PIECE = 1 << 21
_MOST_DRAWS = 2_000
_MOST_MATCHES = 10_000


@dataclass(frozen=True, kw_only=True)
class CentreSurroundMatch(Match):
    """A kernel, or a unit's kernels, of opposite signs in the centre and around it.

    Attributes
    ----------
    centre, surround
        Mean weights; of a unit the norms over its sources, without a sign.
    polarity
        "on" (the centre excites), "off", or "mixed" for a unit whose sources differ.
    """

    centre: float
    surround: float
    polarity: str

    def row(self) -> dict[str, Any]:
        """Return the match as one row of a table."""
        return {**super().row(), "centre": self.centre, "surround": self.surround, "polarity": self.polarity}


def centre_cells(window: tuple[int, int], anchor: tuple[float, float]) -> NDArray[np.bool_]:
    """Return (row, col) which cells of a window are its centre.

    Examples
    --------
    >>> [int(centre_cells((size, size), ((size - 1) / 2,) * 2).sum()) for size in (3, 4, 5, 7)]
    [1, 4, 9, 9]
    """
    near = [np.abs(np.arange(size) - at) <= size / 4 for size, at in zip(window, anchor, strict=True)]
    return np.asarray(near[0][:, None] & near[1][None])


def find_centre_surround(
    source: Any,
    *,
    up: str | None = None,
    down: str | None = None,
    up_units: Sequence[Unit] | None = None,
    down_units: Sequence[Unit] | None = None,
    by: Literal["kernel", "unit"] = "kernel",
    q: float = 0.05,
    draws: int = 60,
    seed: int = 0,
    progress: Progress = SILENT,
) -> MotifResult[CentreSurroundMatch]:
    """Find kernels whose centre and surround have opposite signs more clearly than chance puts them there.

    Parameters
    ----------
    source
        A `Bundle`, or an array (down, up, row, col).
    up, down
        Layers of the bundle; all adjacent pairs that fit where not both are named.
    up_units, down_units
        Only these.
    by
        Test each kernel, or all kernels of each downstream unit together: the only choice with power at 3x3.
    draws
        Networks of each null.

    Returns
    -------
    What was found at `q`, surest first; at most the 10,000 best, which is said.

    Raises
    ------
    MotifError
        Fewer draws than 2 / q; no pair with a centre and a surround; and what `read_weights` raises.

    Examples
    --------
    >>> kernels = np.random.default_rng(0).normal(size=(16, 16, 5, 5))
    >>> kernels[3, 4] = np.where(centre_cells((5, 5), (2, 2)), 1.0, -1.0)
    >>> [dict(match.units) for match in find_centre_surround(kernels)]
    [{'up': 4, 'down': 3}]
    """
    started = time.perf_counter()
    if by not in ("kernel", "unit"):
        raise MotifError(f"{_ACT}: by is {by!r}.", hint="There are kernel and unit.")
    check_draws(draws, q, act=_ACT)
    notes: list[str] = []
    searches = _read(source, up, down, up_units, down_units, by, notes)
    tested = sum(search.scores.size for search in searches)
    with progress.task(_ACT, total=len(searches) * draws, unit="null network") as task:
        for search in searches:
            task.describe(search.weights.name)
            search.draw(draws, seed, task)
            needed = math.ceil(2 * tested / (q * search.scores.size))
            # the least p there is, and still not small enough among so many
            if needed > draws and search.above.max(axis=0).min() == 0:
                search.draw(min(needed, _MOST_DRAWS), seed, task)
                notes.append(f"{search.weights.name}: {search.draws:,} draws, since {tested:,} are tested")
    values = q_values(np.concatenate([search.p for search in searches]))
    matches: list[CentreSurroundMatch] = []
    start = 0
    for search in searches:
        own = values[start : start + search.scores.size]
        start += search.scores.size
        chosen = np.flatnonzero(own <= q)
        best = chosen[np.argsort(-search.scores.ravel()[chosen], kind="stable")]
        if len(best) > _MOST_MATCHES:
            notes.append(f"{search.weights.name}: {len(best):,} found, the best {_MOST_MATCHES:,} are listed")
        matches += [search.match(int(number), float(own[number]), q) for number in best[:_MOST_MATCHES]]
    return MotifResult(
        motif="centre-surround",
        matches=tuple(sorted(matches, key=lambda match: (match.p or 0.0, -match.score, match.id))),
        tested_count=tested,
        tested=f"{by}s",
        nulls=NULLS,
        draws=draws,
        seed=seed,
        level=q,
        source=searches[0].weights.name if len(searches) == 1 else f"{len(searches)} layer pairs",
        notes=tuple(notes),
        seconds=time.perf_counter() - started,
        network=searches[0].weights.network,
        weights_sha256=searches[0].weights.weights_sha256,
        explain_not=_explainer(searches, by, q),
    )


@dataclass(eq=False)
class _Search:
    """One layer pair."""

    weights: Weights
    by: str
    number: int
    scores: Floats = field(init=False)
    p: Floats = field(init=False)
    draws: int = 0
    medians: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        kernels = self.weights.kernels
        count, cells = kernels.shape[0] * kernels.shape[1], kernels.shape[2] * kernels.shape[3]
        self.is_centre = centre_cells(kernels.shape[2:], self.weights.anchor).ravel()
        self.flat = kernels.reshape(count, cells)
        self.squares = np.square(self.flat, dtype=np.float64).sum(axis=1)
        self.scores = self._of_all(None)
        self._order = np.argsort(self.scores, kind="stable")
        self._sorted = self.scores[self._order]
        self.above = np.zeros((len(NULLS), len(self.scores)), dtype=np.int64)
        self._samples: list[list[Floats]] = [[] for _ in NULLS]
        self._kept: dict[int, NullScores] = {}
        self.p_by_null = np.ones(self.above.shape)
        self.p = np.ones(len(self.scores))

    def _of_all(self, rng: np.random.Generator | None, null: NullModel = SCRAMBLED) -> Floats:
        """Return the scores of all kernels or units, of a random network if `rng` is given."""
        scores = np.empty(len(self.flat))
        masks = np.broadcast_to(self.is_centre, (len(self.weights.kernels), len(self.is_centre)))
        if rng is not None and null is SHIFTED:
            masks = self._moved_centres(rng)
        sources = self.weights.kernels.shape[1]
        step = max(1, _PIECE // (self.flat.shape[1] * sources))
        for first in range(0, len(masks), step):
            start, stop = first * sources, min(first + step, len(masks)) * sources
            piece = self.flat[start:stop]
            if rng is not None and null is SCRAMBLED:
                piece = rng.permuted(piece, axis=1)
            by_target = piece.reshape(-1, sources, piece.shape[1])
            own = _scores(by_target, self.squares[start:stop].reshape(by_target.shape[:2]), masks[first : first + step])
            scores[start:stop] = own.ravel()
        if self.by == "kernel":
            return scores
        shape = self.weights.kernels.shape[:2]
        squares = self.squares.reshape(shape)
        total = squares.sum(axis=1)
        return np.asarray((scores.reshape(shape) * squares).sum(axis=1) / np.where(total > 0, total, 1.0))

    def _moved_centres(self, rng: np.random.Generator) -> NDArray[np.bool_]:
        """Return (down, cell) a centre for each target: to move it by a step is to move the kernels by its opposite."""
        targets, _, rows, cols = self.weights.kernels.shape
        row, col = divmod(rng.integers(1, rows * cols, size=targets), cols)
        down = (np.arange(rows)[None, :, None] + row[:, None, None]) % rows
        right = (np.arange(cols)[None, None, :] + col[:, None, None]) % cols
        return np.asarray(self.is_centre.reshape(rows, cols)[down, right].reshape(targets, rows * cols))

    def draw(self, count: int, seed: int, task: Any) -> None:
        """Count how often the kernels of null networks reach each score; only counts are kept."""
        for number in range(self.draws, count):
            for place, model in enumerate(NULLS):
                null = self._of_all(np.random.default_rng([seed, self.number, number, place]), model)
                # weights in another place are added in another order
                at = np.searchsorted(self._sorted, null * (1 + 1e-9), side="right")
                self.above[place] += np.cumsum(np.bincount(at, minlength=len(null) + 1)[::-1])[::-1][1:]
                self.medians.append(float(np.median(null)))
                self._samples[place].append(sample_of(null))
            task.advance()
        self.draws = max(self.draws, count)
        self.p_by_null[:, self._order] = (1.0 + self.above) / (1.0 + self.draws * len(self.scores))
        self.p_by_null[:, self.scores <= 0] = 1.0
        self.p = self.p_by_null.max(axis=0)

    def _chance(self, number: int) -> Chance | None:
        if self.scores[number] <= 0:
            return None
        worst = int(np.argmax(self.p_by_null[:, number]))
        if worst not in self._kept:
            whole = self.draws * len(self.scores)
            self._kept[worst] = NullScores.of(np.concatenate(self._samples[worst]), null=NULLS[worst].name, count=whole)
        at = int(np.flatnonzero(self._order == number)[0])
        return Chance(self._kept[worst], float(self.scores[number]), int(self.above[worst, at]))

    def match(self, number: int, q: float, level: float) -> CentreSurroundMatch:
        kernels = self.weights.kernels
        if self.by == "unit":
            chosen = np.asarray(kernels[number], dtype=np.float64)
            units: dict[str, Unit] = {"unit": self.weights.down_units[number]}
        else:
            down, up = divmod(number, kernels.shape[1])
            chosen = np.asarray(kernels[down, up], dtype=np.float64)[None]
            units = {"up": self.weights.up_units[up], "down": self.weights.down_units[down]}
        flat = chosen.reshape(len(chosen), -1)
        centre, surround = flat[:, self.is_centre].mean(axis=1), flat[:, ~self.is_centre].mean(axis=1)
        signs = np.sign(centre[centre * surround < 0])
        polarity = "on" if np.all(signs > 0) else "off" if np.all(signs < 0) else "mixed"
        is_one = self.by == "kernel"
        return CentreSurroundMatch(
            motif="centre-surround",
            units=units,
            score=float(self.scores[number]),
            effect=float(self.scores[number]) - float(np.median(self.medians)),
            p=float(self.p[number]),
            q=q,
            null=NULLS[int(np.argmax(self.p_by_null[:, number]))].name,
            verdict="found" if q <= level else "not significant",
            shares=norm_shares(chosen),
            centre=float(centre[0]) if is_one else float(np.linalg.norm(centre)),
            surround=float(surround[0]) if is_one else float(np.linalg.norm(surround)),
            polarity=polarity,
            chance=self._chance(number),
        )


def _scores(kernels: NDArray[np.floating[Any]], squares: Floats, centres: NDArray[np.bool_]) -> Floats:
    """Return (down, up) scores of (down, up, cell) kernels with a centre (down, cell) for each target."""
    # a product with the two masks is many times faster than to cut the cells out
    inside = centres.astype(np.float64)
    masks = np.stack(
        [inside / inside.sum(axis=1, keepdims=True), (1 - inside) / (1 - inside).sum(axis=1, keepdims=True)], axis=2
    )
    means = kernels.astype(np.float64) @ masks
    centre, surround = means[..., 0], means[..., 1]
    rms = np.sqrt(squares / kernels.shape[2])
    least = np.minimum(np.abs(centre), np.abs(surround)) / np.where(rms > 0, rms, 1.0)
    return np.where(centre * surround < 0, least, 0.0)


def _read(
    source: Any,
    up: str | None,
    down: str | None,
    up_units: Sequence[Unit] | None,
    down_units: Sequence[Unit] | None,
    by: str,
    notes: list[str],
) -> list[_Search]:
    pairs: list[tuple[str | None, str | None]] = [(None, None)]
    if isinstance(source, Bundle):
        wanted = [None if name is None else source.layer(name).uid for name in (up, down)]
        pairs = [(wanted[0], wanted[1])]
        if None in wanted:
            pairs = [p for p in source.pairs if all(w in (None, uid) for w, uid in zip(wanted, p, strict=True))]
    found = []
    for number, (above, below) in enumerate(pairs):
        try:
            weights = read_weights(source, above, below, up_units=up_units, down_units=down_units, act=_ACT)
        except BundleError as error:
            notes.append(f"{above} -> {below} cannot be read as one array of kernels: {error.message}")
            continue
        window = weights.kernels.shape[2:]
        centre = centre_cells((window[0], window[1]), weights.anchor)
        if not centre.any() or centre.all() or min(window) < 3:
            notes.append(f"not tested, a window of {window[0]} x {window[1]} has no centre: {weights.name}")
            continue
        if by == "kernel" and math.comb(centre.size, int(centre.sum())) < 1000:
            notes.append(
                f"cannot tell: a kernel of {window[0]} x {window[1]} equals its scrambled copies too often to be found "
                f'alone, in {weights.name}; ask units (by="unit")'
            )
        found.append(_Search(weights, by, number))
    if not found:
        raise MotifError(f"{_ACT}: there is no pair of layers to be tested.", hint=notes[-1] if notes else "")
    return found


def _explainer(searches: Sequence[_Search], by: str, level: float) -> Any:
    def explain(*units: Unit) -> str:
        wanted = 2 if by == "kernel" else 1
        if len(units) != wanted:
            raise MotifError(
                f"centre-surround: {len(units)} units are given, {wanted} are wanted.",
                hint="r.why_not(up, down)." if by == "kernel" else "r.why_not(unit).",
            )
        search = next((each for each in searches if units[-1] in each.weights.down_units), searches[0])
        number = search.weights.down_place(units[-1])
        if by == "kernel":
            number = number * search.weights.kernels.shape[1] + search.weights.up_place(units[0])
        match = search.match(number, 1.0, level)
        tested = sum(each.scores.size for each in searches)
        return "\n".join(
            [
                " -> ".join(str(unit) for unit in match.units.values()),
                f"centre {match.centre:.3g}, surround {match.surround:.3g}: "
                + ("no change of sign" if match.score == 0 else f"{match.polarity}, score {match.score:.3g}"),
                f"p = {match.p:.3g} ({match.null}); q <= {level:g} over {tested:,} {by}s needs about "
                f"{level / tested:.3g}, more where others are found",
            ]
        )

    return explain
