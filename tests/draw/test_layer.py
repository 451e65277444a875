"""A layer at a glance: tiles in order, bounded, with words where colours say something."""

from __future__ import annotations

import time

import numpy as np
import pytest

from circuitgraph.draw import LayerTile, draw_layer
from circuitgraph.draw.palette import colour
from circuitgraph.errors import NonFiniteError, ShapeError
from tests.draw.reading import HOSTILE, LONG, SVG, check_harmless, corners_of, fills_of, root_of, tips_of, words_of

RNG = np.random.default_rng(6)
TILES = [
    LayerTile("net/conv2:0", "curves", RNG.normal(size=(3, 3)), "from conv1:4"),
    LayerTile("net/conv2:1", "", RNG.normal(size=(1, 5)), "from conv1:5", anchor=(0, 2)),
    LayerTile("net/conv2:2", "reads the image", RNG.normal(size=(3, 4, 4))),
    LayerTile("net/conv2:3", "dead", None, "no weights"),
]


def test_tiles_stand_in_order_with_their_kernels_words_and_sums() -> None:
    picture = draw_layer(TILES, title="net/conv2", unit_count=2048)
    fills = fills_of(picture)
    assert [len(tile) for tile in fills] == [9, 5, 16]
    full = max(float(np.abs(np.float32(np.ravel(TILES[place].kernel))).max()) for place in (0, 1))
    assert fills[0] == [colour(float(value), full) for value in np.float32(TILES[0].kernel).ravel()]
    corners = corners_of(picture)
    assert corners[0][0] < corners[1][0] < corners[2][0]
    words = words_of(picture)
    assert {"net/conv2", "curves", "conv2:0", "from conv1:4", "conv2:1", "no kernel"} <= set(words)
    total = float(np.float32(TILES[0].kernel).sum(dtype=np.float64))
    assert any(word.startswith(f"Σ {'+' if total > 0 else '−'}{abs(total):.1f}") for word in words)
    assert tips_of(picture)[3] == "dead; net/conv2:3; no weights"


def test_what_is_left_out_is_said() -> None:
    tiles = [LayerTile(f"net/a:{place}", kernel=np.ones((3, 3))) for place in range(100)]
    picture = draw_layer(tiles, unit_count=2048)
    assert len(fills_of(picture)) == 60
    assert "Showing 60 of 2,048 units." in words_of(picture)
    assert "Showing 7 of 2,048 units." in words_of(draw_layer(tiles, unit_count=2048, limit=7))


def test_large_kernels_are_averaged_and_it_is_said() -> None:
    kernel = np.kron(np.array([[1.0, -1.0], [0.5, 0.0]]), np.ones((50, 50)))
    picture = draw_layer([LayerTile("net/a:0", kernel=kernel, anchor=(60, 10))], unit_count=1)
    fills = fills_of(picture)[0]
    assert len(fills) <= 32 * 32
    assert (fills[0], fills[-1]) == (colour(1.0, 1.0), colour(0.0, 1.0))
    said = " ".join(words_of(picture))
    assert "averages of up to 4x4 weights" in said
    assert "Σ +1200" in said


def test_the_scale_is_common_or_each_kernels_own_and_said() -> None:
    tiles = [LayerTile("n/a:0", kernel=[[0.25]]), LayerTile("n/a:1", kernel=[[-4.0]])]
    common = draw_layer(tiles, unit_count=2)
    assert fills_of(common) == [[colour(0.0625, 1)], [colour(-1, 1)]]
    assert {"−4.00", "+4.00"} <= set(words_of(common))
    own = draw_layer(tiles, unit_count=2, scale="each")
    assert fills_of(own) == [[colour(1, 1)], [colour(-1, 1)]]
    assert {"±0.25", "±4.0"} <= set(words_of(own))
    assert "strengths do not compare" in " ".join(words_of(own))
    assert "1 of 2 weights lie beyond the scale." in words_of(draw_layer(tiles, unit_count=2, scale=1))


def test_the_same_layer_gives_the_same_bytes() -> None:
    assert draw_layer(TILES, unit_count=9).svg == draw_layer(list(TILES), unit_count=9).svg


def test_a_familys_name_stands_whole_below_its_tile() -> None:
    tiles = [
        LayerTile("net/a:0", "family: other vehicle parts", [[1.0]]),
        LayerTile("net/a:1", "family: dogs", None),
        LayerTile("net/a:2", "dogs", None),
    ]
    picture = draw_layer(tiles, unit_count=3)
    words = words_of(picture)
    assert {"other vehicle", "parts"} <= set(words)
    weights = [each.get("font-weight") for each in root_of(picture).iter(f"{SVG}text") if each.text == "dogs"]
    assert weights == [None, "600"]
    assert "Names that are not bold are those of families." in words
    assert "family: dogs; net/a:1" in tips_of(picture)


@pytest.mark.parametrize("label", [HOSTILE, LONG, "\x00"])
def test_a_hostile_or_endless_label_is_text_and_nothing_else(label: str) -> None:
    tiles = [LayerTile(label, label, kernel, label) for kernel in ([[1.0]], np.ones((3, 2, 2)), None)] * 20
    check_harmless(draw_layer(tiles, title=label, unit_count=10**12))


@pytest.mark.parametrize("shape", [(1, 1), (128, 1), (1, 128), (128, 128), (3, 11, 11), (3, 128, 128)])
def test_nothing_leaves_the_picture(shape: tuple[int, ...]) -> None:
    tiles = [LayerTile(f"n/a:{place}", "a", np.ones(shape), "b", anchor=(0, 0)) for place in range(9)]
    check_harmless(draw_layer(tiles, unit_count=9), most_bytes=2_000_000)


def test_sixty_tiles_take_well_under_a_second() -> None:
    tiles = [LayerTile(f"net/a:{place}", "name", RNG.normal(size=(7, 7)), "from b:3") for place in range(60)]
    taken = []
    for _ in range(3):
        start = time.process_time()
        draw_layer(tiles, unit_count=2048)
        taken.append(time.process_time() - start)
    assert min(taken) < 1.0


def test_what_cannot_be_drawn_is_refused() -> None:
    with pytest.raises(ShapeError, match="drawing a layer: 0 tiles of 5 units"):
        draw_layer([], unit_count=5)
    with pytest.raises(ShapeError, match="at least 1"):
        draw_layer(TILES, unit_count=5, limit=0)
    with pytest.raises(ShapeError, match=r"the kernel of net/a:1: the shape is \(2, 2, 2\)"):
        draw_layer([LayerTile("net/a:1", kernel=np.ones((2, 2, 2)))], unit_count=1)
    with pytest.raises(ShapeError, match=r"the shape is \(4,\)"):
        draw_layer([LayerTile("net/a:1", kernel=np.ones(4))], unit_count=1)
    with pytest.raises(NonFiniteError, match=r"the kernel of net/a:1: 1 of 1 weights .* row 0, col 0"):
        draw_layer([LayerTile("net/a:1", kernel=[[np.nan]])], unit_count=1)
    with pytest.raises(ShapeError, match="scale"):
        draw_layer(TILES, unit_count=4, scale=float("nan"))
