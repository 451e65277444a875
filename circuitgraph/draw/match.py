"""A found motif as a picture: the circuit with its roles, and where its score lies among those of random networks."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from circuitgraph.draw.circuit import circuit_parts
from circuitgraph.draw.marks import brief
from circuitgraph.draw.svg import GREY, INK, Markup, Picture, clean, number, shorten, signed, tag, text, wrap
from circuitgraph.errors import NonFiniteError, ShapeError
from circuitgraph.graph import CircuitGraph

__all__ = ["NullSample", "draw_match", "draw_null"]

_WIDTH, _MARGIN = 720.0, 16.0
_PLOT = 110.0
_MOST_SCORES = 10_000_000
_LARGEST = 1e300
_BAR = "#bdbdbd"
_NO_NULL = "This score has no null: it ranks matches, it does not test them."


@dataclass(frozen=True, slots=True)
class NullSample:
    """What null scores are a sample of, where they are not all that there were.

    Parameters
    ----------
    observed
        What was compared with them, where that is not the score itself.
    statistic
        What that is, in words; "score" where it is the score.
    count, reached
        How many null scores there were, and how many are as surprising as the observed one or more.
    unlisted
        How many lie beyond all of the sample on the unsurprising side, and were only counted.
    """

    observed: float
    statistic: str
    count: int
    reached: int
    unlisted: int = 0

    def left_out(self, shown: int) -> str:
        """Say what the sample leaves out, where `shown` scores are drawn; empty where nothing."""
        if self.unlisted:
            highest = self.count - self.unlisted
            return f"Drawn: {shown:,} of the {highest:,} highest null scores; the others were only counted."
        return f"Drawn: {shown:,} of {self.count:,} null scores, in equal steps of rank." if shown < self.count else ""


def _checked(score: float, null_scores: ArrayLike | None) -> NDArray[np.float64]:
    act = "drawing a null"
    _check_score(score)
    if null_scores is None:
        return np.zeros(0)
    given: NDArray[Any] = np.asarray(null_scores)
    if given.size and (given.dtype.kind not in "fiub" or given.ndim != 1 or given.size > _MOST_SCORES):
        raise ShapeError(
            f"{act}: the null scores are {given.dtype} of shape {given.shape}, "
            f"real numbers in a line, at most {_MOST_SCORES:,}, are wanted."
        )
    scores = given.astype(np.float64).ravel()
    bad = np.flatnonzero(~(np.abs(scores) <= _LARGEST))
    if len(bad):
        raise NonFiniteError(
            f"{act}: {len(bad):,} of {scores.size:,} null scores are no finite number up to {_LARGEST:.0e}, "
            f"the first is number {bad[0]} ({scores[bad[0]]})."
        )
    return scores


def _check_score(score: float) -> None:
    if not abs(score) <= _LARGEST:
        raise NonFiniteError(f"drawing a null: the score is {score}, a finite number up to {_LARGEST:.0e} is wanted.")


def _check_share(value: float | None, name: str) -> None:
    if value is not None and not 0 <= value <= 1:
        raise ShapeError(f"drawing a null: {name} is {value}, a number between 0 and 1 is wanted.")


def _written(value: float) -> str:
    return signed(value, 3).removeprefix("+")


def draw_null(
    score: float,
    null_scores: ArrayLike | None,
    *,
    name: str,
    p: float | None = None,
    q: float | None = None,
    draws: int | None = None,
    sample: NullSample | None = None,
    is_low_better: bool = False,
    title: str = "",
) -> Picture:
    """Draw the scores under a null as a histogram, and mark the score that was observed.

    Parameters
    ----------
    score
        The observed score.
    null_scores
        (n,) one for each draw (or each thing in each draw); None or empty where none were kept or there is no null.
    name
        Of the null; "" where there is none.
    p, q
        As the search gave them, printed as they are.
    draws
        How many random networks were drawn, if not as many as there are scores.
    sample
        What the null scores are a sample of; None where they are all.
    is_low_better
        Whether smaller scores are the more surprising ones.
    title
        Any text, shown above.

    Returns
    -------
    Picture
        720 pixels wide. A score without a null is said to have none.

    Raises
    ------
    NonFiniteError
        The score or one of the null's is NaN or infinite.
    ShapeError
        The null's scores are not a line of numbers, or p or q lies outside 0 to 1.
    """
    heading = brief(title, 1000) or "Score and null"
    parts = [text(shorten(heading, _WIDTH - 32, 16.5), _MARGIN, 26, 16, font_weight="600")]
    more, height, desc = _null_parts(
        score, null_scores, 40.0, name=name, p=p, q=q, draws=draws, sample=sample, is_low_better=is_low_better
    )
    return Picture.compose([*parts, *more], width=_WIDTH, height=height, title=heading, desc=desc)


def _null_parts(
    score: float,
    null_scores: ArrayLike | None,
    top: float,
    *,
    name: str,
    p: float | None,
    q: float | None,
    draws: int | None,
    sample: NullSample | None,
    is_low_better: bool,
    width: float = _WIDTH,
) -> tuple[list[Markup], float, str]:
    scores = _checked(score, null_scores)
    _check_share(p, "p")
    _check_share(q, "q")
    null = brief(name)
    figures = [f"score {_written(score)}"]
    figures += [f"{word} = {value:.3g}" for word, value in (("p", p), ("q", q)) if value is not None]
    if scores.size:
        said = [f"null: {null or 'unnamed'}"]
        count = scores.size if draws is None and sample is None else draws
        if count is not None:
            said.append(f"{count:,} {'draw' if count == 1 else 'draws'}")
        if sample is None:
            if count != scores.size:
                said.append(f"{scores.size:,} scores")
            reached = int(np.count_nonzero(scores <= score if is_low_better else scores >= score))
            said.append(f"{reached:,} of {scores.size:,} null scores reach it")
        else:
            said.append(f"{sample.reached:,} of {sample.count:,} null scores reach it")
    elif null or p is not None:
        said = [f"null: {null or 'unnamed'}"]
        if draws:
            said.append(f"{draws:,} {'draw' if draws == 1 else 'draws'}")
            said.append("the scores of its draws were not kept, so there is no histogram")
        else:
            # a p that a formula gives was counted among nothing
            said.append("no scores under it are at hand, so there is no histogram")
    else:
        said = [_NO_NULL]
    parts = [text(" · ".join(figures), _MARGIN, top + 14, 13, font_weight="600")]
    desc = f"{', '.join(figures)}; {'; '.join(said)}."
    y = top + 31
    for line in wrap(" · ".join(said), width - 2 * _MARGIN, 11, lines=3):
        parts.append(text(line, _MARGIN, y, 11, fill=GREY))
        y += 15
    y -= 2
    note = sample.left_out(scores.size) if sample is not None and scores.size else ""
    if note:
        parts.append(text(note, _MARGIN, y + 2, 11, fill=GREY))
        desc, y = f"{desc} {note}", y + 15
    if scores.size:
        observed, statistic = (score, "score") if sample is None else (sample.observed, sample.statistic)
        _check_score(observed)
        parts += _histogram(observed, scores, y + 20, width, clean(statistic))
        y += _PLOT + 66
    return parts, y, desc


def _bins(score: float, scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return edges of 8 to 40 equal bins over the null's scores, one of which the observed score does not stretch."""
    low, high = float(scores.min()), float(scores.max())
    if low == high:
        half = 0.02 * max(abs(low), abs(score - low)) or 0.5
        return np.array([low - half, low + half])
    quarter = np.subtract(*np.percentile(scores, [75, 25]))
    step = 2 * float(quarter) / scores.size ** (1 / 3)
    count = 40 if step <= 0 else math.ceil((high - low) / step)
    return np.linspace(low, high, min(40, max(8, count)) + 1)


