"""A family's ring: every unit at its own angle, in order, with its kernel and tuning curve; the rest is counted."""

from __future__ import annotations

import json
import math
import re
import time
import xml.etree.ElementTree as ET
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from circuitgraph.draw import Picture, RingMember, draw_family
from circuitgraph.draw.palette import colour
from circuitgraph.draw.tuning import tuning_peak
from circuitgraph.errors import GraphError, NonFiniteError, ShapeError

SVG = "{http://www.w3.org/2000/svg}"


def _root(picture: Picture) -> ET.Element:
    return ET.fromstring(picture.svg)


def _words(picture: Picture) -> list[str]:
    return ["".join(text.itertext()) for text in _root(picture).iter(f"{SVG}text")]


def _groups(picture: Picture, uid: str) -> list[ET.Element]:
    return [g for g in _root(picture).iter(f"{SVG}g") if f"({uid})" in str(g.findtext(f"{SVG}title"))]


def _bump(peak: float, count: int = 360) -> np.ndarray:
    angles = 360 * np.arange(count) / count
    return np.exp(-((((angles - peak + 180) % 360 - 180) / 30) ** 2))


def _ring(count: int = 8) -> list[RingMember]:
    rng = np.random.default_rng(5)
    angles = [360 * i / count + 3 for i in range(count)]
    return [
        RingMember(f"net/l:{i}", f"curve {i}", angle, rng.normal(size=(5, 5)), _bump(angle))
        for i, angle in enumerate(angles)
    ]


def test_each_unit_stands_at_its_own_angle_counter_clockwise_from_the_right() -> None:
    picture = draw_family(_ring())
    circles = [c for c in _root(picture).iter(f"{SVG}circle") if c.get("fill") == "none"]
    centre = float(circles[0].attrib["cx"]), float(circles[0].attrib["cy"])
    for member in _ring():
        ring = _groups(picture, member.uid)[0]
        dot = next(ring.iter(f"{SVG}circle"))
        x, y = float(dot.attrib["cx"]) - centre[0], float(dot.attrib["cy"]) - centre[1]
        assert math.degrees(math.atan2(-y, x)) % 360 == pytest.approx(member.angle_deg, abs=0.1)
        label = next(ring.iter(f"{SVG}text"))
        x, y = float(label.attrib["x"]) - centre[0], float(label.attrib["y"]) - centre[1]
        assert abs((math.degrees(math.atan2(-y, x)) - float(member.angle_deg or 0) + 180) % 360 - 180) < 20


def test_kernels_are_drawn_cell_by_cell_on_one_scale_that_is_printed() -> None:
    members = _ring()
    picture = draw_family(members)
    full = max(float(np.abs(np.asarray(m.kernel)).max()) for m in members)
    for member in members:
        cells = next(g for g in _groups(picture, member.uid)[0].iter(f"{SVG}g") if g.get("shape-rendering"))
        assert [r.get("fill") for r in cells] == [colour(float(v), full) for v in np.asarray(member.kernel).ravel()]
    assert f"+{full:.2f}" in _words(picture)


def test_tuning_curves_come_in_the_order_of_the_angles_with_their_peaks() -> None:
    picture = draw_family(list(reversed(_ring())))
    strips = [g for g in _root(picture).iter(f"{SVG}g") if "highest response" in str(g.findtext(f"{SVG}title"))]
    assert [re.findall(r"curve \d", str(g.findtext(f"{SVG}title")))[0] for g in strips] == [
        f"curve {i}" for i in range(8)
    ]
    for member, strip in zip(_ring(), strips, strict=True):
        at, highest = tuning_peak(member.tuning)
        assert abs(at - float(member.angle_deg or 0)) <= 0.5
        assert f"highest response +{highest:.2f}" in str(strip.findtext(f"{SVG}title"))
        line = next(p for p in strip.iter(f"{SVG}path") if p.get("stroke-linejoin") == "round")
        points = np.array([pair.split(" ") for pair in line.attrib["d"][1:].split("L")], dtype=float)
        assert len(points) == 361
        # the highest place of the line, y growing downwards, lies over the peak's angle
        wide = points[-1, 0] - points[0, 0]
        assert (points[points[:, 1].argmin(), 0] - points[0, 0]) / wide * 360 == pytest.approx(at, abs=1.01)
        heights = points[0, 1] - points[:, 1]
        curve = np.append(member.tuning, member.tuning[0])
        assert np.corrcoef(heights, curve)[0, 1] > 0.999


def test_a_tuning_curve_that_goes_below_zero_has_its_zero_line_within() -> None:
    tuning = np.sin(np.radians(np.arange(360)))
    picture = draw_family([RingMember("net/l:0", "", 90.0, None, tuning)])
    assert "peak 90° (0°)" in _words(picture)
    assert "highest +1.00" in _words(picture)


@pytest.mark.parametrize("count", [1, 2, 12, 20, 32])
def test_cards_do_not_overlap_however_many_and_however_crowded(count: int) -> None:
    rng = np.random.default_rng(count)
    for spread in (360.0, 60.0, 0.0):
        members = [
            RingMember(f"net/l:{i}", "", float(rng.uniform(0, spread)), rng.normal(size=(3, 3))) for i in range(count)
        ]
        picture = draw_family(members)
        frames = [
            tuple(float(r.attrib[name]) for name in ("x", "y", "width", "height"))
            for r in _root(picture).iter(f"{SVG}rect")
            if r.get("fill") == "none" and r.get("stroke") == "#8c8c8c"
        ]
        frames = [frame for frame in frames if frame[3] > 9]
        assert len(frames) == count
        for place, (x, y, width, height) in enumerate(frames):
            assert 0 <= x <= 720 - width
            assert 0 <= y <= picture.height - height
            for ox, oy, ow, oh in frames[place + 1 :]:
                assert x + width <= ox or ox + ow <= x or y + height <= oy or oy + oh <= y


