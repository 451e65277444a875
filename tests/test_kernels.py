from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from circuitgraph.errors import ShapeError
from circuitgraph.kernels import SCALARS, anchor_of, lay_on_window, strong_cut, summarise, union_window


def in_plain_loops(kernel: list[list[float]], anchor: tuple[float, float]) -> dict[str, float]:
    said = dict.fromkeys(SCALARS, 0.0)
    peak = 0.0
    for row, line in enumerate(kernel):
        for col, weight in enumerate(line):
            said["sum"] += weight
            said["l1"] += abs(weight)
            said["l2"] += weight * weight
            said["excitation" if weight > 0 else "inhibition"] += weight
            said["centre" if (row, col) == anchor else "surround"] += weight
            if row != anchor[0]:
                said["top" if row < anchor[0] else "bottom"] += weight
            if col != anchor[1]:
                said["left" if col < anchor[1] else "right"] += weight
            if abs(weight) > peak:
                peak = abs(weight)
                said["peak_row"], said["peak_col"] = row - math.floor(anchor[0]), col - math.floor(anchor[1])
    said["l2"] = math.sqrt(said["l2"])
    return said


@pytest.mark.parametrize("window", [(1, 1), (3, 3), (2, 2), (4, 3), (1, 5)])
@pytest.mark.parametrize("anchor", [(0.0, 0.0), (1.0, 1.0), (0.5, 1.5), (-1.0, 2.0), (9.0, 0.0)])
def test_summaries_equal_plain_loops(window: tuple[int, int], anchor: tuple[float, float]) -> None:
    rng = np.random.default_rng(3)
    kernels = rng.normal(size=(7, *window)).astype(np.float32)
    kernels[2] = 0
    said = summarise(kernels, anchor)
    for number, kernel in enumerate(kernels.astype(float).tolist()):
        expected = in_plain_loops(kernel, anchor)
        for name in SCALARS:
            assert said[name][number] == pytest.approx(expected[name], abs=1e-6), name


def test_a_window_that_excites_above_and_inhibits_below_sums_to_nothing() -> None:
    said = summarise(np.array([[[1.0, 2.0, 1.0], [0, 0, 0], [-1, -2, -1]]]), (1, 1))
    assert (said["sum"][0], said["top"][0], said["bottom"][0], said["l1"][0]) == (0, 4, -4, 8)
    turned = summarise(np.rot90(np.array([[[1.0, 2.0, 1.0], [0, 0, 0], [-1, -2, -1]]]), axes=(1, 2)), (1, 1))
    assert (turned["left"][0], turned["right"][0], turned["top"][0]) == (4, -4, 0)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=30)
def test_no_rounding_turns_a_sign_or_breaks_a_bound(seed: int) -> None:
    rng = np.random.default_rng(seed)
    kernels = np.abs(rng.normal(size=(50, 5, 5))).astype(np.float32)
    said = summarise(np.concatenate([kernels, -kernels]), (2, 2))
    assert (said["inhibition"] <= 0).all()
    assert (said["excitation"] >= 0).all()
    assert (said["inhibition"][:50] == 0).all()
    assert (np.abs(said["sum"]) <= said["l1"]).all()


def test_summaries_do_not_depend_on_how_many_kernels_are_done_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    kernels = np.random.default_rng(0).normal(size=(101, 3, 3)).astype(np.float32)
    whole = summarise(kernels, (1, 1))
    monkeypatch.setattr("circuitgraph.kernels._CHUNK_CELLS", 90)
    in_parts = summarise(kernels, (1, 1))
    for name in SCALARS:
        np.testing.assert_array_equal(whole[name], in_parts[name])


def test_no_kernels_are_summed_to_empty_columns() -> None:
    said = summarise(np.zeros((0, 3, 3), dtype=np.float32), (1, 1))
    assert {len(said[name]) for name in SCALARS} == {0}


@pytest.mark.parametrize("shape", [(3, 3), (2, 3, 3, 3), (4, 0, 3)])
def test_what_is_not_a_list_of_kernels_is_refused_with_its_shape(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match=r"\(kernel, row, col\)"):
        summarise(np.zeros(shape), (0, 0))


@pytest.mark.parametrize(
    ("form", "offset", "window", "anchor"),
    [
        ("dense", (-1, -1), (3, 3), (1, 1)),
        ("dense", (-2, -3), (7, 7), (2, 3)),  # a strided stem is anchored off the middle
        ("dense", (0, 0), (2, 2), (0, 0)),  # a 2x2 pool looks down and right of its own place
        ("diagonal", (1, 0), (2, 2), (-1, 0)),
        ("global", (0, 0), (1, 1), (0, 0)),
        ("spatial", (0, 0), (7, 7), (3, 3)),
        ("spatial", (0, 0), (4, 6), (1.5, 2.5)),  # between two lines where their count is even
    ],
)
def test_the_anchor_sits_on_the_units_own_position(
    form: str, offset: tuple[int, int], window: tuple[int, int], anchor: tuple[float, float]
) -> None:
    assert anchor_of(form, offset, window) == anchor


def test_an_even_spatial_kernel_has_halves_but_no_centre() -> None:
    said = summarise(np.arange(16.0).reshape(1, 4, 4), anchor_of("spatial", (0, 0), (4, 4)))
    assert said["centre"][0] == 0
    assert said["top"][0] + said["bottom"][0] == said["sum"][0]
    assert (said["peak_row"][0], said["peak_col"][0]) == (2, 2)


@pytest.mark.parametrize(
    ("values", "share", "cut", "reached"),
    [
        ([5, 1, 4, 3], 0.5, 4, 2),
        ([5, 4, 4, 4, 1], 0.4, 4, 4),  # ties at the cut are all in
        ([2, 2, 2], 0.02, 2, 3),
        ([7], 0.02, 7, 1),
        (range(100), 0.02, 98, 2),
        (range(150), 0.02, 147, 3),  # 0.02 * 150 is 3, whatever floating point says
        (range(101), 0.02, 98, 3),  # 2.02 is rounded up
        ([], 0.02, 0, 0),
    ],
)
def test_the_cut_is_what_the_strongest_share_reaches(values: list[int], share: float, cut: float, reached: int) -> None:
    array = np.array(list(values), dtype=np.float32)
    assert strong_cut(array, share) == cut
    assert int((array >= strong_cut(array, share)).sum()) == reached


def test_ragged_windows_are_laid_on_their_union() -> None:
    offset, window = union_window([(0, 0), (-1, -1), (-2, 0)], [(1, 1), (3, 3), (2, 5)])
    assert (offset, window) == ((-2, -1), (4, 6))
    small = np.array([[5.0]], dtype=np.float32)
    laid = lay_on_window(small, (0, 0), offset, window)
    assert laid.shape == window
    assert laid[2, 1] == 5
    assert laid.sum() == 5


def test_a_kernel_that_fills_the_window_is_not_copied() -> None:
    kernel = np.ones((2, 3, 3), dtype=np.float32)
    assert lay_on_window(kernel, (-1, -1), (-1, -1), (3, 3)) is kernel


@pytest.mark.parametrize("offset", [(-2, 0), (0, 2), (2, 0)])
def test_a_kernel_that_sticks_out_of_the_window_is_refused(offset: tuple[int, int]) -> None:
    with pytest.raises(ShapeError, match="does not fit"):
        lay_on_window(np.ones((3, 3), dtype=np.float32), offset, (-1, -1), (4, 4))