def _histogram(score: float, scores: NDArray[np.float64], y: float, width: float, statistic: str) -> list[Markup]:
    edges = _bins(score, scores)
    counts, _ = np.histogram(scores, edges)
    low, high = min(float(edges[0]), score), max(float(edges[-1]), score)
    margin = 0.04 * (high - low)
    low, high = low - margin, high + margin
    left, right = _MARGIN + 48, width - _MARGIN - 8
    floor = y + _PLOT

    def place(value: float) -> float:
        return left + (value - low) / (high - low) * (right - left)

    tallest = int(counts.max())
    parts = [
        tag("path", d=f"M{number(left)} {number(y)}V{number(floor)}H{number(right)}", fill="none", stroke="#8c8c8c"),
        text(f"{tallest:,}", left - 6, y + 4, 10, fill=GREY, text_anchor="end"),
        text("0", left - 6, floor + 4, 10, fill=GREY, text_anchor="end"),
        text(
            "null scores",
            left - 6,
            y + _PLOT / 2,
            10,
            fill=GREY,
            text_anchor="middle",
            transform=f"rotate(-90 {number(left - 18)} {number(y + _PLOT / 2)})",
        ),
    ]
    bars = []
    for count, start, stop in zip(counts, edges[:-1], edges[1:], strict=True):
        if count:
            at, end = place(float(start)), place(float(stop))
            tall = max(1.0, _PLOT * int(count) / tallest)
            bars.append(
                tag(
                    "rect",
                    tag(
                        "title", f"{int(count):,} null scores from {_written(float(start))} to {_written(float(stop))}"
                    ),
                    x=at,
                    y=floor - tall,
                    width=max(1.0, end - at),
                    height=tall,
                    fill=_BAR,
                    stroke="#ffffff",
                    stroke_width=0.5,
                )
            )
    parts.append(tag("g", *bars))
    for value, word in _ticks(low, high):
        x = place(value)
        parts.append(tag("path", d=f"M{number(x)} {number(floor)}v4", fill="none", stroke="#8c8c8c"))
        parts.append(text(word, x, floor + 16, 10, fill=GREY, text_anchor="middle"))
    at = place(score)
    side = "end" if at > (left + right) / 2 else "start"
    parts += [
        tag("path", d=f"M{number(at)} {number(y - 6)}V{number(floor)}", fill="none", stroke=INK, stroke_width=2),
        tag("path", d=f"M{number(at - 5)} {number(floor - 9)}h10l-5 9z", fill=INK),
        text(
            f"observed {_written(score)}",
            at + (-7 if side == "end" else 7),
            y - 2,
            11,
            font_weight="600",
            text_anchor=side,
        ),
        text(shorten(statistic, right - left, 10), (left + right) / 2, floor + 32, 10, fill=GREY, text_anchor="middle"),
    ]
    return parts