def test_units_without_an_angle_are_listed_apart_and_counted() -> None:
    members = [*_ring(3), *(RingMember(f"net/l:{100 + i}", f"other {i}") for i in range(60))]
    words = _words(draw_family(members))
    assert "63 units, 3 with an angle. Angles run counter-clockwise, 0 points right." in words
    assert "60 units without an angle, showing 48 of 60" in words
    assert {"other 0", "l:100", "other 47"} <= set(words)
    assert "other 48" not in words
    alone = _words(draw_family([RingMember("net/l:1")]))
    assert "1 unit without an angle" in alone


def test_a_large_family_is_bounded_and_says_so() -> None:
    rng = np.random.default_rng(2)
    members = [
        RingMember(f"net/l:{i}", f"unit {i}", float(rng.uniform(0, 360)), rng.normal(size=(64, 64)), _bump(i, 7200))
        for i in range(500)
    ]
    picture = draw_family(members)
    assert any("showing 32 of 500, from 0 degrees on" in words for words in _words(picture))
    assert len(picture.svg) < 1_500_000
    few = draw_family(members, limit=4)
    assert any("showing 4 of 500" in words for words in _words(few))


def test_the_same_family_gives_the_same_bytes_in_whatever_order() -> None:
    members = _ring()
    assert draw_family(members).svg == draw_family(list(reversed(members))).svg
    assert draw_family(members).width == 720


def test_an_angle_beyond_the_circle_is_the_same_angle_on_it() -> None:
    assert RingMember("net/l:0", angle_deg=-90.0).angle_deg == 270
    assert RingMember("net/l:0", angle_deg=720.0).angle_deg == 0
    assert RingMember("net/l:0", angle_deg=-1e-20).angle_deg == 0


@pytest.mark.parametrize(
    "hostile",
    ["</text><script>alert(1)</script>\x00\x1b\u202e\ud800]]>", "\u202e" * 10_000, "<b>" * 4_000, '" onload="x'],
    ids=["script", "marks", "long", "attribute"],
)
def test_a_hostile_label_is_text_and_nothing_else(hostile: str) -> None:
    ring = RingMember("net/l:0", hostile, 10.0, np.ones((3, 3)), _bump(10))
    picture = draw_family([ring, RingMember("net/l:1", hostile)], title=hostile)
    for node in _root(picture).iter():
        assert node.tag.removeprefix(SVG) in {"svg", "title", "desc", "g", "rect", "text", "path", "circle"}
        assert not any(name.startswith("on") or "href" in name for name in node.attrib)
    assert not set(picture.svg) & {"\x00", "\x1b", "\u202e", "\ud800"}
    assert len(picture.svg) < 200_000


def test_what_cannot_be_drawn_is_refused() -> None:
    with pytest.raises(GraphError, match="0 members"):
        draw_family([])
    with pytest.raises(GraphError, match="2 members are given, 1 are different"):
        draw_family([RingMember("net/l:0"), RingMember("net/l:0")])
    with pytest.raises(NonFiniteError, match="net/l:0: its angle is nan"):
        RingMember("net/l:0", angle_deg=math.nan)
    with pytest.raises(NonFiniteError, match="net/l:0: 1 of 4 weights"):
        RingMember("net/l:0", kernel=[[1.0, math.inf], [0, 0]])
    with pytest.raises(NonFiniteError, match="2 of 3 responses are no finite number, first 1"):
        RingMember("net/l:0", tuning=[0.0, math.nan, math.inf])
    for tuning in ([1.0], [[1.0, 2.0]], ["a", "b"], np.zeros(7_201)):
        with pytest.raises(ShapeError, match="responses in a line"):
            RingMember("net/l:0", tuning=tuning)
    with pytest.raises(ShapeError, match="limit is 0"):
        draw_family([RingMember("net/l:0")], limit=0)
    with pytest.raises(ShapeError, match="scale is nan"):
        draw_family(_ring(), scale=math.nan)


def test_the_measured_curves_of_inceptionv1_stand_in_the_order_of_their_peaks(shared_data: Path) -> None:
    folder = shared_data / "inceptionv1_curves"
    measured = json.loads((folder / "curves-mixed3b.json").read_text())["activations"]
    with np.load(folder / "curve_3a_to_3b_8x8.npz") as file:
        kernels = {int(unit): file["kernels"][i, i] for i, unit in enumerate(file["rows_mixed3b"])}
    peaks = {int(unit): int(np.argmax(curve)) / 2 for unit, curve in measured.items()}
    members = [
        RingMember(f"inceptionv1/mixed3b:{unit}", "", peak, kernels.get(unit), measured[str(unit)])
        for unit, peak in peaks.items()
    ]
    begun = time.process_time()
    picture = draw_family(members, title="Curves of mixed3b")
    assert time.process_time() - begun < 1
    said = [words for words in _words(picture) if words.startswith("peak ")]
    assert said == [f"peak {peak:.4g}° (0°)" for peak in sorted(peaks.values())]
    assert any("10 units, 10 with an angle" in words for words in _words(picture))
    assert all(before <= after for before, after in pairwise(sorted(peaks.values())))
