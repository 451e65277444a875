"""A grid shows each kernel in its place; turned, an equivariant family shows equal columns and no other does."""

from __future__ import annotations

import io
import math
import time
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from circuitgraph.draw import EvidenceImage, draw_grid
from circuitgraph.draw.palette import colour
from circuitgraph.draw.turned import relative_deg, turn_family
from circuitgraph.errors import NonFiniteError, ShapeError
from importers.annotations.tuning import measure_tuning, read_curves
from tests.draw.reading import (
    HOSTILE,
    LONG,
    SVG,
    check_harmless,
    corners_of,
    fills_of,
    root_of,
    tips_of,
    words_of,
)

KERNELS = np.random.default_rng(3).normal(size=(3, 4, 5, 5))


def _quarter_family(*, sense: int = 1) -> NDArray[np.float64]:
    """Four units to four units, 90 degrees apart, whose kernels turn with their downstream unit."""
    base = np.random.default_rng(5).normal(size=(4, 5, 5))
    return np.array([[np.rot90(base[(up - down) % 4], sense * down) for up in range(4)] for down in range(4)])


def test_rows_are_downstream_and_columns_upstream_and_every_cell_is_there() -> None:
    picture = draw_grid(KERNELS, scale=2.0)
    assert fills_of(picture) == [
        [colour(float(value), 2.0) for value in np.float32(KERNELS[down, up]).ravel()]
        for down in range(3)
        for up in range(4)
    ]
    corners = corners_of(picture)
    for place, (x, y) in enumerate(corners):
        assert x == corners[place % 4][0]
        assert y == corners[place // 4 * 4][1]
    assert [x for x, _ in corners[:4]] == sorted(x for x, _ in corners[:4])
    assert corners[0][1] < corners[4][1] < corners[8][1]


def test_margins_carry_names_and_angles_and_every_kernel_its_two_units_and_sum() -> None:
    picture = draw_grid(
        KERNELS,
        down_names=["b:7", "b:8", "b:9"],
        up_names=["a:1", "a:2", "a:3", "a:4"],
        down_angles_deg=[0, 90, -45],
        up_angles_deg=[10, 20, None, 40],
        title="Two families",
    )
    words = words_of(picture)
    assert {"Two families", "b:7", "b:9", "a:1", "a:4", "0°", "90°", "315°", "10°", "40°"} <= set(words)
    assert len(list(root_of(picture).iter(f"{SVG}circle"))) == 6
    total = float(np.float32(KERNELS[1, 2]).sum(dtype=np.float64))
    assert f"a:3 → b:8: sum {'+' if total > 0 else '−'}{abs(total):.2f}" in tips_of(picture)


def test_the_hand_of_a_dial_points_counter_clockwise_from_right() -> None:
    picture = draw_grid(KERNELS[:1, :1], down_angles_deg=[90])
    hand = next(
        path.attrib["d"] for path in root_of(picture).iter(f"{SVG}path") if path.get("stroke-linecap") == "round"
    )
    (x, y), (to_x, to_y) = (tuple(map(float, end.split())) for end in hand.removeprefix("M").split("L"))
    assert (to_x, to_y < y) == (x, True)


def test_all_kernels_share_one_scale_which_is_printed() -> None:
    words = words_of(draw_grid([[[[2.0]], [[-8.0]]]]))
    assert {"−8.00", "0", "+8.00", "inhibits", "excites"} <= set(words)
    assert fills_of(draw_grid([[[[2.0]], [[-8.0]]]])) == [[colour(0.25, 1.0)], [colour(-1.0, 1.0)]]
    assert "1 of 2 weights lie beyond the scale." in words_of(draw_grid([[[[2.0]], [[-8.0]]]], scale=4))


def test_the_centre_is_outlined_and_turns_with_its_kernel() -> None:
    def outlined(**options: object) -> list[tuple[float, float]]:
        picture = draw_grid(np.ones((1, 1, 3, 3)), **options)  # type: ignore[arg-type]
        x, y = corners_of(picture)[0]
        rects = [rect for rect in root_of(picture).iter(f"{SVG}rect") if rect.get("stroke") == "#1a1a1a"]
        return [
            (
                round((float(rect.attrib["y"]) - y) / float(rect.attrib["height"]), 2),
                round((float(rect.attrib["x"]) - x) / float(rect.attrib["width"]), 2),
            )
            for rect in rects
        ]

    assert outlined() == []
    assert outlined(anchor=(1, 0)) == [(1, 0)]
    assert outlined(anchor=(-1, 0)) == []
    # turned back by 90 degrees, clockwise, what was left is above
    assert outlined(anchor=(1, 0), turned=True, down_angles_deg=[90], up_angles_deg=[0]) == [(0, 1)]


def test_what_is_left_out_is_said() -> None:
    picture = draw_grid(KERNELS, limit=2, up_names=[f"a:{place}" for place in range(700)])
    assert len(fills_of(picture)) == 4
    assert "Showing the first 2 of 3 downstream units and the first 2 of 700 upstream units." in words_of(picture)
    assert not any("Showing" in word for word in words_of(draw_grid(KERNELS)))


def test_large_windows_mean_fewer_kernels() -> None:
    picture = draw_grid(np.zeros((20, 20, 128, 32)))
    assert len(fills_of(picture)) == 4
    assert "Showing the first 2 of 20 downstream units and the first 2 of 20 upstream units." in words_of(picture)
    assert len(picture.svg) < 3_500_000


def test_turned_columns_of_an_equivariant_family_are_equal() -> None:
    kernels = _quarter_family()
    angles = [0.0, 90.0, 180.0, 270.0]
    picture = draw_grid(kernels, down_angles_deg=angles, up_angles_deg=angles, turned=True)
    fills = fills_of(picture)
    assert len(fills) == 16 + 4
    for col in range(4):
        assert fills[col] == fills[4 + col] == fills[8 + col] == fills[12 + col] == fills[16 + col]
    assert fills[0] != fills[1]
    # in the order of relative angle, the row's own upstream angle in the second column
    assert [word for word in words_of(picture) if word in ("−90°", "0°", "+90°", "180°", "+180°")][:4] == [
        "−90°",
        "0°",
        "+90°",
        "+180°",
    ]
    said = " ".join(words_of(picture))
    assert "hold 1.00 of the squared weights" in said
    found = turn_family(np.float32(kernels), angles, angles)
    assert found.columns.tolist() == [[3, 0, 1, 2], [0, 1, 2, 3], [1, 2, 3, 0], [2, 3, 0, 1]]


@pytest.mark.parametrize("sense", [0, -1])
def test_turned_columns_of_another_family_are_not_equal(sense: int) -> None:
    angles = [0.0, 90.0, 180.0, 270.0]
    found = turn_family(np.float32(_quarter_family(sense=sense)), angles, angles)
    assert found.likeness is not None
    assert found.likeness.turned < 0.7
    fills = fills_of(draw_grid(_quarter_family(sense=sense), down_angles_deg=angles, up_angles_deg=angles, turned=True))
    assert fills[0] != fills[4]


def test_random_kernels_are_no_more_alike_than_chance() -> None:
    kernels = np.random.default_rng(8).normal(size=(8, 8, 5, 5)).astype(np.float32)
    angles = [45.0 * place for place in range(8)]
    like = turn_family(kernels, angles, angles).likeness
    assert like is not None
    assert like.chance == pytest.approx(1 / 8)
    assert like.unturned == pytest.approx(1 / 8, abs=0.03)
    assert like.turned == pytest.approx(1 / 8, abs=0.03)


def test_units_that_do_not_go_all_around_leave_places_free() -> None:
    angles = [0.0, 30.0, 60.0]
    found = turn_family(np.ones((3, 3, 3, 3), dtype=np.float32), angles, angles)
    assert [round(angle) for angle in found.angles_deg] == [-60, -30, 0, 30, 60]
    assert found.columns.tolist() == [[-1, -1, 0, 1, 2], [-1, 0, 1, 2, -1], [0, 1, 2, -1, -1]]
    picture = draw_grid(np.ones((3, 3, 3, 3)), down_angles_deg=angles, up_angles_deg=angles, turned=True)
    assert len(fills_of(picture)) == 9 + 5


def test_one_upstream_unit_stands_in_a_column_for_each_of_its_relative_angles() -> None:
    found = turn_family(np.ones((4, 1, 3, 3), dtype=np.float32), [0, 90, 180, 270], [0])
    assert sorted(round(angle) % 360 for angle in found.angles_deg) == [0, 90, 180, 270]
    assert (found.columns >= 0).sum() == 4


def test_relative_angles_lie_over_minus_180_up_to_180() -> None:
    for up in range(-720, 721, 15):
        for down in (-350, 0, 10, 725):
            angle = relative_deg(up, down)
            assert -180 < angle <= 180
            assert math.isclose(math.cos(math.radians(angle)), math.cos(math.radians(up - down)), abs_tol=1e-9)
            assert math.isclose(math.sin(math.radians(angle)), math.sin(math.radians(up - down)), abs_tol=1e-9)


def test_corners_that_a_turn_leaves_empty_are_struck_out() -> None:
    picture = draw_grid(np.ones((1, 1, 5, 5)), down_angles_deg=[45], up_angles_deg=[45], turned=True)
    assert [len(tile) for tile in fills_of(picture)] == [21, 21]
    strikes = [path for path in root_of(picture).iter(f"{SVG}path") if path.get("stroke") == "#b3b3b3"]
    assert [path.attrib["d"].count("M") for path in strikes] == [4, 4]


def test_curves_of_inceptionv1_stand_upright_when_turned(shared_data: Path) -> None:
    folder = shared_data / "inceptionv1_curves"
    stored = np.load(folder / "curve_3a_to_3b_8x8.npz")
    kernels = stored["kernels"]
    sides = []
    for name, key in (("curves-mixed3b.json", "rows_mixed3b"), ("curves-mixed3a.json", "cols_mixed3a")):
        curves = read_curves((folder / name).read_bytes())
        # the source counts clockwise, as its importer says
        angles = {unit: -measure_tuning(curve).preferred_angle_deg % 360 for unit, curve in curves.items()}
        sides.append([angles[int(channel)] for channel in stored[key]])
    down, up = sides
    found = turn_family(kernels, down, up)
    assert found.likeness is not None
    # by hand: the disc, the mean of each column, and its share
    rows, cols = np.mgrid[-2:3, -2:3]
    disc = np.hypot(rows, cols) <= 2.5
    held = whole = 0.0
    for column in range(8):
        cells = np.array([found.kernels[row, found.columns[row, column]][disc] for row in range(8)], dtype=np.float64)
        held += 8 * float((cells.mean(axis=0) ** 2).sum())
        whole += float((cells**2).sum())
    assert found.likeness.turned == pytest.approx(held / whole)
    assert found.likeness.turned == pytest.approx(0.494, abs=0.005)
    assert found.likeness.unturned == pytest.approx(0.351, abs=0.005)
    wrong = turn_family(kernels, [-angle for angle in down], [-angle for angle in up]).likeness
    assert wrong is not None
    assert wrong.turned < found.likeness.turned - 0.1
    # the same angle excites along the middle, the opposite one inhibits
    middle = found.means[:, :, 2].sum(axis=1)
    assert [round(angle, -1) for angle in found.angles_deg] == [-140, -90, -50, 0, 40, 90, 130, -180]
    assert middle[3] > 0 > middle[7]
    assert middle.argmax() == 3
    picture = draw_grid(kernels, down_angles_deg=down, up_angles_deg=up, turned=True, anchor=(2, 2), title="Curves")
    check_harmless(picture)
    assert len(fills_of(picture)) == 64 + 8


def test_the_same_grid_gives_the_same_bytes() -> None:
    angles = [10.0, 130.0, 250.0]
    first = draw_grid(KERNELS[:, :3], down_angles_deg=angles, up_angles_deg=angles, turned=True)
    again = draw_grid(KERNELS[:, :3].tolist(), down_angles_deg=np.array(angles), up_angles_deg=angles, turned=True)
    assert first.svg == again.svg
    assert first.svg != draw_grid(KERNELS[:, :3], down_angles_deg=angles, up_angles_deg=angles).svg


@pytest.mark.parametrize("label", [HOSTILE, LONG, "", "\x00"])
@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("size", [2, 16])
def test_a_hostile_or_endless_label_is_text_and_nothing_else(label: str, turned: bool, size: int) -> None:
    picture = draw_grid(
        np.ones((size, size, 1, 1)),
        down_names=[label] * size,
        up_names=[label] * size,
        down_angles_deg=[20.0 * place for place in range(size)],
        up_angles_deg=[20.0 * place for place in range(size)],
        title=label,
        turned=turned,
    )
    check_harmless(picture)


@pytest.mark.parametrize(("shape", "angled"), [((1, 1, 1, 1), True), ((16, 16, 3, 3), True), ((2, 30, 5, 5), False)])
def test_nothing_leaves_the_picture(shape: tuple[int, ...], angled: bool) -> None:
    options = {"down_angles_deg": [0.0] * shape[0], "up_angles_deg": [0.0] * shape[1]} if angled else {}
    for turned in {False, angled}:
        check_harmless(draw_grid(np.ones(shape), turned=turned, anchor=(0, 0), **options))  # type: ignore[arg-type]


def test_a_large_grid_takes_well_under_a_second() -> None:
    kernels = np.random.default_rng(1).normal(size=(16, 16, 5, 5))
    angles = [22.5 * place for place in range(16)]
    for turned in (False, True):
        taken = []
        for _ in range(3):
            start = time.process_time()
            draw_grid(kernels, down_angles_deg=angles, up_angles_deg=angles, turned=turned)
            taken.append(time.process_time() - start)
        assert min(taken) < 1.0


def test_what_cannot_be_drawn_is_refused() -> None:
    with pytest.raises(ShapeError, match=r"drawing a grid: the shape is \(3, 4, 5\), \(down, up, row, col\) is wanted"):
        draw_grid(KERNELS[..., 0])
    with pytest.raises(ShapeError, match="none of them 0"):
        draw_grid(np.zeros((0, 1, 2, 2)))
    with pytest.raises(ShapeError, match="200x1, at most 128x128"):
        draw_grid(np.zeros((1, 1, 200, 1)))
    with pytest.raises(ShapeError, match="not of one shape"):
        draw_grid([[[[1.0]], [[1.0, 2.0]]]])
    with pytest.raises(ShapeError, match="hold <U1 values"):
        draw_grid([[[["a"]]]])
    broken = KERNELS.copy()
    broken[2, 1, 0, 4] = np.nan
    with pytest.raises(NonFiniteError, match=r"1 of 300 weights .* down 2, up 1, row 0, col 4"):
        draw_grid(broken)
    with pytest.raises(NonFiniteError, match="down 0, up 0"):
        draw_grid(np.full((1, 1, 1, 1), 1e300))
    with pytest.raises(ShapeError, match="3 downstream units and 2 names"):
        draw_grid(KERNELS, down_names=["a", "b"])
    with pytest.raises(ShapeError, match="4 upstream units and 1 angles"):
        draw_grid(KERNELS, up_angles_deg=[1])
    with pytest.raises(ShapeError, match="2 of 3 downstream units have none, the first is 1"):
        draw_grid(KERNELS, down_angles_deg=[1, None, None], up_angles_deg=[0] * 4, turned=True)
    with pytest.raises(ShapeError, match="every unit needs an angle"):
        draw_grid(KERNELS, turned=True)
    with pytest.raises(ShapeError, match="angle of upstream unit 3 is nan"):
        draw_grid(KERNELS, up_angles_deg=[0, 0, 0, math.nan])
    with pytest.raises(ShapeError, match="limit is 0"):
        draw_grid(KERNELS, limit=0)
    with pytest.raises(ShapeError, match="anchor"):
        draw_grid(KERNELS, anchor=(math.nan, 0))
    with pytest.raises(ShapeError, match="scale"):
        draw_grid(KERNELS, scale=-1)


def _image(size: int, *, caption: str = "") -> EvidenceImage:
    """A PNG of about as many bytes, of noise."""
    side = max(1, int((size / 3) ** 0.5))
    noise = np.random.default_rng(size).integers(0, 256, (side, side, 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(noise).save(out, "PNG")
    return EvidenceImage(out.getvalue(), caption=caption)


def test_pictures_of_units_stand_at_the_margins() -> None:
    down = [_image(300, caption=f"down {place}") for place in range(3)]
    up = [_image(400), None, _image(500), None]
    picture = draw_grid(KERNELS, down_images=down, up_images=up)
    found = list(root_of(picture).iter(f"{SVG}image"))
    assert [image.attrib["href"] for image in found] == [up[0].uri, up[2].uri, *(image.uri for image in down)]  # type: ignore[union-attr]
    lefts = [x for x, _ in corners_of(picture)]
    assert all(float(image.attrib["x"]) + 40 < min(lefts) for image in found[2:])
    assert all(float(image.attrib["y"]) + 40 < corners_of(picture)[0][1] for image in found[:2])
    assert "down 1" in tips_of(picture)
    turned = draw_grid(
        KERNELS, down_images=down, up_images=up, turned=True, down_angles_deg=[0, 9, 99], up_angles_deg=[1, 2, 3, 4]
    )
    assert len(list(root_of(turned).iter(f"{SVG}image"))) == 3


def test_pictures_that_are_too_large_together_are_left_out_and_counted() -> None:
    heavy = [_image(900_000) for _ in range(3)]
    picture = draw_grid(KERNELS, down_images=heavy, up_images=[*heavy, _image(300)])
    assert len(list(root_of(picture).iter(f"{SVG}image"))) == 4
    assert "3 pictures of units are left out, they are too large." in words_of(picture)
    assert len(picture.svg) < 5_000_000
