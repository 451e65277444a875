"""The table of edges against plain arithmetic on whole arrays, for blocks larger than a slice."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from circuitgraph.bundle.edges import BlockEdges, TargetEdges, target_edges
from circuitgraph.bundle.format import MIXES_SUM_SHARE, ROW_GROUP


def make(shape: tuple[int, ...], seed: int) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    kernels = rng.normal(size=shape) * (rng.random((*shape[:2], 1, 1)) < 0.6)
    return np.asarray(kernels, dtype=np.float32)


def plain(kernels: NDArray[np.float32], anchor: tuple[int, int]) -> dict[str, NDArray[Any]]:
    """All scalars, (up, down), with nothing clever about it."""
    k = kernels.astype(np.float64).transpose(1, 0, 2, 3)
    row, col = anchor
    height, width = k.shape[2:]
    inside = 0 <= row < height and 0 <= col < width
    centre = k[:, :, row, col] if inside else np.zeros(k.shape[:2])
    peak = np.abs(k).reshape(*k.shape[:2], -1).argmax(axis=2)
    silent = ~k.any(axis=(2, 3))
    return {
        "sum": k.sum((2, 3)),
        "l1": np.abs(k).sum((2, 3)),
        "l2": np.sqrt((k**2).sum((2, 3))),
        "excitation": k.clip(min=0).sum((2, 3)),
        "inhibition": k.clip(max=0).sum((2, 3)),
        "centre": centre,
        "surround": k.sum((2, 3)) - centre,
        "top": k[:, :, : max(row, 0)].sum((2, 3)),
        "bottom": k[:, :, max(row + 1, 0) :].sum((2, 3)),
        "left": k[..., : max(col, 0)].sum((2, 3)),
        "right": k[..., max(col + 1, 0) :].sum((2, 3)),
        "peak_row": np.where(silent, 0, peak // width - row),
        "peak_col": np.where(silent, 0, peak % width - col),
    }


@pytest.mark.parametrize(
    ("shape", "anchor"),
    [((130, 1100, 2, 3), (1, 0)), ((1, 5, 3, 3), (1, 1)), ((70, 3, 1, 1), (0, 0)), ((9, 7, 4, 5), (4, -1))],
)
def test_every_scalar_of_every_edge_is_that_of_its_kernel(
    shape: tuple[int, int, int, int], anchor: tuple[int, int]
) -> None:
    kernels = make(shape, 1)
    edges = BlockEdges(
        kernels, form="row block", row_start=10, offset=(-anchor[0], -anchor[1]), up_channels=None, gross=None
    )
    table, cuts = target_edges([edges], shape[0] + 10)
    down, up = shape[:2]
    assert np.array_equal(table["up"], np.repeat(np.arange(up), down))
    assert np.array_equal(table["down"], np.tile(np.arange(10, 10 + down), up))
    expected = plain(kernels, anchor)
    for name, values in expected.items():
        assert np.allclose(table[name], values.reshape(-1), rtol=1e-6, atol=1e-6), name
    share = expected["l1"] / np.maximum(expected["l1"].sum(axis=0), 1e-30)
    assert np.allclose(table["share_in"], share.reshape(-1), rtol=1e-5, atol=1e-9)
    sums, l1, l2 = (table[name].to_numpy() for name in ("sum", "l1", "l2"))
    count = int(np.ceil(0.02 * len(sums)))
    assert cuts[""] == (np.sort(np.abs(sums))[-count], np.sort(l2)[-count])
    assert np.array_equal(table["excites"], (sums >= cuts[""][0]) & (sums > 0))
    assert np.array_equal(table["inhibits"], (-sums >= cuts[""][0]) & (sums < 0))
    assert np.array_equal(table["mixes"], (l2 >= cuts[""][1]) & (l2 > 0) & (np.abs(sums) < MIXES_SUM_SHARE * l1))


def test_slices_are_small_and_tear_no_unit_apart() -> None:
    kernels = make((300, 1500, 1, 1), 2)
    target = TargetEdges(
        [BlockEdges(kernels, form="dense", row_start=0, offset=(0, 0), up_channels=None, gross=None)], 300
    )
    sizes = [part.num_rows for part in target.iter_slices()]
    assert sum(sizes) == 300 * 1500
    assert len(sizes) > 1
    assert max(sizes) <= ROW_GROUP
    assert all(size % 300 == 0 for size in sizes)


def test_cancellation_is_what_the_sum_lacks_of_the_gross_weights() -> None:
    kernels = make((40, 30, 3, 3), 3)
    l1 = np.abs(kernels).sum((2, 3))
    factor = np.random.default_rng(4).uniform(1, 5, size=l1.shape).astype(np.float32)
    edges = BlockEdges(kernels, form="dense", row_start=0, offset=(-1, -1), up_channels=None, gross=l1 * factor)
    table, _ = target_edges([edges], 40)
    expected = np.where(l1 > 0, 1 - 1 / factor, 0).T
    assert np.allclose(table["cancellation"], expected.reshape(-1), atol=1e-6)


def test_a_diagonal_block_has_an_edge_for_each_row_that_reads_something() -> None:
    kernels = make((6, 1, 3, 3), 5)[:, 0]
    reads = np.array([4, -1, 0, 4, 1, -1], dtype=np.int32)
    edges = BlockEdges(kernels, form="diagonal", row_start=2, offset=(-1, -1), up_channels=reads, gross=None)
    table, _ = target_edges([edges], 8)
    assert table["up"].to_pylist() == [0, 1, 4, 4]
    assert table["down"].to_pylist() == [4, 6, 2, 5]
    wanted = kernels[[2, 4, 0, 3]].astype(np.float64)
    assert np.allclose(table["l1"], np.abs(wanted).sum((1, 2)), rtol=1e-6)
    assert np.allclose(table["centre"], wanted[:, 1, 1])
    onto = np.zeros(8)
    edges.add_up("l2", "down", onto, squared=True)
    assert np.allclose(onto[[4, 6, 2, 5]], np.square(wanted).sum((1, 2)), rtol=1e-5)
