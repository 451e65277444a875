"""Pages of layers: units a page at a time in any order, against the bundle's own table."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest
from click.testing import CliRunner

from circuitgraph.bundle import Bundle
from circuitgraph.cli.main import cli
from circuitgraph.testing.bundles import write_synthetic_bundle
from circuitgraph.web import Explorer, make_app
from circuitgraph.web.render import _figure as figure_text
from tests.web.asking import TOKEN, Asking
from tests.web.looking import assert_nothing_runs, looking

LAYER = "handwritten/mixed3b"


@pytest.fixture(scope="module")
def seen(handwritten: Path, catalogue: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asking]:
    with looking(handwritten, catalogue, tmp_path_factory.mktemp("layers")) as opened:
        yield opened


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Asking, Bundle]]:
    """A layer of 2,048 units."""
    folder = tmp_path_factory.mktemp("large")
    bundle = write_synthetic_bundle(folder / "net.circuit", network="net", unit_counts=(3, 2048, 4), window=(1, 1))
    with Explorer([bundle]) as explorer:
        yield Asking(make_app(explorer, token=TOKEN), explorer, folder), bundle


def norms_into(bundle: Bundle, layer: str) -> np.ndarray:
    squares = np.zeros(bundle.layer(layer).unit_count)
    for up, down in bundle.pairs:
        if down == bundle.layer(layer).uid:
            squares += (np.asarray(bundle.block(up, down).kernels, dtype=np.float64) ** 2).sum(axis=(1, 2, 3))
    return np.sqrt(squares)


@pytest.mark.parametrize("sort", ["channel", "-channel", "in_norm", "-in_norm", "out_norm", "bias"])
def test_units_stand_in_the_order_asked_for(seen: Asking, handwritten: Path, sort: str) -> None:
    units = seen.get(f"/layer/{LAYER}.json?sort={sort}&limit=50").json()["data"]["units"]
    with Bundle.open(handwritten) as bundle:
        into = norms_into(bundle, "mixed3b")
        out = np.asarray(bundle.block("mixed3b", "mixed4a").kernels, dtype=np.float64)
        columns = {
            "channel": np.arange(128.0),
            "in_norm": into,
            "out_norm": np.sqrt((out**2).sum(axis=(0, 2, 3))),
            "bias": np.asarray(bundle.bias("mixed3b"), dtype=np.float64),
        }
    name = sort.removeprefix("-")
    is_rising = (name == "channel") != sort.startswith("-")
    order = np.argsort(columns[name] if is_rising else -columns[name], kind="stable")[:50]
    assert [row["channel"] for row in units["rows"]] == order.tolist()
    for row in units["rows"]:
        for column, values in columns.items():
            assert row[column] == pytest.approx(values[row["channel"]], rel=1e-6)
    assert (units["shown"], units["count"]) == (50, 128)


def test_a_large_layer_is_shown_a_page_at_a_time(large: tuple[Asking, Bundle]) -> None:
    asked, _ = large
    address, channels = "/layer/net/layer1.json?limit=200", []
    while address:
        units = asked.get(address).json()["data"]["units"]
        channels += [row["channel"] for row in units["rows"]]
        address = units["next"] and units["next"].replace("?", ".json?", 1)
    assert channels == list(range(2048))
    html = asked.get("/layer/net/layer1").text
    assert "showing 1 to 40 of 2,048" in html
    assert html.count("<tr>") < 60
    assert len(html) < 200_000


def test_a_page_beyond_the_end_begins_again(large: tuple[Asking, Bundle]) -> None:
    page = large[0].get("/layer/net/layer1.json?first=5000").json()
    assert (page["address"], page["data"]["units"]["rows"][0]["channel"]) == ("/layer/net/layer1", 0)


@pytest.mark.parametrize("query", ["sort=uid", "sort=%27", "limit=0", "limit=x", "first=-1", "first=1e9"])
def test_what_cannot_be_asked_for_is_passed_over(large: tuple[Asking, Bundle], query: str) -> None:
    answer = large[0].get(f"/layer/net/layer1.json?{query}")
    assert answer.status == 200
    assert answer.json()["data"]["units"]["rows"][0]["channel"] == 0


def test_the_page_shows_the_numbers_of_its_twin(seen: Asking) -> None:
    rows = seen.get(f"/layer/{LAYER}.json?sort=in_norm").json()["data"]["units"]["rows"]
    html = seen.get(f"/layer/{LAYER}?sort=in_norm").text
    for row in rows:
        (line,) = [each for each in html.split("<tr>") if f'<th scope="row"><a href="/unit/{row["unit"]}">' in each]
        shown = re.findall(r'<td class="number">([^<]*)</td>', line)
        assert shown == [figure_text(row[name]) for name in ("in_norm", "out_norm", "bias")]


def test_the_layer_is_placed_between_its_neighbours(seen: Asking, handwritten: Path) -> None:
    data = seen.get(f"/layer/{LAYER}.json").json()["data"]
    assert (data["previous"], data["next"]) == ("handwritten/mixed3a", "handwritten/mixed4a")
    assert (data["upstream"], data["downstream"]) == (["handwritten/mixed3a"], ["handwritten/mixed4a"])
    with Bundle.open(handwritten) as bundle:
        families = [family.uid for family in bundle.families if family.uid.startswith(f"{LAYER}!")]
    assert [row["family"] for row in data["families"]] == sorted(families)
    assert [(row["up"], row["down"]) for row in data["pairs"]["rows"]] == [
        ("mixed3a", "mixed3b"),
        ("mixed3b", "mixed4a"),
    ]


def test_the_picture_begins_with_units_of_which_something_is_known(seen: Asking) -> None:
    svg = seen.get("/layer/handwritten/mixed4c.svg").text
    assert "mixed4c:41" in svg
    assert "car" in svg
    assert svg in seen.get("/layer/handwritten/mixed4c").text


def test_an_alias_leads_to_the_layer(seen: Asking) -> None:
    assert seen.get("/layer/handwritten/mixed3b.relu.json").json()["address"] == f"/layer/{LAYER}"


def test_a_layer_known_from_claims_alone_has_a_page(seen: Asking) -> None:
    answer = seen.get("/layer/inceptionv1/mixed4c")
    assert answer.status == 200
    assert "/unit/inceptionv1/mixed4c:447" in answer.text


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("handwritten/mixed9", 404),
        ("inceptionv1/none", 404),
        ("elsewhere/a", 404),
        ("handwritten", 400),
        ("..%2f..", 400),
        (quote("net/<script>alert(1)</script>"), 400),
    ],
)
def test_what_is_not_there_is_said(seen: Asking, name: str, status: int) -> None:
    answer = seen.get(f"/layer/{name}")
    assert answer.status == status
    assert_nothing_runs(answer.text)


@pytest.mark.parametrize("query", ["", "sort=-in_norm&first=40"])
def test_the_lines_of_python_and_shell_give_the_units(
    seen: Asking, handwritten: Path, query: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(handwritten.parent)
    page = seen.get(f"/layer/{LAYER}.json?{query}").json()
    wanted = [row["unit"] for row in page["data"]["units"]["rows"]]
    *first, last = page["ways"]["python"].splitlines()
    names: dict[str, object] = {}
    exec("\n".join(first), names)
    every = {row["uid"]: row for row in eval(last, names)}
    assert len(every) == 128
    for row in page["data"]["units"]["rows"]:
        assert every[row["unit"]]["in_norm"] == row["in_norm"]
    words = shlex.split(page["ways"]["shell"])
    done = CliRunner().invoke(cli, [*words[1:], "--format", "csv"], catch_exceptions=False)
    shown = [line.split(",")[0] for line in done.stdout.splitlines()[1:]]
    assert shown[: len(wanted)] == wanted
