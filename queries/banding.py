"""Weight banding: a layer whose weights vary more along one axis of the image than along the other.

**Score** of a layer pair: with the mean |W| of each target over its sources, (row, col), the variance over rows of
the row means, averaged over targets, over the same for columns: Var_y / Var_x. Above 1 the bands lie horizontally,
below 1 vertically; 1 where neither axis is told apart. Any number from 0.

**Null** ``transposed_targets``: the kernels of each target are transposed, all or none, at random. It keeps each
target's kernels up to that, so a few targets with strong bands of their own make a wide null. **p** is two-sided: it
counts the null ratios that are as far from 1, on the log scale; **q** after Benjamini and Hochberg over all layer
pairs searched. The bare ratio means little for few kernels: of ten targets a ratio of 2 comes by chance in one of
twelve. With 16 targets or fewer that are not found the verdict is "cannot tell".

Only square windows of more than one cell can be asked.

Complexity: O(weights) once, and O(targets) a draw.

Source: Petrov, Voss, Schubert, Cammarata, Goh and Olah, "Weight Banding", Distill 2021.
https://doi.org/10.23915/distill.00024.009. The ratio and its null are ours.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from circuitgraph.bundle import Bundle
from circuitgraph.errors import BundleError, MotifError
from circuitgraph.progress import SILENT, Progress
from circuitgraph.turns import norm_shares
from queries.base import Match, MotifResult, NullModel, Unit, Verdict
from queries.null_scores import Chance, NullScores
from queries.significance import check_draws, p_of_best, q_values
from queries.weights import Weights, read_weights

__all__ = ["NULLS", "BandingMatch", "find_banding"]

Floats = NDArray[np.float64]
TRANSPOSED = NullModel(
    "transposed_targets", "each target's kernels, up to a transposition of them all", "which axis the targets agree on"
)
NULLS = (TRANSPOSED,)
_ACT = "finding weight banding"
_FEW_TARGETS = 16
_SHOWN_UNITS = 8
_TIE = 1e-9
"""Ratios closer than this are equal: sums in another order differ in the last digit."""


@dataclass(frozen=True, kw_only=True)
class BandingMatch(Match):
    """How a layer pair is banded.

    Attributes
    ----------
    up, down
        Uids of the layers, empty for an array.
    bands
        "horizontal", "vertical" or "none" (a ratio of 1).
    row_variance, col_variance
        Var_y and Var_x, in squared weights.
    banded
        The targets that vary most along the axis of the bands, strongest first; at most eight.
    """

    up: str
    down: str
    bands: str
    row_variance: float
    col_variance: float
    banded: tuple[Unit, ...] = ()

    def bindings(self) -> list[tuple[str, int, Unit]]:
        """Return the targets that are banded most."""
        return [("banded", place, unit) for place, unit in enumerate(self.banded)]

    def row(self) -> dict[str, Any]:
        """Return the match as one row of a table."""
        return {"up": self.up or "-", "down": self.down or "-", "bands": self.bands, **super().row()}

    def _identity(self) -> dict[str, Any]:
        return {"motif": self.motif, "up": self.up, "down": self.down, "bands": self.bands}


@dataclass(eq=False)
class _Pair:
    weights: Weights
    by_row: Floats = field(init=False)
    by_col: Floats = field(init=False)
    log_null: Floats = field(init=False)
    p: float = 1.0

    def __post_init__(self) -> None:
        mean = np.abs(self.weights.kernels).mean(axis=1, dtype=np.float64)
        self.by_row, self.by_col = mean.mean(axis=2).var(axis=1), mean.mean(axis=1).var(axis=1)

    @property
    def score(self) -> float:
        return float(np.exp(self.log_ratio))

    @property
    def log_ratio(self) -> float:
        return float(_log_ratio(self.by_row.sum(), self.by_col.sum()))

    def judge(self, draws: int, rng: np.random.Generator) -> None:
        """Draw all transpositions at once: of each only the two sums over targets are needed."""
        is_turned = (rng.random((draws, len(self.by_row))) < 0.5).astype(np.float64)
        gain = is_turned @ (self.by_col - self.by_row)
        self.log_null = _log_ratio(self.by_row.sum() + gain, self.by_col.sum() - gain)
        self.p = p_of_best(abs(self.log_ratio) - _TIE, np.abs(self.log_null))

    def match(self, q: float, level: float) -> BandingMatch:
        """Return the pair's match; q is over all pairs searched."""
        weights = self.weights
        targets = int(np.count_nonzero(self.by_row + self.by_col > 0))
        few = targets <= _FEW_TARGETS
        verdict: Verdict = "found" if q <= level else "cannot tell" if few else "not significant"
        bands = "none" if self.log_ratio == 0 else "horizontal" if self.log_ratio > 0 else "vertical"
        along = self.by_row - self.by_col if self.log_ratio >= 0 else self.by_col - self.by_row
        order = np.argsort(-along, kind="stable")[:_SHOWN_UNITS]
        kernels = np.asarray(weights.kernels, dtype=np.float64)
        notes = [f"{targets} targets, {weights.kernels.shape[1]} sources: too few for power"] if few else []
        reach = float(np.exp(np.quantile(np.abs(self.log_null), 1 - level)))
        notes.append(f"of random ratios {level:.0%} are above {reach:.3g} or below {1 / reach:.3g}")
        return BandingMatch(
            motif="banding",
            units={},
            score=self.score,
            effect=self.score - float(np.exp(np.median(self.log_null))),
            p=self.p,
            q=q,
            null=TRANSPOSED.name,
            verdict=verdict,
            shares=norm_shares(kernels),
            notes=tuple(notes),
            up=weights.up_layer,
            down=weights.down_layer,
            bands=bands,
            row_variance=float(self.by_row.mean()),
            col_variance=float(self.by_col.mean()),
            banded=tuple(weights.down_units[place] for place in order if along[place] > 0),
            chance=Chance.counted(
                NullScores.of(np.abs(self.log_null), null=TRANSPOSED.name, statistic="|log ratio| of the variances"),
                abs(self.log_ratio) - _TIE,
                np.abs(self.log_null),
            ),
        )


