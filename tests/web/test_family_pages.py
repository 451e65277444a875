"""Pages of families against the bundle's own arrays, and against names that would be markup."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from click.testing import CliRunner

from circuitgraph.bundle import Bundle
from circuitgraph.catalogue import Catalogue
from circuitgraph.catalogue.families import FamilyRecord, make_families
from circuitgraph.cli.main import cli
from circuitgraph.figures import family_figure, grid_figure
from tests.web.asking import ADA, Asking
from tests.web.looking import HOSTILE, assert_nothing_runs, kernel_of, looking

CURVES = "handwritten/mixed3b!curves"
EARLY = "handwritten/mixed3a!early-curves"
OURS = "handwritten/mixed3b!marked"


@pytest.fixture(scope="module")
def seen(handwritten: Path, catalogue: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asking]:
    with looking(handwritten, catalogue, tmp_path_factory.mktemp("families")) as opened:
        with Bundle.open(handwritten) as bundle, Catalogue.open(opened.catalogue) as own:
            (made,) = make_families(
                bundle, {"marked": [3, 1]}, layer="mixed3b", author=ADA, date="2026-11-21", description=HOSTILE
            )
            own.add_documents([FamilyRecord(**{**made.model_dump(), "name": HOSTILE})])
        yield opened


def test_every_family_is_listed_with_where_it_stands(seen: Asking, handwritten: Path) -> None:
    page = seen.get("/families/handwritten.json").json()
    rows = {row["family"]: row for row in page["data"]["rows"]}
    with Bundle.open(handwritten) as bundle:
        held = {family.uid: len(family.members) for family in bundle.families}
    assert {uid: row["members"] for uid, row in rows.items()} == {**held, OURS: 2}
    assert (rows[OURS]["catalogue"], rows[OURS]["bundle"]) == ("Ada Example, 2026-11-21", None)
    assert (rows[CURVES]["catalogue"], rows[CURVES]["bundle"]) == (None, "as shown")


def test_members_stand_in_order_with_the_angles_of_the_bundle(seen: Asking, handwritten: Path) -> None:
    data = seen.get(f"/family/{CURVES}.json").json()["data"]
    with Bundle.open(handwritten) as bundle:
        (family,) = [each for each in bundle.families if each.uid == CURVES]
    wanted = [(each.position, each.unit, each.angle_deg) for each in family.members]
    assert [(row["position"], row["unit"], row["angle_deg"]) for row in data["members"]] == wanted
    assert [angle for *_, angle in wanted] == [15.0 * place for place in range(24)]


def test_the_sums_of_a_grid_are_those_of_the_arrays(seen: Asking, handwritten: Path) -> None:
    page = seen.get(f"/family/{CURVES}.json?with={EARLY}").json()
    grid = page["data"]["grid"]
    assert (grid["up"], grid["down"], np.shape(grid["sums"])) == (EARLY, CURVES, (16, 16))
    with Bundle.open(handwritten) as bundle:
        wanted = [[kernel_of(bundle, up, down).sum() for up in grid["up_units"]] for down in grid["down_units"]]
    np.testing.assert_allclose(grid["sums"], wanted, rtol=1e-5, atol=1e-6)
    assert "Showing 256 of 576 kernels between the two families." in page["notes"]


def test_a_grid_is_found_from_either_side(seen: Asking) -> None:
    here = seen.get(f"/family/{CURVES}.json?with={EARLY}").json()["data"]["grid"]
    there = seen.get(f"/family/{EARLY}.json?with={CURVES}").json()["data"]["grid"]
    assert here == there


def test_pictures_are_those_of_the_library(seen: Asking, handwritten: Path) -> None:
    with Bundle.open(handwritten) as bundle, Catalogue.open(seen.catalogue) as catalogue:
        ring = family_figure(CURVES, bundle, catalogue=catalogue)
        grid = grid_figure(bundle, EARLY, CURVES, catalogue=catalogue, turned=True, limit=24)
    assert seen.get(f"/family/{CURVES}.svg").text == ring.svg
    address = f"/family/{CURVES}.svg?with={EARLY}&turned=1&limit=24&picture=grid"
    assert seen.get(address).text == grid.svg
    assert seen.get(f"/family/{CURVES}.svg?picture=none").status == 404


def test_pictures_follow_a_new_record_of_their_family(
    handwritten: Path, catalogue: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with (
        looking(handwritten, catalogue, tmp_path_factory.mktemp("changing")) as own,
        Bundle.open(handwritten) as bundle,
    ):
        first = (
            own.get(f"/family/{CURVES}.svg?with={EARLY}").body,
            own.get(f"/family/{CURVES}.svg?with={EARLY}&picture=grid").body,
        )
        (made,) = make_families(bundle, {"curves": [3, 1]}, layer="mixed3b", author=ADA, date="2026-11-21")
        with Catalogue.open(own.catalogue) as opened:
            opened.add_documents([made])
            ring = family_figure(CURVES, bundle, catalogue=opened)
            grid = grid_figure(bundle, EARLY, CURVES, catalogue=opened, limit=16)
        second = (
            own.get(f"/family/{CURVES}.svg?with={EARLY}").body,
            own.get(f"/family/{CURVES}.svg?with={EARLY}&picture=grid").body,
        )
    assert second == (ring.svg.encode(), grid.svg.encode())
    assert first[0] != second[0] and first[1] != second[1]


def test_a_family_without_angles_cannot_be_turned(seen: Asking) -> None:
    answer = seen.get(f"/family/{OURS}?with={EARLY}&turned=1")
    assert answer.status == 400
    assert "angle" in answer.text


def test_layers_without_kernels_between_them_are_said(seen: Asking) -> None:
    answer = seen.get(f"/family/{CURVES}?with=handwritten/conv2d0!edges")
    assert answer.status == 404
    assert "no weights lead from" in answer.text


@pytest.mark.parametrize(
    "address",
    [
        "/family/handwritten/mixed3b!none",
        "/family/handwritten/none!curves",
        "/family/../../etc/passwd",
        "/family/%2e%2e%2f%2e%2e%2fetc%2fpasswd",
        "/family/handwritten/mixed3b!..%2f..%2fcurves",
        "/family/handwritten/mixed3b!curves?with=/etc/passwd",
        "/family/handwritten/mixed3b!curves?with=handwritten/../x!y",
        "/families/none",
        "/families/..",
        "/families/%3Cscript%3Ealert(1)%3C%2Fscript%3E",
    ],
)
def test_what_is_no_family_is_refused(seen: Asking, address: str) -> None:
    answer = seen.get(address)
    assert answer.status in (400, 404)
    assert_nothing_runs(answer.text)


def test_hostile_names_are_text_in_page_twin_and_picture(seen: Asking) -> None:
    page = seen.get(f"/family/{OURS}")
    assert page.status == 200
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page.text
    assert_nothing_runs(page.text)
    assert_nothing_runs(seen.get("/families/handwritten").text)
    assert seen.get(f"/family/{OURS}.json").json()["data"]["name"] == HOSTILE
    root = ElementTree.fromstring(seen.get(f"/family/{OURS}.svg").text)
    assert not [each for each in root.iter() if each.tag.endswith(("script", "image", "img"))]


def test_the_lines_of_python_and_shell_give_the_same_bytes(
    seen: Asking, handwritten: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(handwritten.parent)
    monkeypatch.setenv("CIRCUITGRAPH_CATALOGUE", str(seen.catalogue))
    monkeypatch.setenv("CIRCUITGRAPH_CONFIG", str(tmp_path / "config.toml"))
    for query, picture in (("", "ring"), (f"with={EARLY}&turned=1", "grid")):
        page = seen.get(f"/family/{CURVES}.json?{query}").json()
        shown = seen.get(f"/family/{CURVES}.svg?{query}&picture={picture}").text
        *first, last = page["ways"]["python"].splitlines()
        names: dict[str, object] = {}
        exec("\n".join(first), names)
        assert eval(last, names).svg == shown
        words = shlex.split(page["ways"]["shell"])
        out = tmp_path / words[-1]
        CliRunner().invoke(cli, [*words[1:-1], str(out)], catch_exceptions=False)
        assert out.read_text() == shown
