"""A match's picture: roles on the circuit, and the observed score among those of the null, every number printed."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from circuitgraph.draw import Picture, draw_match, draw_null
from circuitgraph.draw.match import NullSample
from circuitgraph.errors import GraphError, NonFiniteError, ShapeError
from circuitgraph.graph import CircuitEdge, CircuitGraph, CircuitUnit

SVG = "{http://www.w3.org/2000/svg}"


def _root(picture: Picture) -> ET.Element:
    return ET.fromstring(picture.svg)


def _words(picture: Picture) -> list[str]:
    return ["".join(text.itertext()) for text in _root(picture).iter(f"{SVG}text")]


def _bars(picture: Picture) -> list[tuple[int, float, float, float, float]]:
    """Count, left, right and height of each bar, and where the floor is."""
    bars = []
    for rect in _root(picture).iter(f"{SVG}rect"):
        found = re.match(r"([\d,]+) null scores", str(rect.findtext(f"{SVG}title")))
        if found:
            x, y, width, height = (float(rect.attrib[name]) for name in ("x", "y", "width", "height"))
            bars.append((int(found[1].replace(",", "")), x, x + width, height, y + height))
    return bars


def _union() -> CircuitGraph:
    units = [CircuitUnit(f"net/{layer}:{i}", order=i) for layer in "ab" for i in (0, 1)] + [CircuitUnit("net/c:0")]
    kernel = np.ones((3, 3))
    edges = [CircuitEdge(f"net/a:{i}", f"net/b:{j}", kernel * (1 if i == j else -1)) for i in (0, 1) for j in (0, 1)]
    edges += [CircuitEdge(f"net/b:{i}", "net/c:0", kernel) for i in (0, 1)]
    return CircuitGraph(["net/a", "net/b", "net/c"], units, edges)


ROLES = {"net/a:0": "aL", "net/a:1": "aR", "net/b:0": "bL", "net/b:1": "bR", "net/c:0": "u"}


def test_a_match_names_its_roles_and_prints_score_p_q_draws_and_null() -> None:
    null = np.random.default_rng(1).normal(size=999)
    picture = draw_match(
        _union(), roles=ROLES, score=4.5, null_scores=null, null_name="signs shuffled", p=0.001, q=0.02, title="Union"
    )
    words = _words(picture)
    assert set(ROLES.values()) | {"Union", "observed 4.50", "inhibit each other"} <= set(words)
    assert "score 4.50 · p = 0.001 · q = 0.02" in words
    assert "null: signs shuffled · 999 draws · 0 of 999 null scores reach it" in words
    assert picture.width == 720
    desc = str(_root(picture).findtext(f"{SVG}desc"))
    assert "a:0 excites b:0 (sum +9.00)" in desc
    assert "0 of 999 null scores reach it" in desc


def test_the_bars_count_every_null_score_once_and_the_mark_stands_at_the_score() -> None:
    rng = np.random.default_rng(2)
    for null in (rng.normal(size=5000), rng.integers(0, 4, 300) * 1.0, rng.gamma(0.3, 1, 77), np.zeros(9), [3.0]):
        score = float(np.quantile(null, 0.9)) + 0.5
        picture = draw_null(score, null, name="n")
        bars = _bars(picture)
        assert sum(bar[0] for bar in bars) == len(null)
        tallest = max(bar[0] for bar in bars)
        assert all(bar[3] == pytest.approx(max(1.0, 110 * bar[0] / tallest), abs=0.01) for bar in bars)
        (mark,) = (
            float(path.attrib["d"][1:].split(" ")[0])
            for path in _root(picture).iter(f"{SVG}path")
            if path.get("stroke-width") == "2"
        )
        # the share of the null below the mark is what the numbers say
        below = sum(bar[0] for bar in bars if bar[2] <= mark)
        under = sum(bar[0] for bar in bars if bar[1] < mark)
        assert below <= np.count_nonzero(np.asarray(null) < score) <= under
        assert 16 <= mark <= 704


@pytest.mark.parametrize(("score", "low_is_better", "reached"), [(2.0, False, 2), (2.0, True, 3), (9.0, False, 0)])
def test_scores_that_reach_it_are_counted_on_the_surprising_side(
    score: float, low_is_better: bool, reached: int
) -> None:
    words = _words(draw_null(score, [0.0, 1.0, 2.0, 3.0], name="n", is_low_better=low_is_better))
    assert f"null: n · 4 draws · {reached} of 4 null scores reach it" in words


def test_a_score_without_a_null_is_said_to_have_none() -> None:
    for null in (None, []):
        picture = draw_null(0.5, null, name="")
        assert "This score has no null: it ranks matches, it does not test them." in _words(picture)
        assert "score 0.500" in _words(picture)
        assert _bars(picture) == []
    picture = draw_match(_union(), roles=ROLES, score=0.5)
    assert "This score has no null: it ranks matches, it does not test them." in _words(picture)


def test_a_null_whose_draws_were_not_kept_is_named_without_a_histogram() -> None:
    picture = draw_null(0.5, None, name="factor-S", p=0.01, draws=999)
    said = "null: factor-S · 999 draws · the scores of its draws were not kept, so there is no histogram"
    assert said in _words(picture)
    assert _bars(picture) == []


def test_a_sample_of_the_null_says_of_how_many() -> None:
    sample = NullSample(observed=3.0, statistic="z of the sum", count=50_000, reached=12, unlisted=49_000)
    words = _words(draw_null(7.0, [1.0, 2.0, 4.0], name="n", draws=50, sample=sample))
    assert "null: n · 50 draws · 12 of 50,000 null scores reach it" in words
    assert "Drawn: 3 of the 1,000 highest null scores; the others were only counted." in words
    assert {"observed 3.00", "z of the sum", "score 7.00"} <= set(words)


def test_ticks_tell_apart_scores_that_lie_close_together() -> None:
    null = 1000 + np.linspace(0, 0.01, 50)
    ticks = [word for word in _words(draw_null(1000.02, null, name="n")) if re.fullmatch(r"1000\.\d+", word)]
    assert len(ticks) == len(set(ticks)) >= 3


@pytest.mark.parametrize("size", [1e-300, 1e-12, 1e9, 1e299])
def test_any_magnitude_is_drawn_well_formed(size: float) -> None:
    null = np.random.default_rng(4).normal(size=50) * size
    assert sum(bar[0] for bar in _bars(draw_null(3 * size, null, name="n"))) == 50


def test_the_same_match_gives_the_same_bytes() -> None:
    def draw() -> str:
        null = np.random.default_rng(3).normal(size=99)
        return draw_match(_union(), roles=ROLES, score=2.0, null_scores=null, null_name="n", p=0.02).svg

    assert draw() == draw()


HOSTILE = (
    "</text><script>alert(1)</script>\x00\x1b\u202e & \"' ]]>\ud800",
    "\u2066" * 10_000 + "x" * 10_000,
    "<image href='javascript:alert(1)'/>" * 300,
)


@pytest.mark.parametrize("hostile", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_names_roles_and_titles_are_text_and_nothing_else(hostile: str) -> None:
    sample = NullSample(1.0, hostile, 9, 1)
    picture = draw_match(
        _union(),
        roles=dict.fromkeys(ROLES, hostile),
        score=1.0,
        null_scores=[0.0, 1.0],
        null_name=hostile,
        sample=sample,
        title=hostile,
    )
    for node in _root(picture).iter():
        assert node.tag.removeprefix(SVG) in {"svg", "title", "desc", "g", "rect", "text", "path", "circle"}
        assert not any(name.startswith("on") or "href" in name for name in node.attrib)
    assert not set(picture.svg) & {"\x00", "\x1b", "\u202e", "\u2066", "\ud800"}
    assert max(map(len, _words(picture))) < 140
    assert len(picture.svg) < 100_000


def test_what_cannot_be_drawn_is_refused() -> None:
    for score in (math.nan, math.inf, 1e305):
        with pytest.raises(NonFiniteError, match="the score is"):
            draw_null(score, [1.0], name="n")
    with pytest.raises(NonFiniteError, match=r"1 of 3 null scores are no finite number .* number 1 .nan."):
        draw_null(1.0, [1.0, math.nan, 2.0], name="n")
    for scores in ([["a"]], [[1.0, 2.0]], ["a", "b"]):
        with pytest.raises(ShapeError, match="the null scores are"):
            draw_null(1.0, scores, name="n")
    with pytest.raises(ShapeError, match=r"p is 1\.5"):
        draw_null(1.0, [1.0], name="n", p=1.5)
    with pytest.raises(ShapeError, match="q is nan"):
        draw_null(1.0, [1.0], name="n", q=math.nan)
    with pytest.raises(GraphError, match="0 units"):
        draw_match(CircuitGraph(["net/a"], []), roles={}, score=1.0)
