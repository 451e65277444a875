"""Pages of units and of kernels: every number against the bundle's arrays, both directions, any order, any name."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree

import numpy as np
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray

from circuitgraph.bundle import Bundle, add_directions
from circuitgraph.catalogue import Catalogue, add_claim, make_claim
from circuitgraph.catalogue.features import Feature
from circuitgraph.cli.main import cli
from circuitgraph.errors import BundleError
from circuitgraph.figures import kernel_figure, unit_figure
from circuitgraph.testing.bundles import write_synthetic_bundle
from circuitgraph.web import Explorer, make_app
from circuitgraph.web.render import _figure as figure_text
from tests.web.asking import ADA, TOKEN, Asking
from tests.web.looking import HOSTILE, assert_nothing_runs, looking

CAR, WINDOW = "handwritten/mixed4c:41", "handwritten/mixed4b:37"
EDGE = f"{WINDOW} -> {CAR}"
SIDES = ("upstream", "downstream")


@pytest.fixture(scope="module")
def seen(handwritten: Path, catalogue: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asking]:
    with looking(handwritten, catalogue, tmp_path_factory.mktemp("units")) as opened:
        yield opened


@pytest.fixture(scope="module")
def every_form(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Asking, Bundle]]:
    """A network with dense, row and diagonal blocks, and no catalogue."""
    folder = tmp_path_factory.mktemp("forms")
    bundle = write_synthetic_bundle(folder / "net.circuit", network="net", with_every_form=True)
    with Explorer([bundle]) as explorer:
        yield Asking(make_app(explorer, token=TOKEN), explorer, folder), bundle


def edges_of(bundle: Bundle, uid: str, side: str) -> dict[str, dict[str, float]]:
    """All edges at a unit that are not zero, from whole arrays, on the window that holds all blocks of each pair."""
    layer, channel = uid.rsplit(":", 1)
    found = {}
    for up, down in bundle.pairs:
        if (down if side == "upstream" else up) != layer:
            continue
        block = bundle.block(up, down)
        kernels = np.asarray(block.kernels, dtype=np.float64)
        own = kernels[int(channel)] if side == "upstream" else kernels[:, int(channel)]
        for place, kernel in enumerate(own):
            if np.abs(kernel).sum() > 0:
                found[f"{up if side == 'upstream' else down}:{place}"] = scalars_of(kernel, block.offset)
    for far, row in found.items():
        target = uid if side == "upstream" else far
        row["share_in"] = row["l1"] / total_into(bundle, target)
    return found


def scalars_of(kernel: NDArray[np.float64], offset: tuple[int, int]) -> dict[str, float]:
    row, col = -offset[0], -offset[1]
    return {
        "sum": kernel.sum(),
        "l1": np.abs(kernel).sum(),
        "l2": np.sqrt((kernel**2).sum()),
        "excitation": kernel[kernel > 0].sum(),
        "inhibition": kernel[kernel < 0].sum(),
        "centre": kernel[row, col],
        "top": kernel[:row].sum(),
        "bottom": kernel[row + 1 :].sum(),
        "left": kernel[:, :col].sum(),
        "right": kernel[:, col + 1 :].sum(),
    }


def total_into(bundle: Bundle, uid: str) -> float:
    layer, channel = uid.rsplit(":", 1)
    blocks = [bundle.block(up, down).kernels[int(channel)] for up, down in bundle.pairs if down == layer]
    return float(sum(np.abs(np.asarray(each, dtype=np.float64)).sum() for each in blocks))


def assert_same(row: Mapping[str, Any], wanted: Mapping[str, float]) -> None:
    for name, value in wanted.items():
        assert row[name] == pytest.approx(value, rel=2e-6, abs=1e-6), (row["unit"], name)


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("by", ["l2", "top", "-bottom", "share_in"])
def test_edges_are_those_of_the_arrays_in_the_order_asked_for(
    seen: Asking, handwritten: Path, side: str, by: str
) -> None:
    data = seen.get(f"/unit/{CAR}.json?by={by}&limit=7").json()["data"]
    with Bundle.open(handwritten) as bundle:
        wanted = edges_of(bundle, CAR, side)
    assert data[side]["count"] == len(wanted)
    assert [len(data[side]["rows"]), data[side]["shown"]] == [7, 7]
    for row in data[side]["rows"]:
        assert_same(row, wanted[row["unit"]])
    name, sign = by.removeprefix("-"), 1 if by.startswith("-") else -1
    ranked = sorted(wanted, key=lambda uid: sign * wanted[uid][name])
    assert [row["unit"] for row in data[side]["rows"]] == ranked[:7]


@pytest.mark.parametrize(("uid", "side"), [("net/layer3:5", "upstream"), ("net/layer3:1", "upstream")])
def test_every_form_of_block_gives_its_edges(every_form: tuple[Asking, Bundle], uid: str, side: str) -> None:
    asked, bundle = every_form
    data = asked.get(f"/unit/{uid}.json?limit=200").json()["data"]
    wanted = edges_of(bundle, uid, side)
    assert {row["unit"] for row in data[side]["rows"]} == set(wanted)
    for row in data[side]["rows"]:
        # where a pair is stored in several windows, what depends on the window's place is its own
        assert_same(row, {name: wanted[row["unit"]][name] for name in ("sum", "l1", "l2", "share_in")})


@pytest.mark.parametrize("uid", ["net/layer1:3", "net/layer2:4"])
def test_what_leads_out_of_a_unit_is_found_in_every_form_of_block(every_form: tuple[Asking, Bundle], uid: str) -> None:
    asked, bundle = every_form
    rows = asked.get(f"/unit/{uid}.json?limit=200&by=sum").json()["data"]["downstream"]["rows"]
    wanted = edges_of(bundle, uid, "downstream")
    assert {row["unit"] for row in rows} == set(wanted)
    for row in rows:
        assert_same(row, {name: wanted[row["unit"]][name] for name in ("sum", "l1", "l2", "share_in")})


def test_pages_of_edges_hold_each_edge_once(seen: Asking) -> None:
    address, found = f"/unit/{CAR}.json?by=sum&limit=30", []
    for _ in range(5):
        these = seen.get(address).json()["data"]["upstream"]
        found += [row["unit"] for row in these["rows"]]
        if these["next"] is None:
            break
        address = these["next"].replace("?", ".json?", 1)
    assert len(found) == len(set(found)) == these["count"] == 96


def test_the_page_shows_the_numbers_of_its_twin(seen: Asking) -> None:
    data = seen.get(f"/unit/{CAR}.json?by=top").json()["data"]
    html = seen.get(f"/unit/{CAR}?by=top").text
    for side in SIDES:
        for row in data[side]["rows"]:
            # the cells of the row that has the link to its kernel
            (line,) = [each for each in html.split("<tr>") if f'"the kernel {escape(row["edge"])}"' in each]
            shown = re.findall(r'<td class="number [^"]*">([^<]*)</td>', line)
            assert shown == [figure_text(row[name]) for name in data[side]["columns"]]
    for name in ("bias", "in_norm", "out_norm"):
        assert f"<dd>{figure_text(data['facts'][name])}</dd>" in html


def test_facts_of_a_unit_are_those_of_the_bundle(seen: Asking, handwritten: Path) -> None:
    facts = seen.get(f"/unit/{CAR}.json").json()["data"]["facts"]
    with Bundle.open(handwritten) as bundle:
        into = np.asarray(bundle.block("mixed4b", "mixed4c").kernels[41], dtype=np.float64)
        out = np.asarray(bundle.block("mixed4c", "mixed4d").kernels[:, 41], dtype=np.float64)
        bias = float(bundle.bias("mixed4c")[41])
    assert facts["in_norm"] == pytest.approx(np.sqrt((into**2).sum()), rel=1e-6)
    assert facts["out_norm"] == pytest.approx(np.sqrt((out**2).sum()), rel=1e-6)
    assert (facts["bias"], facts["is_dead"], facts["place"], facts["of"]) == (bias, False, 41, 96)
    assert (facts["previous"], facts["next"]) == ("handwritten/mixed4c:40", "handwritten/mixed4c:42")


def test_a_unit_is_called_what_the_catalogue_says_and_else_by_its_family(seen: Asking) -> None:
    assert seen.get(f"/unit/{CAR}.json").json()["title"] == "car (mixed4c:41)"
    curve = seen.get("/family/handwritten/mixed3b!curves.json").json()["data"]["members"][2]["unit"]
    assert seen.get(f"/unit/{curve}.json").json()["data"]["called"] == "curves"
    assert "<h1>car</h1>" in seen.get(f"/unit/{CAR}").text


def test_claims_and_the_seven_arguments_are_shown(seen: Asking) -> None:
    said = seen.get(f"/unit/{CAR}.json").json()["data"]["claims"]
    assert said["arguments_made"] == ["handwritten_circuit"]
    matrix, *tables = said["tables"]
    assert matrix["name"] == "arguments"
    assert [row["argument"] for row in matrix["rows"] if row["made"] == "yes"] == ["handwritten circuit"]
    authors = {row["by"] for table in tables if table["name"] == "claims_for" for row in table["rows"]}
    assert "Ada Example" in authors
    html = seen.get(f"/unit/{CAR}").text
    assert "Ada Example" in html
    assert html.count("not made") == 6


def test_the_end_of_an_edge_is_called_by_its_label(seen: Asking) -> None:
    rows = seen.get(f"/unit/{CAR}.json").json()["data"]["upstream"]["rows"]
    labels = {row["unit"]: row["label"] for row in rows}
    assert labels[WINDOW] == "window"
    assert f'<a href="/unit/{WINDOW}">' in seen.get(f"/unit/{CAR}").text


@pytest.mark.parametrize("by", ["l2", "top", "-left"])
def test_the_picture_is_that_of_the_library(seen: Asking, handwritten: Path, by: Any) -> None:
    shown = seen.get(f"/unit/{CAR}.svg?by={by}").text
    with Bundle.open(handwritten) as bundle, Catalogue.open(seen.catalogue) as catalogue:
        assert shown == unit_figure(bundle, CAR, catalogue=catalogue, by=by).svg
    assert shown in seen.get(f"/unit/{CAR}?by={by}").text


def test_a_kernel_has_a_page_with_its_weights(seen: Asking, handwritten: Path) -> None:
    data = seen.get(f"/edge/{quote(EDGE)}.json").json()["data"]
    with Bundle.open(handwritten) as bundle:
        kernel = np.asarray(bundle.block("mixed4b", "mixed4c").kernels[41, 37], dtype=np.float64)
        wanted = edges_of(bundle, CAR, "upstream")[WINDOW]
        figure = kernel_figure(bundle, WINDOW, CAR, catalogue=seen.explorer.catalogue)
    assert np.array_equal(np.float32(data["kernel"]), np.float32(kernel))
    assert_same({"unit": EDGE, **data["scalars"], "share_in": data["share_in"]}, wanted)
    assert (data["shape"], data["offset"], data["stride"], data["form"]) == ([5, 5], [[-2, -2]], [1, 1], ["dense"])
    page = seen.get(f"/edge/{quote(EDGE)}")
    assert figure.svg in page.text
    assert figure_text(data["scalars"]["top"]) in page.text


@pytest.mark.parametrize("wrong", ["-1", "0", "NaN", "1000000000", "201", "1e2", "²", "x" * 300])
def test_a_number_of_rows_that_cannot_be_is_refused(seen: Asking, wrong: str) -> None:
    answer = seen.get(f"/unit/{CAR}.json?limit={quote(wrong)}")
    assert answer.status == 400
    assert "a whole number from 1 to 200 is wanted" in answer.json()["error"]["message"]


@pytest.mark.parametrize("wrong", ["net", "-", "l2x", "__class__", "'; DROP", ""])
def test_an_order_that_there_is_not_is_the_usual_one(seen: Asking, wrong: str) -> None:
    page = seen.get(f"/unit/{CAR}.json?by={quote(wrong)}&up_from=x&down_from=999999999").json()
    assert page["data"]["by"] == "l2"
    assert page["address"] == f"/unit/{CAR}"


@pytest.mark.parametrize(
    ("address", "status"),
    [
        ("/unit/handwritten/mixed4c:96", 404),
        ("/unit/handwritten/mixed9:1", 404),
        ("/unit/handwritten/mixed4c@none", 404),
        ("/unit/elsewhere/mixed4c:1", 404),
        ("/unit/handwritten/mixed4c", 400),
        ("/unit/..%2f..%2fetc/passwd", 400),
        ("/unit/" + "a" * 3000, 400),
        ("/unit/%3Cscript%3Ealert(1)%3C%2Fscript%3E", 400),
        ("/edge/handwritten/mixed4b:37", 400),
        ("/edge/" + quote("handwritten/mixed4a:1 -> handwritten/mixed4c:41"), 404),
        ("/edge/" + quote("handwritten/mixed4b:96 -> handwritten/mixed4c:41"), 404),
    ],
)
def test_what_is_not_there_is_said(seen: Asking, address: str, status: int) -> None:
    answer = seen.get(address)
    assert answer.status == status
    assert_nothing_runs(answer.text)
    assert seen.get(f"{address}.json").json()["error"]["message"]


def test_hostile_names_of_features_are_text_in_page_twin_and_picture(
    handwritten: Path, catalogue: Path, tmp_path: Path
) -> None:
    with looking(handwritten, catalogue, tmp_path) as opened:
        with Catalogue.open(opened.catalogue) as own:
            own.add_features([Feature(uid="feature:marked", name=HOSTILE, author=ADA, date="2026-11-21")])
            for unit in ("handwritten/mixed4c:0", WINDOW):
                claim = make_claim(unit, "detects", "feature:marked", author=ADA, date="2026-11-21", statement=HOSTILE)
                add_claim(own, claim)
        for address in (
            "/unit/handwritten/mixed4c:0",
            f"/unit/{CAR}",
            f"/edge/{quote(EDGE)}",
            "/layer/handwritten/mixed4c",
        ):
            page = opened.get(address)
            assert page.status == 200
            assert_nothing_runs(page.text)
            root = ElementTree.fromstring(opened.get(f"{address}.svg").text)
            assert not [each for each in root.iter() if each.tag.endswith(("script", "image", "img"))]
        assert opened.get("/unit/handwritten/mixed4c:0.json").json()["data"]["label"] == HOSTILE


def test_a_unit_known_from_claims_alone_has_a_page(seen: Asking) -> None:
    page = seen.get("/unit/inceptionv1/mixed4c:447.json").json()
    assert page["data"]["called"].startswith("car")
    assert page["data"]["upstream"] is None
    assert "No bundle of inceptionv1 is open here" in page["notes"][0]
    assert seen.get("/unit/inceptionv1/mixed4c:447").status == 200


@pytest.mark.parametrize("by", ["l2", "-top", "inhibition"])
def test_the_lines_of_python_and_shell_give_the_same(
    seen: Asking, handwritten: Path, by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(handwritten.parent)
    page = seen.get(f"/unit/{CAR}.json?by={by}").json()
    wanted = page["data"]["upstream"]["rows"]
    *first, last = page["ways"]["python"].splitlines()
    names: dict[str, object] = {}
    exec("\n".join(first), names)
    found = eval(last, names)
    assert [row["unit"] for row in found] == [row["unit"] for row in wanted]
    assert found[0]["sum"] == wanted[0]["sum"]
    words = shlex.split(page["ways"]["shell"])
    done = CliRunner().invoke(cli, words[1:], catch_exceptions=False)
    assert done.exit_code == 0
    shown = re.findall(r"handwritten/mixed4b:\d+", done.stdout)
    assert shown[:12] == [row["unit"] for row in wanted]


def test_the_lines_of_a_kernel_give_it(
    seen: Asking, handwritten: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(handwritten.parent)
    monkeypatch.setenv("CIRCUITGRAPH_CATALOGUE", str(seen.catalogue))
    page = seen.get(f"/edge/{quote(EDGE)}.json").json()
    *first, last = page["ways"]["python"].splitlines()
    names: dict[str, object] = {}
    exec("\n".join(first), names)
    assert eval(last, names).tolist() == page["data"]["kernel"]
    words = shlex.split(page["ways"]["shell"])
    CliRunner().invoke(cli, [*words[1:-1], str(tmp_path / words[-1])], catch_exceptions=False)
    assert (tmp_path / words[-1]).read_text() == seen.get(f"/edge/{quote(EDGE)}.svg").text


def test_ranking_refuses_what_it_cannot_do(handwritten: Path) -> None:
    from circuitgraph.bundle.ranked_edges import rank_edges

    with Bundle.open(handwritten) as bundle:
        for wrong in ({"by": "size"}, {"limit": -1}, {"limit": 1001}, {"offset": -1}):
            with pytest.raises(BundleError):
                rank_edges(bundle, CAR, "upstream", **wrong)  # type: ignore[arg-type]
        with pytest.raises(BundleError):
            rank_edges(bundle, CAR, "sideways")  # type: ignore[arg-type]


def test_a_direction_has_a_page_with_the_kernels_of_what_it_combines(tmp_path: Path) -> None:
    bundle = write_synthetic_bundle(tmp_path / "net.circuit", network="net")
    combined = np.zeros(12)
    combined[[3, 5]] = 1.0, -0.5
    bundle = add_directions(bundle, "layer2", [combined], names=["car-2"])
    into = np.einsum("d,duij->uij", combined, np.asarray(bundle.block("layer1", "layer2").kernels, dtype=np.float64))
    with Explorer([bundle]) as explorer:
        asked = Asking(make_app(explorer, token=TOKEN), explorer, tmp_path)
        page = asked.get("/unit/net/layer2@car-2.json?by=-top&limit=16").json()
        rows = page["data"]["upstream"]["rows"]
        assert asked.get("/unit/net/layer2@car-2").status == 200
        assert "/unit/net/layer2@car-2" in asked.get("/layer/net/layer2").text
        edge = asked.get(f"/edge/{quote('net/layer1:4 -> net/layer2@car-2')}.json").json()["data"]
        assert [hit["uid"] for hit in asked.get("/search.json?q=layer2@car").json()["data"]["rows"]] == [
            "net/layer2@car-2"
        ]
    assert np.allclose(edge["kernel"], into[4], atol=1e-6)
    assert page["data"]["facts"]["kind"] == "direction"
    wanted = {f"net/layer1:{place}": scalars_of(kernel, (-1, -1)) for place, kernel in enumerate(into)}
    assert [row["unit"] for row in rows] == sorted(wanted, key=lambda uid: wanted[uid]["top"])
    for row in rows:
        assert_same(row, wanted[row["unit"]])


def test_a_unit_of_which_nothing_is_said_says_so_in_a_line(seen: Asking) -> None:
    html = seen.get("/unit/handwritten/mixed4c:0").text
    assert "None of the seven arguments has been made" in html
    assert "not made" not in html
    assert "/claims/new?subject=handwritten%2Fmixed4c%3A0" in html
