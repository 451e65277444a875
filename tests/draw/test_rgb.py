"""First layers in colour: each colour is the rule that the picture prints, whatever order the channels come in."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from circuitgraph.draw import draw_rgb
from circuitgraph.errors import NonFiniteError, ShapeError
from tests.draw.reading import HOSTILE, LONG, check_harmless, corners_of, fills_of, tips_of, words_of

KERNELS = np.random.default_rng(4).normal(size=(10, 3, 3, 3))


def _hex(weights: list[float], scale: float) -> str:
    """The rule as the picture says it, once more."""
    return "#" + "".join(f"{int(min(max(0.5 + w / (2 * scale), 0), 1) * 255 + 0.5):02x}" for w in weights)


def test_every_cell_has_the_colour_of_its_three_weights() -> None:
    weights = np.float32(KERNELS)
    expected = [
        [_hex([float(weights[unit, c, row, col]) for c in range(3)], 2.0) for row in range(3) for col in range(3)]
        for unit in range(10)
    ]
    assert fills_of(draw_rgb(KERNELS, scale=2.0)) == expected
    assert fills_of(draw_rgb(KERNELS[:, ::-1], scale=2.0, order="BGR")) == expected
    assert fills_of(draw_rgb(KERNELS[:, ::-1], scale=2.0)) != expected


def test_zero_is_mid_grey_and_the_scale_reaches_full_and_no_light() -> None:
    kernel = np.zeros((1, 3, 1, 4))
    kernel[0, 0, 0, 1], kernel[0, 1, 0, 2], kernel[0, 2, 0, 3] = 4, -4, 2
    assert fills_of(draw_rgb(kernel)) == [["#808080", "#ff8080", "#800080", "#8080bf"]]
    assert fills_of(draw_rgb(np.zeros((1, 3, 1, 1)))) == [["#808080"]]


def test_the_rule_and_the_scale_are_printed_and_what_lies_beyond_is_counted() -> None:
    kernel = np.zeros((2, 3, 1, 1))
    kernel[0, 0], kernel[1, 2] = 0.5, -2
    said = " ".join(words_of(draw_rgb(kernel, scale=1)))
    assert "0.5 + weight / (2 × scale)" in said
    assert "−1.00" in said
    assert "+1.00" in said
    assert "1 of 6 weights lie beyond the scale." in said


def test_sums_stand_below_each_kernel_since_colour_alone_says_nothing() -> None:
    picture = draw_rgb(KERNELS, names=[f"conv1:{place}" for place in range(10)])
    words = words_of(picture)
    for place, sums in enumerate(np.float32(KERNELS).sum(axis=(2, 3), dtype=np.float64)):
        said = [float(word.replace("−", "-")) for word in words[words.index(f"conv1:{place}") + 1].split()]
        assert all(abs(a - b) <= min(0.05, abs(b) / 2) and a * b > 0 for a, b in zip(said, sums, strict=True))
        assert f"conv1:{place}" in words
        assert tips_of(picture)[place].startswith(f"conv1:{place}: sums red ")


def test_a_scale_of_its_own_shows_each_kernel_fully_and_says_so() -> None:
    kernels = np.zeros((2, 3, 1, 2))
    kernels[0, :, 0, 0], kernels[1, :, 0, 0] = 0.01, 5
    picture = draw_rgb(kernels, scale="each")
    assert fills_of(picture) == [["#ffffff", "#808080"], ["#ffffff", "#808080"]]
    words = words_of(picture)
    assert {"±0.010", "±5.0"} <= set(words)
    assert "strengths do not compare" in " ".join(words)
    assert fills_of(draw_rgb(kernels)) == [["#808080", "#808080"], ["#ffffff", "#808080"]]


def test_what_is_left_out_is_said() -> None:
    picture = draw_rgb(KERNELS, limit=4, names=[str(place) for place in range(64)])
    assert len(fills_of(picture)) == 4
    assert "Showing the first 4 of 64 units." in words_of(picture)
    assert len(fills_of(draw_rgb(np.zeros((100, 3, 60, 60))))) == 5


def test_eight_stand_in_a_row() -> None:
    corners = corners_of(draw_rgb(KERNELS))
    assert len({y for _, y in corners[:8]}) == 1
    assert corners[8][0] == corners[0][0]
    assert corners[8][1] > corners[0][1]


def test_squeezenets_first_layer_is_drawn_whole(shared_data: Path) -> None:
    weights = np.load(shared_data / "squeezenet" / "squeezenet_v1.0_pruned.npz")["conv1.W"]
    picture = draw_rgb(weights, order="BGR", title="SqueezeNet conv1", anchor=(3, 3))
    check_harmless(picture)
    fills = fills_of(picture)
    assert len(fills) == 96
    scale = float(np.abs(weights).max())
    for unit in (0, 66, 95):
        cells = [_hex([float(w) for w in weights[unit, ::-1, row, col]], scale) for row in range(7) for col in range(7)]
        assert fills[unit] == cells
    # unit 66 looks for a red spot: red in its middle, and red's sum is the greatest
    red, green, blue = (int(fills[66][24][i : i + 2], 16) for i in (1, 3, 5))
    assert red > 200 > max(green, blue)
    found = re.search(r"sums red \+([\d.]+), green −", tips_of(picture)[66])
    assert found is not None
    assert float(found[1]) == pytest.approx(float(weights[66, 2].sum()), abs=0.01)


def test_the_same_kernels_give_the_same_bytes() -> None:
    assert draw_rgb(KERNELS).svg == draw_rgb(KERNELS.tolist()).svg


def test_one_strong_unit_does_not_take_the_digits_of_the_others() -> None:
    kernels = np.zeros((3, 3, 2, 2))
    kernels[0, :, 0, 0] = 3.41, -40.0, 0.0
    kernels[1, :, 0, 0] = 0.0123, -0.004, 0.0
    kernels[2, :, 1, 1] = 2e-7, -3e-5, 0.9
    words = words_of(draw_rgb(kernels))
    assert {"+3 −40 0", "+.012 −.004 0", "+2e−7 −3e−5 +.90"} <= set(words)


@pytest.mark.parametrize("label", [HOSTILE, LONG, "\x00"])
def test_a_hostile_or_endless_label_is_text_and_nothing_else(label: str) -> None:
    for scale in (None, "each"):
        check_harmless(draw_rgb(KERNELS, names=[label] * 10, title=label, scale=scale, anchor=(1, 1)))  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [1e-30, 1e-4, 0.03, 1.0, 3e4, 1e20])
def test_any_magnitude_is_drawn(size: float) -> None:
    check_harmless(draw_rgb(KERNELS * size))


def test_what_cannot_be_drawn_is_refused() -> None:
    with pytest.raises(ShapeError, match=r"the shape is \(10, 2, 3, 3\), \(down, 3, row, col\)"):
        draw_rgb(KERNELS[:, :2])
    with pytest.raises(ShapeError, match="order is 'GRB'"):
        draw_rgb(KERNELS, order="GRB")  # type: ignore[arg-type]
    with pytest.raises(ShapeError, match="10 kernels and 3 names"):
        draw_rgb(KERNELS, names=["a", "b", "c"])
    with pytest.raises(ShapeError, match="limit"):
        draw_rgb(KERNELS, limit=0)
    with pytest.raises(ShapeError, match="scale"):
        draw_rgb(KERNELS, scale=0)
    with pytest.raises(NonFiniteError, match="down 0, colour 2, row 0, col 0"):
        draw_rgb(np.where(np.arange(3)[None, :, None, None] == 2, np.inf, 0.0))