def _ticks(low: float, high: float) -> list[tuple[float, str]]:
    """Return round numbers between two, at most 8, with as many decimals as tell them apart."""
    step = 10.0 ** math.floor(math.log10((high - low) / 4))
    step *= next(more for more in (1, 2, 5, 10) if (high - low) / (step * more) <= 7)
    values = [step * i for i in range(math.ceil(low / step), math.floor(high / step) + 1)]
    if step >= 1e-4 and max(abs(low), abs(high)) < 1e6:
        decimals = max(0, -math.floor(math.log10(step) + 1e-9))
        return [(value, f"{value:.{decimals}f}".replace("-", "−")) for value in values]
    return [(value, _written(value)) for value in values]


def draw_match(
    graph: CircuitGraph,
    *,
    roles: Mapping[str, str],
    score: float,
    null_scores: ArrayLike | None = None,
    null_name: str = "",
    p: float | None = None,
    q: float | None = None,
    draws: int | None = None,
    sample: NullSample | None = None,
    is_low_better: bool = False,
    title: str = "",
    scale: float | None = None,
    max_edges: int = 60,
) -> Picture:
    """Draw a found circuit with its roles named, and its score among those of the null.

    Parameters
    ----------
    graph
        The units and edges of the match.
    roles
        Uid to the role (or roles) that it has, any text.
    score, null_scores, p, q, draws, sample, is_low_better
        As for `draw_null`.
    null_name
        Of the null; "" where there is none.
    title
        Any text, shown above.
    scale, max_edges
        As for `circuitgraph.draw.draw_circuit`.

    Returns
    -------
    Picture
        720 pixels wide, or as wide as the circuit.

    Raises
    ------
    GraphError
        The circuit has no unit.
    NonFiniteError, ShapeError
        As for `draw_null` and `circuitgraph.draw.draw_circuit`.
    """
    heading = brief(title, 1000) or "Match"
    circuit, width, height, told = circuit_parts(graph, title=heading, scale=scale, max_edges=max_edges, roles=roles)
    parts = [
        *circuit,
        tag("path", d=f"M{number(_MARGIN)} {number(height)}H{number(width - _MARGIN)}", stroke="#e3e3e3"),
    ]
    more, bottom, desc = _null_parts(
        score,
        null_scores,
        height + 8,
        name=null_name,
        p=p,
        q=q,
        draws=draws,
        sample=sample,
        is_low_better=is_low_better,
        width=min(width, _WIDTH),
    )
    return Picture.compose([*parts, *more], width=width, height=bottom, title=heading, desc=f"{told} {desc}")
