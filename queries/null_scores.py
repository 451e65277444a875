"""The scores that a p value was counted among: a bounded sample of them, kept with the result.

A picture of a match shows its score beside those of random networks. All of them can be many millions, so a sample
in equal steps of rank is kept, with how many there were and how many reach the observed one: from these
``p = (1 + reached) / (1 + count)``, to the last digit.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["MOST_SCORES", "Chance", "NullScores", "sample_of"]

MOST_SCORES = 1000
"""Scores of one null that are kept; of more, a sample."""
_SAMPLED = 64


def sample_of(scores: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Return at most 64 of the scores of one random network, in equal steps of rank, for a `NullScores` of many."""
    ordered = np.sort(np.asarray(scores, dtype=np.float64).ravel())
    if len(ordered) <= _SAMPLED:
        return ordered
    return np.asarray(ordered[np.round(np.linspace(0, len(ordered) - 1, _SAMPLED)).astype(np.intp)])


@dataclass(frozen=True)
class NullScores:
    """The scores of random networks.

    Attributes
    ----------
    null
        Name of the null.
    statistic
        What was compared, in words; "score" where it is the match's score itself.
    values
        At most `MOST_SCORES`, ascending: all of them, or a sample in equal steps of rank.
    count
        How many there were.
    unlisted
        How many of them are not in the sample at all, since they lie below all of it and were only counted.
    """

    null: str
    statistic: str
    values: tuple[float, ...]
    count: int
    unlisted: int = 0

    @classmethod
    def of(
        cls,
        scores: NDArray[np.floating[Any]],
        *,
        null: str,
        statistic: str = "score",
        count: int | None = None,
        unlisted: int = 0,
    ) -> NullScores:
        """Return a sample of scores (n,) in any order.

        Parameters
        ----------
        count
            How many there were where `scores` are themselves a sample of them, in equal steps of rank.
        unlisted
            Scores below all of these that were only counted.
        """
        ordered = np.sort(np.asarray(scores, dtype=np.float64).ravel())
        if len(ordered) > MOST_SCORES:
            ordered = ordered[np.round(np.linspace(0, len(ordered) - 1, MOST_SCORES)).astype(np.intp)]
        whole = np.size(scores) + unlisted if count is None else count
        return cls(null, statistic, tuple(ordered.tolist()), int(whole), int(unlisted))

    @cached_property
    def id(self) -> str:
        """Eight hex digits of what it says."""
        return hashlib.sha256(json.dumps(self.to_dict(), sort_keys=True).encode()).hexdigest()[:8]

    def to_dict(self, *, most: int = MOST_SCORES) -> dict[str, Any]:
        """Return it ready for JSON, with at most so many values."""
        values = self.values
        if len(values) > most:
            values = tuple(values[round(place)] for place in np.linspace(0, len(values) - 1, most))
        return {
            "null": self.null,
            "statistic": self.statistic,
            "values": list(values),
            "count": self.count,
            "unlisted": self.unlisted,
        }

    @classmethod
    def read(cls, said: Mapping[str, Any]) -> NullScores:
        """Return what `to_dict` wrote."""
        values = tuple(_finite(value) for value in said["values"])
        return cls(str(said["null"]), str(said["statistic"]), values, int(said["count"]), int(said.get("unlisted", 0)))


@dataclass(frozen=True)
class Chance:
    """How one match compares with the scores of random networks.

    Attributes
    ----------
    scores
        What it was compared with.
    observed
        Its own, of the same statistic.
    reached
        How many of all `scores.count` are as large or larger.
    """

    scores: NullScores
    observed: float
    reached: int

    @classmethod
    def counted(cls, scores: NullScores, observed: float, every: NDArray[np.floating[Any]]) -> Chance:
        """Compare with `every` score that there was."""
        return cls(scores, float(observed), int(np.count_nonzero(np.asarray(every) >= np.float64(observed))))

    @property
    def p(self) -> float:
        """The probability of such a score under the null; never 0 (Phipson and Smyth, 2010)."""
        return (1 + self.reached) / (1 + self.scores.count)

    def to_dict(self) -> dict[str, Any]:
        """Return it ready for JSON; the scores by their id, which the result's ``null_scores`` holds once."""
        return {"scores": self.scores.id, "observed": self.observed, "reached": self.reached}

    def to_whole_dict(self, *, most: int = MOST_SCORES) -> dict[str, Any]:
        """Return it ready for JSON, its scores included."""
        return {**self.to_dict(), "scores": self.scores.to_dict(most=most)}

    @classmethod
    def read(cls, said: Mapping[str, Any] | None, result: Mapping[str, Any]) -> Chance | None:
        """Return what a written match says; None where it says nothing, or its result lacks the scores."""
        if not isinstance(said, Mapping):
            return None
        scores = said.get("scores")
        try:
            held = scores if isinstance(scores, Mapping) else (result.get("null_scores") or {}).get(scores)
            return cls(NullScores.read(held), _finite(said["observed"]), int(said["reached"])) if held else None
        except (KeyError, TypeError, ValueError, OverflowError):
            # what others wrote
            return None


def _finite(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"{number} is no finite number")
    return number