def find_banding(
    source: Any,
    *,
    up: str | None = None,
    down: str | None = None,
    q: float = 0.05,
    draws: int = 999,
    seed: int = 0,
    progress: Progress = SILENT,
) -> MotifResult[BandingMatch]:
    """Find layer pairs whose weights are banded along one axis of the image.

    Parameters
    ----------
    source
        A `Bundle`, or an array (down, up, row, col).
    up, down
        Layers of the bundle; all adjacent pairs that fit where not both are named.
    draws
        Random transpositions of each pair.

    Returns
    -------
    One match for each pair that was tested, surest first.

    Raises
    ------
    MotifError
        Fewer draws than 2 / q, no pair with a square window of several cells; and what `read_weights` raises.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> bands = 1 + 0.5 * np.array([-1, 1, -1])[:, None]
    >>> result = find_banding(bands * rng.normal(size=(32, 32, 3, 3)))
    >>> result.matches[0].bands, result.matches[0].verdict
    ('horizontal', 'found')
    """
    started = time.perf_counter()
    check_draws(draws, q, act=_ACT)
    notes: list[str] = []
    pairs = []
    read = _read(source, up, down, notes)
    with progress.task(_ACT, total=len(read), unit="layer pair") as task:
        for number, (above, below) in enumerate(read):
            task.describe(f"{above} -> {below}" if above else "")
            try:
                weights = read_weights(source, above, below, act=_ACT)
            except BundleError as error:
                notes.append(f"{above} -> {below} cannot be read as one array of kernels: {error.message}")
                continue
            rows, cols = weights.kernels.shape[2:]
            if rows != cols or rows < 2:
                notes.append(f"not tested, its window is {rows} x {cols}: {weights.name}")
            else:
                pairs.append(_Pair(weights))
                pairs[-1].judge(draws, np.random.default_rng([seed, number]))
            task.advance()
    if not pairs:
        raise MotifError(f"{_ACT}: there is no pair of layers that can be tested.", hint=notes[-1] if notes else "")
    values = q_values(np.array([pair.p for pair in pairs]))
    matches = [pair.match(float(value), q) for pair, value in zip(pairs, values, strict=True)]
    if len(pairs) / (1 + draws) > q:
        notes.append(
            f"{draws} draws cannot find a single pair among {len(pairs)}; give draws={round(2 * len(pairs) / q)}"
        )
    return MotifResult(
        motif="banding",
        matches=tuple(sorted(matches, key=lambda match: (match.p or 0.0, -abs(np.log(match.score or 1)), match.id))),
        tested_count=len(pairs),
        tested="layer pairs",
        nulls=NULLS,
        draws=draws,
        seed=seed,
        level=q,
        source=pairs[0].weights.name if len(pairs) == 1 else f"{len(pairs)} layer pairs",
        notes=tuple(notes),
        seconds=time.perf_counter() - started,
        network=pairs[0].weights.network,
        weights_sha256=pairs[0].weights.weights_sha256,
        explain_not=_explainer(pairs, q),
    )


def _read(source: Any, up: str | None, down: str | None, notes: list[str]) -> list[tuple[str | None, str | None]]:
    if not isinstance(source, Bundle):
        return [(None, None)]
    wanted = [None if name is None else source.layer(name).uid for name in (up, down)]
    if None not in wanted:
        return [(wanted[0], wanted[1])]
    pairs: list[tuple[str | None, str | None]] = [
        pair for pair in source.pairs if all(name in (None, uid) for name, uid in zip(wanted, pair, strict=True))
    ]
    if not pairs:
        notes.append("`bundle.pairs` lists which layers are joined")
    return pairs


def _log_ratio(rows: Any, cols: Any) -> Any:
    """Return log(rows / cols), 0 where both are 0; what is 0 against something is as small as float64 tells."""
    total = np.asarray(rows) + np.asarray(cols)
    least = np.finfo(np.float64).eps * np.where(total > 0, total, 1.0)
    # differences of sums can fall just below 0
    return np.log(np.maximum(rows, least)) - np.log(np.maximum(cols, least))


def _explainer(pairs: list[_Pair], level: float) -> Any:
    def explain(*units: Unit) -> str:
        if len(units) != 1:
            raise MotifError(f"banding: {len(units)} units are given, one target is wanted.", hint="r.why_not(unit).")
        pair = next((each for each in pairs if units[0] in each.weights.down_units), pairs[0])
        place = pair.weights.down_place(units[0])
        rows, cols = float(pair.by_row[place]), float(pair.by_col[place])
        reach = float(np.exp(np.quantile(np.abs(pair.log_null), 1 - level)))
        return (
            f"{pair.weights.down_units[place]}: variance over rows {rows:.3g}, over columns {cols:.3g}, ratio "
            f"{float(np.exp(_log_ratio(rows, cols))):.3g}\n"
            f"all targets of {pair.weights.name}: ratio {pair.score:.3g}, p = {pair.p:.3g}; p <= {level:g} needs a "
            f"ratio of {reach:.3g}, or {1 / reach:.3g} for vertical bands"
        )

    return explain
