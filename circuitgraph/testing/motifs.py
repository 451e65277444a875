"""The contract of a motif, as tests: a package whose motif passes them works like ours.

Subclass `MotifTests` in a test module of your own and say what is to be searched::

    class TestStripes(MotifTests):
        def make_motif(self):
            return get_motif("stripes")

        def make_planted(self):
            weights, places = ...
            return MotifCase(weights, expected=frozenset(places), unrelated=(3, 4))

        def make_random(self, seed):
            return MotifCase(np.random.default_rng(seed).normal(size=(12, 12, 5, 5)))
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np
import pytest

from circuitgraph.errors import MotifError, NonFiniteError, UnknownUnitError
from circuitgraph.progress import Task
from queries.base import Match, MotifResult, NullModel, Unit
from queries.null_scores import MOST_SCORES
from queries.registry import Explanation, Motif, MotifOption, get_motif, list_motifs

__all__ = ["MotifCase", "MotifTests", "RecordingProgress"]

_VERDICTS = ("found", "not significant", "undetermined", "cannot tell", "ranking")


@dataclass(frozen=True, eq=False)
class MotifCase:
    """One search: what is searched, how, and the answer where it is known.

    Attributes
    ----------
    source
        What `find` takes first.
    options
        Its keywords, arrays among them; "seed" is the suite's.
    expected
        Units that one found match binds, all of them.
    unrelated
        Units that are no match, in the order that `why_not` takes them; empty where the motif answers no such question.
    """

    source: Any
    options: Mapping[str, Any] = field(default_factory=dict)
    expected: frozenset[Unit] = frozenset()
    unrelated: tuple[Unit, ...] = ()


class RecordingProgress:
    """A `Progress` that counts what it is told."""

    def __init__(self) -> None:
        self.titles: list[str] = []
        self.advanced = 0.0

    @contextmanager
    def task(self, title: str, total: float | None = None, unit: str = "") -> Iterator[Task]:  # noqa: ARG002
        """Note that a piece of work was opened."""
        self.titles.append(title)
        yield _Recorded(self)

    def note(self, text: str) -> None:
        """Take a note, and forget it."""


class _Recorded:
    def __init__(self, progress: RecordingProgress) -> None:
        self._progress = progress

    def advance(self, amount: float = 1) -> None:
        self._progress.advanced += amount

    def describe(self, text: str) -> None:
        pass


class MotifTests:
    """What every motif must do; see the module's docstring for how to use it.

    Attributes
    ----------
    random_count, most_alarms
        Of so many random networks at most so many may have a find: with 5% false alarms, more than 3 of 10 have a
        chance of one in a thousand.
    is_ranking
        The motif has no null: nothing counts as found, and the planted units must be the first match.
    """

    random_count = 10
    most_alarms = 3
    is_ranking = False

    _kept: ClassVar[dict[str, Any]]

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls._kept = {}

    def make_motif(self) -> Motif:
        """Return the motif, as `get_motif` gives it."""
        raise NotImplementedError("say which motif is tested: make_motif")

    def make_planted(self) -> MotifCase:
        """Return a source with one planted motif; `expected` and, where it can be asked, `unrelated` are given."""
        raise NotImplementedError("plant a motif that must be found: make_planted")

    def make_random(self, seed: int) -> MotifCase:
        """Return a source in which there is nothing, another for each seed."""
        raise NotImplementedError("make a random source: make_random")

    def make_not_finite(self) -> MotifCase:
        """Return a source with a NaN; made from the planted one where that is an array."""
        planted = self.make_planted()
        if not isinstance(planted.source, np.ndarray):
            raise NotImplementedError("the planted source is no array; put a NaN into it: make_not_finite")
        spoiled = planted.source.copy()
        spoiled.reshape(-1)[spoiled.size // 2] = np.nan
        return replace(planted, source=spoiled)

    def make_reordered(self) -> MotifCase | None:
        """Return the planted case with its units in another order, and `expected` in theirs; None where it matters."""
        return None

    @pytest.fixture
    def motif(self) -> Motif:
        """The motif."""
        return self.make_motif()

    @pytest.fixture
    def planted(self) -> MotifCase:
        """The planted case, made once."""
        if "planted" not in self._kept:
            self._kept["planted"] = self.make_planted()
        found: MotifCase = self._kept["planted"]
        return found

    @pytest.fixture
    def result(self, motif: Motif, planted: MotifCase) -> MotifResult[Match]:
        """The search of the planted case, done once."""
        if "result" not in self._kept:
            self._kept["result"] = motif.find(planted.source, seed=0, **planted.options)
        found: MotifResult[Match] = self._kept["result"]
        return found

    def test_it_is_registered_and_says_what_it_is(self, motif: Motif) -> None:
        """Name, summary, definition, nulls and options are there, and the entry point leads to it."""
        assert motif.name in list_motifs()
        assert get_motif(motif.name).name == motif.name
        assert motif.summary.endswith(".")
        assert "\n" not in motif.summary
        assert len(motif.definition) > len(motif.summary)
        assert all(isinstance(null, NullModel) and null.name for null in motif.nulls)
        assert all(isinstance(option, MotifOption) and option.help for option in motif.options)
        assert len({option.name for option in motif.options}) == len(motif.options)

    def test_it_explains_itself_without_a_search(self, motif: Motif, planted: MotifCase) -> None:
        """`explain` takes what `find` takes."""
        said = motif.explain(planted.source, **planted.options)
        assert isinstance(said, Explanation)
        assert said.cost
        assert said.definition
        json.dumps(said.to_dict(), allow_nan=False)

    def test_what_was_planted_is_found(self, motif: Motif, planted: MotifCase, result: MotifResult[Match]) -> None:
        """One found match binds all the planted units."""
        assert result.motif == motif.name
        candidates = result.matches[:1] if self.is_ranking else result.found
        assert any(planted.expected <= _units(match) for match in candidates), str(result.table())

    def test_random_networks_stay_silent(self, motif: Motif) -> None:
        """At most `most_alarms` of `random_count` have a find."""
        alarms = 0
        for seed in range(self.random_count):
            case = self.make_random(seed)
            alarms += bool(motif.find(case.source, seed=seed, **case.options).found)
        assert alarms <= self.most_alarms

    def test_the_same_seed_gives_the_same_numbers(
        self, motif: Motif, planted: MotifCase, result: MotifResult[Match]
    ) -> None:
        """All of them, however long it took."""
        again = motif.find(planted.source, seed=0, **planted.options)
        assert _without_time(again) == _without_time(result)

    def test_a_result_states_what_was_tested_and_how(self, motif: Motif, result: MotifResult[Match]) -> None:
        """How much was tested, nulls by name, draws, seed, level."""
        assert result.tested_count >= len(result.matches) or result.tested
        assert result.tested_count > 0
        assert (result.seed, result.motif) == (0, motif.name)
        assert 0 < result.level <= 1
        assert f"{result.tested_count:,}" in result.statement
        assert bool(result.nulls) is not self.is_ranking
        known = {null.name for null in motif.nulls}
        for null in result.nulls:
            assert null.name in known
            assert null.name in result.statement
            assert null.keeps
            assert null.kills
        if result.nulls:
            assert result.draws > 0
            assert f"{result.draws} draws, seed {result.seed}" in result.statement

    def test_p_is_never_0_and_q_never_below_p(self, result: MotifResult[Match]) -> None:
        """And what has a p has a null, an effect and a q."""
        names = {null.name for null in result.nulls}
        for match in result.matches:
            assert math.isfinite(match.score)
            assert match.verdict in _VERDICTS
            if match.p is None:
                assert match.verdict != "found"
                continue
            assert 0 < match.p <= 1
            assert match.q is not None
            assert match.p <= match.q <= 1
            assert match.effect is not None
            assert match.null in names
            if match.verdict == "found":
                assert match.q <= result.level

    def test_p_can_be_counted_among_the_scores_that_are_kept(self, result: MotifResult[Match]) -> None:
        """Where they are kept: p is (1 + reached) / (1 + count), and the sample agrees."""
        for match in result.matches:
            if match.chance is None:
                continue
            scores = match.chance.scores
            values = np.array(scores.values)
            assert match.p == pytest.approx(match.chance.p, rel=1e-12)
            assert scores.null == match.null
            assert 0 < len(values) <= min(MOST_SCORES, scores.count)
            assert np.all(np.diff(values) >= 0)
            listed = scores.count - scores.unlisted
            share = np.count_nonzero(values >= match.chance.observed) / len(values)
            # of a sample in equal steps of rank no more can be told
            assert share == pytest.approx(match.chance.reached / listed, abs=0 if len(values) == listed else 0.05)

    def test_no_two_matches_say_the_same(self, result: MotifResult[Match]) -> None:
        """Their ids differ, so that each is saved."""
        ids = [match.id for match in result.matches]
        assert len(set(ids)) == len(ids)

    def test_units_are_bound_in_roles(self, result: MotifResult[Match]) -> None:
        """`bindings` gives each unit its role and place."""
        for match in result.matches:
            bindings = match.bindings()
            assert bindings
            assert all(role and place >= 0 and isinstance(unit, (int, str)) for role, place, unit in bindings)

    def test_a_result_is_ready_for_json(self, result: MotifResult[Match]) -> None:
        """Without NaN, and the same when read back."""
        whole = result.to_dict()
        assert json.loads(json.dumps(whole, allow_nan=False)) == whole
        assert whole["schema"] == "circuitgraph/motifs"
        assert len(whole["matches"]) == len(result.matches)

    def test_a_result_prints_as_a_table(self, result: MotifResult[Match]) -> None:
        """Under its statement, as text and as HTML."""
        assert str(result.table()).startswith(result.statement)
        assert "<table>" in result.table()._repr_html_()

    def test_why_not_says_why(self, planted: MotifCase, result: MotifResult[Match]) -> None:
        """In words, with numbers; where the motif answers no such question it says so."""
        if not planted.unrelated:
            with pytest.raises(MotifError):
                result.why_not()
            return
        said = result.why_not(*planted.unrelated)
        assert any(character.isdigit() for character in said)

    def test_why_not_refuses_a_unit_that_is_not_there(self, planted: MotifCase, result: MotifResult[Match]) -> None:
        """By name."""
        if planted.unrelated:
            strange: Unit = "no/such:0" if isinstance(planted.unrelated[0], str) else 10**6
            with pytest.raises(UnknownUnitError, match=str(strange)):
                result.why_not(strange, *planted.unrelated[1:])

    def test_a_weight_that_is_not_finite_is_refused(self, motif: Motif) -> None:
        """Before anything is computed from it."""
        not_finite = self.make_not_finite()
        with pytest.raises(NonFiniteError):
            motif.find(not_finite.source, **not_finite.options)

    def test_too_few_draws_are_refused(self, motif: Motif, planted: MotifCase) -> None:
        """Since they would find nothing."""
        if not self.is_ranking:
            with pytest.raises(MotifError, match="draws"):
                motif.find(planted.source, **{**planted.options, "draws": 1})

    def test_it_tells_its_progress_and_finds_the_same(
        self, motif: Motif, planted: MotifCase, result: MotifResult[Match]
    ) -> None:
        """A bar is opened and moves."""
        progress = RecordingProgress()
        told = motif.find(planted.source, seed=0, progress=progress, **planted.options)
        assert progress.titles
        assert progress.advanced > 0
        assert _without_time(told) == _without_time(result)

    def test_the_order_of_the_units_does_not_matter(
        self, motif: Motif, planted: MotifCase, result: MotifResult[Match]
    ) -> None:
        """The planted match has the same score; its p may differ by the draws."""
        reordered = self.make_reordered()
        if reordered is None:
            return
        other = motif.find(reordered.source, seed=0, **reordered.options)
        scores = [
            next((match.score for match in each.matches if case.expected <= _units(match)), math.nan)
            for each, case in ((result, planted), (other, reordered))
        ]
        assert scores[1] == pytest.approx(scores[0], rel=1e-5)


def _units(match: Match) -> set[Unit]:
    return {unit for _, _, unit in match.bindings()}


def _without_time(result: MotifResult[Match]) -> dict[str, Any]:
    return {name: value for name, value in result.to_dict().items() if name != "seconds"}
