"""Pages of features: the vocabulary as a tree, and what is found of each."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from circuitgraph.catalogue import Catalogue, add_claim, add_feature, change_feature, make_claim, make_feature
from tests.web.asking import ADA, Asking, asking

DAY = "2024-05-06"


@pytest.fixture(scope="module")
def user(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asking]:
    with asking(tmp_path_factory.mktemp("features"), may_write=False) as opened:
        with Catalogue.open(opened.catalogue) as catalogue:
            for slug, more in (("beast", {}), ("horse", {"broader": ("feature:beast",)}), ("steed", {})):
                add_feature(catalogue, make_feature(slug, author=ADA, date=DAY, definition=f"A {slug}.", **more))
            for subject, slug in (
                ("net/layer1:1", "horse"),
                ("net/layer1:2", "horse"),
                ("other/a:1", "horse"),
                ("net/layer1!herd", "horse"),
                ("net/layer2:0", "steed"),
                ("net/layer2:1", "beast"),
            ):
                add_claim(catalogue, make_claim(subject, "detects", f"feature:{slug}", author=ADA, date=DAY))
            denied = make_claim("net/layer1:0", "detects", "feature:horse", negated=True, author=ADA, date=DAY)
            add_claim(catalogue, denied)
            change_feature(
                catalogue, "horse", author=ADA, date=DAY, replaces=("feature:steed",), reference="10.1000/horse"
            )
        yield opened


def row_of(user: Asking, uid: str) -> dict[str, Any]:
    address = "/features.json"
    while address:
        data = user.get(address).json()["data"]
        for row in data["rows"]:
            if row["uid"] == uid:
                return dict(row)
        address = (data["paging"]["next"] or "").replace("/features?", "/features.json?")
    raise KeyError(uid)


def test_the_tree_holds_each_feature_below_what_is_broader(user: Asking) -> None:
    data = user.get("/features.json").json()["data"]
    with Catalogue.open(user.catalogue) as catalogue:
        tree = [(min(depth, 8), feature.uid) for depth, feature in catalogue.vocabulary().tree()]
    assert data["count"] == len(tree)
    assert [(row["depth"], row["uid"]) for row in data["rows"]] == tree[:100]
    assert (row_of(user, "feature:beast")["depth"], row_of(user, "feature:horse")["depth"]) == (0, 1)
    page = user.get("/features")
    assert page.text.count('<th scope="row"') == 100
    assert f"showing 1 to 100 of {len(tree):,} features." in page.text
    rest = user.get("/features?first=100")
    assert rest.text.count('<th scope="row"') == len(tree) - 100


def test_a_feature_is_counted_in_units_and_networks_under_the_name_that_it_has_now(user: Asking) -> None:
    # a denial counts for nothing, a family is no unit, and what was called steed is a horse
    row = row_of(user, "feature:horse")
    assert (row["claims"], row["units"], row["networks"]) == (5, 4, 2)
    files = (user.catalogue / "claims").glob("*.jsonl")
    lines = [json.loads(line) for file in files for line in file.read_text(encoding="utf-8").splitlines()]
    about = [
        line
        for line in lines
        if line.get("object") in ("feature:horse", "feature:steed") and not line.get("negated", False)
    ]
    units = {line["subject"] for line in about if "!" not in line["subject"]}
    assert (len(about), len(units)) == (row["claims"], row["units"])
    with pytest.raises(KeyError):
        row_of(user, "feature:steed")


def test_the_page_of_a_feature_shows_what_detects_it_in_several_networks(user: Asking) -> None:
    twin = user.get("/feature/horse.json").json()
    tables = {table["name"]: table for table in twin["data"]["tables"]}
    assert [row["network"] for row in tables["found_in"]["rows"]] == ["net", "other"]
    assert [row["units"] for row in tables["found_in"]["rows"]] == [3, 1]
    subjects = {row["subject"] for row in tables["detectors"]["rows"]}
    assert subjects == {"net/layer1:1", "net/layer1:2", "other/a:1", "net/layer1!herd", "net/layer2:0"}
    assert {row["feature"]: row["relation"] for row in tables["related"]["rows"]} == {"feature:beast": "broader"}
    page = user.get("/feature/horse").text
    assert 'href="/unit/other/a:1"' in page
    assert 'href="https://doi.org/10.1000/horse"' in page
    assert "@misc" in twin["citation"]
    broader = {row["feature"]: row["relation"] for table in user.get("/feature/beast.json").json()["data"]["tables"]
               if table["name"] == "related" for row in table["rows"]}  # fmt: skip
    assert broader == {"feature:horse": "narrower"}


def test_a_name_that_it_had_before_goes_on_finding_it(user: Asking) -> None:
    page = user.get("/feature/steed.json").json()
    assert (page["address"], page["data"]["uid"]) == ("/feature/horse", "feature:horse")
    assert "which was feature:steed" in user.get("/feature/steed").text


def test_many_detectors_are_cut_and_it_is_said(tmp_path: Path) -> None:
    with asking(tmp_path, may_write=False) as opened:
        with Catalogue.open(opened.catalogue) as catalogue:
            catalogue.add(
                make_claim(f"big/a:{n}", "detects", "feature:car", author=ADA, date=DAY) for n in range(3_112)
            )
        data = opened.get("/feature/car.json").json()["data"]
        (table,) = [table for table in data["tables"] if table["name"] == "detectors"]
        assert len(table["rows"]) == 50
        assert [note for note in table["notes"] if "50 of 3,11" in note and "--" not in note]
        assert len(opened.get("/feature/car.json?limit=9999999").json()["data"]["tables"][0]["rows"]) <= 500


def test_a_feature_that_is_not_there_is_said_and_where_to_look(user: Asking) -> None:
    answer = user.get("/feature/hors.json")
    assert answer.status == 404
    assert "/features" in answer.json()["error"]["hint"]
