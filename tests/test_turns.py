"""The eight transformations of a kernel against numpy's own, and what they leave alone."""

from __future__ import annotations

import math

import numpy as np
import pytest

from circuitgraph.errors import MotifError, ShapeError
from circuitgraph.turns import (
    TURNS,
    compose_turns,
    informative,
    inverse_turn,
    norm_shares,
    turn,
    turn_by,
    turn_place,
    turns_of,
)

KERNEL = np.random.default_rng(0).normal(size=(5, 5))


def test_the_names_mean_what_the_contract_says() -> None:
    assert np.array_equal(turn(KERNEL, "rot90"), np.rot90(KERNEL, k=1))
    assert np.array_equal(turn(KERNEL, "rot270"), np.rot90(KERNEL, k=3))
    assert np.array_equal(turn(KERNEL, "flip"), np.fliplr(KERNEL))
    assert np.array_equal(turn(KERNEL, "flip.rot90"), KERNEL.T)
    assert np.array_equal(turn(KERNEL, "flip.rot180"), np.flipud(KERNEL))


@pytest.mark.parametrize("first", TURNS)
@pytest.mark.parametrize("second", TURNS)
def test_composition_is_doing_one_after_the_other(first: str, second: str) -> None:
    assert np.array_equal(turn(turn(KERNEL, first), second), turn(KERNEL, compose_turns(first, second)))


@pytest.mark.parametrize("name", TURNS)
def test_the_inverse_undoes(name: str) -> None:
    assert np.array_equal(turn(turn(KERNEL, name), inverse_turn(name)), KERNEL)


def test_the_informative_part_has_no_mean_over_the_eight() -> None:
    left = informative(KERNEL)
    assert np.allclose(sum(turn(left, name) for name in TURNS), 0)
    assert np.isclose(left.sum(), 0)


def test_a_radial_kernel_has_nothing_to_tell() -> None:
    rows, cols = np.mgrid[-2:3, -2:3]
    shares = norm_shares(np.exp(-(rows**2 + cols**2) / 2.0))
    assert shares["d4"] == pytest.approx(1)
    assert 0 < shares["dc"] < 1
    assert norm_shares(np.zeros((3, 3))) == {"dc": 0.0, "d4": 0.0}


def test_a_kernel_that_is_not_square_knows_four() -> None:
    assert turns_of((3, 5)) == ("identity", "rot180", "flip", "flip.rot180")
    with pytest.raises(ShapeError, match="3x5"):
        turn(np.zeros((3, 5)), "rot90")
    with pytest.raises(MotifError, match="no transformation 'turn'"):
        turn(KERNEL, "turn")


def _turned_by_hand(kernel: np.ndarray, angle_deg: float) -> np.ndarray:
    """Cell by cell, with x to the right and y up, as the definition says it."""
    rows, cols = kernel.shape
    sine, cosine = math.sin(math.radians(angle_deg)), math.cos(math.radians(angle_deg))
    out = np.full(kernel.shape, np.nan)
    for r in range(rows):
        for c in range(cols):
            x, y = c - (cols - 1) / 2, (rows - 1) / 2 - r
            from_x, from_y = x * cosine + y * sine, -x * sine + y * cosine
            if abs(from_x) > cols / 2 + 1e-9 or abs(from_y) > rows / 2 + 1e-9:
                continue
            row, col = (rows - 1) / 2 - from_y, from_x + (cols - 1) / 2
            row, col = min(max(row, 0), rows - 1), min(max(col, 0), cols - 1)
            near = [(i, j) for i in range(rows) for j in range(cols) if abs(i - row) < 1 and abs(j - col) < 1]
            out[r, c] = sum(kernel[i, j] * (1 - abs(i - row)) * (1 - abs(j - col)) for i, j in near)
    return out


@pytest.mark.parametrize("shape", [(1, 1), (2, 2), (5, 5), (4, 7), (7, 1)])
@pytest.mark.parametrize("angle", [0.0, 12.5, -45, 90, 133, 180, 270, 719])
def test_a_turn_by_any_angle_is_the_one_done_by_hand(shape: tuple[int, int], angle: float) -> None:
    kernel = np.random.default_rng(1).normal(size=shape)
    assert np.allclose(turn_by(kernel, angle), _turned_by_hand(kernel, angle), atol=1e-6, equal_nan=True)


def test_quarter_turns_touch_no_weight() -> None:
    kernels = np.random.default_rng(2).normal(size=(2, 3, 5, 5)).astype(np.float32)
    for quarters in range(-4, 5):
        assert np.array_equal(turn_by(kernels, 90 * quarters), np.rot90(kernels, quarters, axes=(-2, -1)))


def test_a_turn_is_counter_clockwise_and_nothing_is_lost_of_a_disc() -> None:
    right = np.zeros((7, 7))
    right[3, 5] = 1
    row, col = np.unravel_index(np.nanargmax(turn_by(right, 45)), (7, 7))
    assert (row < 3, col > 3) == (True, True)
    rows, cols = np.mgrid[-3:4, -3:4]
    disc = np.hypot(rows, cols) <= 3.5
    for angle in range(0, 360, 7):
        assert not np.isnan(turn_by(np.ones((7, 7)), angle)[disc]).any()


def test_a_place_turns_as_its_weight_does() -> None:
    for quarters in range(4):
        kernel = np.zeros((5, 5))
        kernel[1, 4] = 1
        moved = turn_by(kernel, 90 * quarters)
        assert np.allclose(turn_place((1, 4), 90 * quarters, (5, 5)), np.argwhere(moved == 1)[0])


@pytest.mark.parametrize("angle", [math.nan, math.inf])
def test_an_angle_that_is_none_is_refused(angle: float) -> None:
    with pytest.raises(ShapeError, match="a finite number of degrees is wanted"):
        turn_by(KERNEL, angle)
