"""Pages of claims, histories, reviews and releases say what the catalogue says, a page at a time."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from circuitgraph.catalogue import Author, Catalogue, Claim, add_claim, make_claim, make_evidence
from circuitgraph.catalogue.claims import PREDICATES
from circuitgraph.catalogue.listing import list_claims
from circuitgraph.catalogue.releases import make_release
from circuitgraph.errors import CatalogueError
from tests.web.asking import ADA, Asking, asking

BOB = Author(name="Bob Example", orcid="0000-0002-1825-0097")


def say(catalogue: Catalogue, subject: str, predicate: str, object: str = "", **fields: Any) -> Claim:
    return add_claim(
        catalogue, make_claim(subject, predicate, object, **{"author": ADA, "date": "2024-05-06", **fields})
    ).claim


@pytest.fixture(scope="module")
def said() -> dict[str, Claim]:
    return {}


@pytest.fixture(scope="module")
def user(tmp_path_factory: pytest.TempPathFactory, said: dict[str, Claim]) -> Iterator[Asking]:
    with asking(tmp_path_factory.mktemp("claims"), may_write=False) as opened:
        with Catalogue.open(opened.catalogue) as catalogue:
            evidence = [
                make_evidence(
                    "dataset_examples", statement="Nine of ten.", figures={"share": 0.9}, reference="10.1000/x"
                ),
                make_evidence("automated_label", is_against=True, files=[{"name": "unit.png", "sha256": "ab" * 32}]),
            ]
            said["car"] = say(
                catalogue,
                "net/layer1:3",
                "detects",
                "feature:car",
                evidence=evidence,
                statement="Cars.",
                confidence=0.7,
                method="looking",
                method_version="2",
                qualifiers={"threshold": 0.5},
                reference="https://example.org/a",
                author=BOB,
                date="2024-05-06T10:00:00+02:00",
            )
            said["denial"] = say(catalogue, "net/layer1:3", "detects", "feature:car", negated=True)
            said["dispute"] = say(catalogue, said["car"].id, "disputes", statement="Trams.")
            said["support"] = say(catalogue, said["car"].id, "supports", author=BOB)
            said["old"] = say(catalogue, "net/layer2:1", "detects", "feature:dog", date="2023-01-01")
            said["new"] = say(catalogue, "net/layer2:1", "detects", "feature:cat", supersedes=(said["old"].id,))
            said["morning"] = say(catalogue, "net/layer2:2", "pure", date="2024-05-07T01:00:00Z")
            said["evening"] = say(catalogue, "net/layer2:2", "unknown", date="2024-05-07T23:00:00-01:00")
            for n in range(120):
                say(
                    catalogue,
                    f"net/layer2:{n % 8}",
                    "responds_to",
                    "feature:car",
                    statement=f"case {n}",
                    date="2022-01-01",
                )
        yield opened


def every(user: Asking) -> list[dict[str, Any]]:
    """Return all claims of the log, read as lines of JSON."""
    files = sorted((user.catalogue / "claims").glob("*.jsonl"))
    return [json.loads(line) for file in files for line in file.read_text(encoding="utf-8").splitlines()]


def listed(user: Asking, query: str) -> list[str]:
    """Return the ids of all claims of a list, page after page."""
    found: list[str] = []
    address = f"/claims.json?{query}"
    while address:
        data = user.get(address).json()["data"]
        found += [row["claim"] for row in data["rows"]]
        address = (data["paging"]["next"] or "").replace("/claims?", "/claims.json?")
    assert len(found) == data["count"] == data["paging"]["count"]
    return found


def test_the_list_holds_every_claim_once_and_the_newest_first(user: Asking, said: dict[str, Claim]) -> None:
    found = listed(user, "state=all")
    lines = {line["id"]: line for line in every(user)}
    assert len(found) == len(set(found)) == len(lines)
    assert set(found) == lines.keys()
    days = [lines[uid]["date"][:10] for uid in found]
    # the evening of the 7th west of Greenwich is the 8th there
    assert found.index(said["evening"].id) < found.index(said["morning"].id) < found.index(said["denial"].id)
    assert [day for day in days if len(day) == 10] == sorted(days, reverse=True)


@pytest.mark.parametrize(
    "query", ["predicate=detects", "network=net", "author=Ada+Example", "author=0000-0002-1825-0097"]
)
def test_a_filter_finds_what_a_reader_of_the_log_finds(user: Asking, query: str) -> None:
    name, _, wanted = query.replace("+", " ").partition("=")
    keep = {
        "predicate": lambda line: line["predicate"] == wanted,
        "network": lambda line: line["subject"].split("/")[0] == wanted,
        "author": lambda line: wanted in (line["author"]["name"], line["author"].get("orcid")),
    }[name]
    expected = {line["id"] for line in every(user) if keep(line)}
    assert expected
    assert set(listed(user, f"{query}&state=all")) == expected


def test_states(user: Asking, said: dict[str, Claim]) -> None:
    superseded = {said["old"].id}
    assert set(listed(user, "state=superseded")) == superseded
    assert set(listed(user, "")) == {line["id"] for line in every(user)} - superseded
    # one is disputed, and both say the opposite of each other
    assert set(listed(user, "state=disputed")) == {said["car"].id, said["denial"].id}
    assert listed(user, f"state=disputed&author={BOB.orcid}") == [said["car"].id]


def test_a_page_of_the_list_says_how_much_there_is(user: Asking) -> None:
    page = user.get("/claims?state=all&first=50")
    count = len(every(user))
    assert f"showing 51 to 100 of {count:,} claims." in page.text
    assert page.text.count('<tr role="row"><td') == 50
    assert 'rel="next" href="/claims?state=all&amp;first=100"' in page.text
    # beyond the end it begins again
    assert user.get("/claims.json?first=9999999").json()["data"]["paging"]["first"] == 0


@pytest.mark.parametrize(
    "query", ["state=%27", "predicate=adores", "first=-1", "first=x", "first=1e9", "author=%00", "network=%25"]
)
def test_a_filter_that_means_nothing_is_no_error(user: Asking, query: str) -> None:
    assert user.get(f"/claims?{query}").status == 200


def test_listing_refuses_what_there_is_not(user: Asking) -> None:
    with Catalogue.open(user.catalogue) as catalogue:
        for wrong in ({"predicate": "adores"}, {"state": "lost"}):
            with pytest.raises(CatalogueError, match="there is no") as caught:
                list_claims(catalogue, **wrong)
            assert caught.value.hint
        assert list_claims(catalogue, author="' OR 1=1 --").total == 0
        assert list_claims(catalogue, limit=0, state="all").total == len(every(user))


def test_the_page_of_a_claim_shows_all_its_fields(user: Asking, said: dict[str, Claim]) -> None:
    claim = said["car"]
    page = user.get(f"/claim/{claim.id[6:]}")
    for text in ("Cars.", "Bob Example", "0000-0002-1825-0097", "0.7", "looking 2", "threshold", "Nine of ten.",
                 "unit.png", "sha256:abababababab", "speaks against", "Trams.", claim.id,
                 "2024-05-06T10:00:00+02:00"):  # fmt: skip
        assert text in page.text, text
    assert '<a href="https://doi.org/10.1000/x" rel="noopener noreferrer nofollow external">' in page.text
    data = user.get(f"/claim/{claim.id[6:]}.json").json()["data"]
    assert {"id": claim.id, **data["claim"]} == next(line for line in every(user) if line["id"] == claim.id)
    assert [item["figures"] for item in data["evidence"]] == [[{"name": "share", "value": 0.9}], []]
    assert (data["is_current"], data["is_disputed"]) == (True, True)
    assert [each["id"] for each in data["rivals"]] == [said["denial"].id]
    assert {each["id"]: each["says"] for each in data["answers"]} == {
        said["dispute"].id: "disputes",
        said["support"].id: "supports",
    }


def test_a_claim_is_found_by_the_beginning_of_its_hash_and_its_address_is_whole(
    user: Asking, said: dict[str, Claim]
) -> None:
    claim = said["new"]
    whole = user.get(f"/claim/{claim.id[6:16]}.json").json()
    assert whole["address"] == f"/claim/{claim.id[6:]}"
    assert [each["id"] for each in whole["data"]["supersedes"]] == [said["old"].id]
    old = user.get(f"/claim/{said['old'].id[6:]}.json").json()["data"]
    assert [each["id"] for each in old["superseded_by"]] == [claim.id]
    assert [entry["status"] for entry in old["history"]] == ["superseded", "current"]
    for wrong in ("0" * 64, "zz", "00", "0" * 65):
        assert user.get(f"/claim/{wrong}").status == 404


def test_a_history_holds_all_that_was_said_about_a_thing_with_what_it_superseded(
    user: Asking, said: dict[str, Claim]
) -> None:
    data = user.get("/history/net/layer2:1.json").json()["data"]
    own = {line["id"] for line in every(user) if line["subject"] == "net/layer2:1"}
    assert {entry["id"] for entry in data["entries"]} == own
    dates = [entry["date"] for entry in data["entries"]]
    assert dates == sorted(dates)
    page = user.get("/history/net/layer2:1")
    assert "detects dog" in page.text
    assert said["old"].id[6:] in page.text
    of_claim = user.get(f"/history/{said['old'].id}.json").json()["data"]["entries"]
    assert [entry["id"] for entry in of_claim] == [said["old"].id, said["new"].id]
    # a unit that is there, of which nothing was said
    subjects = {line["subject"] for line in every(user)}
    silent = next(unit for n in range(16) if (unit := f"net/layer1:{n}") not in subjects)
    assert user.get(f"/history/{silent}.json").json()["data"]["count"] == 0
    for wrong in ("net/layer2:7777", "net/layer9", "zz", "other/layer1:3", "feature:zz"):
        assert user.get(f"/history/{wrong}").status == 404, wrong
    assert user.get("/history/:::").status == 400


def test_a_review_counts_what_is_new_and_disputed(user: Asking, said: dict[str, Claim]) -> None:
    tables = {table["name"]: table for table in user.get("/review.json?since=2024-05-06").json()["data"]["tables"]}
    # 10 in the morning east of Greenwich is that day here
    new = [line for line in every(user) if line["date"] >= "2024-05-06"]
    assert tables["new"]["title"].endswith(f": {len(new)}")
    assert {row["claim"] for row in tables["disputed"]["rows"]} == {said["car"].id, said["denial"].id}
    assert user.get("/review?since=soon").status == 400
    assert "new" not in {table["name"] for table in user.get("/review.json").json()["data"]["tables"]}


def test_what_is_remembered_of_a_review_is_forgotten_when_a_claim_comes(tmp_path: Path) -> None:
    with asking(tmp_path) as opened:
        assert user_counts(opened) == 0
        opened.post("/claims/new", {"subject": "net/layer1:1", "predicate": "pure"})
        assert user_counts(opened) == 1
        # another program writes too
        with Catalogue.open(opened.catalogue) as catalogue:
            say(catalogue, "net/layer1:2", "pure", date="2999-01-01")
        assert user_counts(opened) == 2


def user_counts(user: Asking) -> int:
    tables = user.get(f"/review.json?since={date.today().isoformat()}").json()["data"]["tables"]
    rows = [row for table in tables if table["name"] == "new" for row in table["rows"]]
    return sum(row["subject"].startswith("net/") for row in rows)


def test_releases_are_listed_and_each_says_how_to_cite_it(tmp_path: Path) -> None:
    with asking(tmp_path, may_write=False) as opened:
        assert "Nothing was released yet" in opened.get("/releases").text
        with Catalogue.open(opened.catalogue) as catalogue:
            release = make_release(
                catalogue, "2026-11", author=BOB, date="2026-11-01", title="The first", doi="10.1000/first"
            )
            count = len(catalogue.ids())
        (row,) = opened.get("/releases.json").json()["data"]["rows"]
        assert (row["release"], row["claims"], row["sha256"]) == ("release:2026-11", count, release.sha256)
        page = opened.get("/release/2026-11")
        assert '<a href="https://doi.org/10.1000/first"' in page.text
        assert "@misc" in opened.get("/release/2026-11.json").json()["citation"]
        assert opened.get("/release/2027-01").status == 404


def test_pages_of_claims_tell_the_version_of_the_catalogue_and_how_to_get_them_otherwise(
    user: Asking, said: dict[str, Claim]
) -> None:
    for path in (
        "/claims",
        f"/claim/{said['car'].id[6:]}",
        "/history/net/layer2:1",
        "/review",
        "/releases",
        "/features",
    ):
        twin = user.get(f"{path}.json").json()
        assert len(twin["versions"]["catalogue"]) == 64, path
        assert twin["ways"]["python"], path
        assert twin["ways"]["shell"].startswith("circuitgraph catalogue "), path
        assert twin["address"] == path


def test_counts_of_predicates_are_those_of_the_log(user: Asking) -> None:
    found = {name: user.get(f"/claims.json?state=all&predicate={name}").json()["data"]["count"] for name in PREDICATES}
    counted = Counter(line["predicate"] for line in every(user))
    assert {name: count for name, count in found.items() if count} == dict(counted)


@pytest.mark.slow
def test_pages_of_sixty_thousand_claims_come_soon(tmp_path: Path) -> None:
    with asking(tmp_path, may_write=False) as opened:
        with Catalogue.open(opened.catalogue) as catalogue:
            features = [feature.uid for feature in catalogue.vocabulary()]
            catalogue.add(
                make_claim(
                    f"other/layer{n % 9}:{n // 9}",
                    "detects" if n % 5 else "responds_to",
                    features[n % len(features)],
                    statement=f"case {n}",
                    evidence=(make_evidence("automated_label", figures={"score": n / 60_000}),),
                    negated=n % 1_000 == 0,
                    author=BOB if n % 2 else ADA,
                    date=f"2025-{1 + n % 12:02}-{1 + n % 28:02}",
                )
                for n in range(60_000)
            )
        with Catalogue.open(opened.catalogue) as catalogue:
            uid = list_claims(catalogue, offset=30_000, limit=1).heads[0].id
        paths = ("/claims", "/claims?first=40000", "/claims?network=other&predicate=detects", f"/claim/{uid[6:]}",
                 "/claims?state=disputed", "/features", "/history/other/layer0:17", "/review")  # fmt: skip
        took: dict[str, float] = {}
        for path in paths:
            opened.get(path)
            began = time.monotonic()
            assert opened.get(path).status == 200
            took[path] = time.monotonic() - began
        # a quiet machine answers in a third of it
        assert max(took.values()) < 1.0, took
