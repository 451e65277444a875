"""Claims made in the page: what a form says comes into the log as it was typed, once, or comes back with its fault."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, timedelta
from html import unescape
from pathlib import Path

import pytest

from circuitgraph.catalogue import Catalogue, Claim, add_claim, make_claim, make_evidence
from tests.web.asking import ADA, Answer, Asking, asking

UNIT = "net/layer1:3"
TODAY = date.today().isoformat()
NEW = {
    "subject": UNIT,
    "predicate": "detects",
    "object": "feature:car",
    "statement": "Cars, from the side.\r\nOnly those.",
    "code": "dataset_examples",
    "evidence": "Nine of the ten strongest examples are cars.",
    "evidence_reference": "10.23915/distill.00024.001",
    "confidence": "0.75",
    "reference": "https://example.org/cars",
    "date": TODAY,
}


@pytest.fixture(scope="module")
def _opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asking]:
    with asking(tmp_path_factory.mktemp("curating")) as opened:
        yield opened


@pytest.fixture
def user(_opened: Asking) -> Asking:
    return _opened


@pytest.fixture
def claim(user: Asking) -> Claim:
    """A claim of somebody else."""
    evidence = (make_evidence("feature_use", statement="What it feeds."),)
    made = make_claim(
        "net/layer2:1", "detects", "feature:dog", author={"name": "B. Other"}, date="2020-01-01", evidence=evidence
    )
    with Catalogue.open(user.catalogue) as catalogue:
        return add_claim(catalogue, made).claim


def ids(user: Asking) -> set[str]:
    with Catalogue.open(user.catalogue) as catalogue:
        return set(catalogue.ids())


def claim_at(user: Asking, answer: Answer) -> Claim:
    """Return the claim to whose page a browser is sent."""
    assert answer.status == 303, answer.text
    digest = answer.header("location").partition("?")[0].removeprefix("/claim/")
    with Catalogue.open(user.catalogue) as catalogue:
        return catalogue.get(f"claim:{digest}")


def fault_of(answer: Answer) -> str:
    """Return what the form says is wrong."""
    assert answer.status == 400
    found = re.search(
        r'<div class="fault" id="fault" role="alert" tabindex="-1" autofocus>(.*?)</div>', answer.text, re.S
    )
    assert found is not None
    # it stands before anything else of the page
    assert answer.text.index(found[0]) < answer.text.index("<form method") if "<form method" in answer.text else True
    return " ".join(unescape(re.sub("<[^>]*>", " ", found[1])).split())


def typed_in(answer: Answer, form: str, name: str) -> str:
    """Return what stands in a line or area of a form."""
    line = re.search(rf'<input id="{form}-{name}"[^>]* value="([^"]*)"', answer.text)
    area = re.search(rf'<textarea id="{form}-{name}"[^>]*>\n(.*?)</textarea>', answer.text, re.S)
    found = line or area
    assert found is not None
    return unescape(found[1])


def test_a_new_claim_says_what_was_typed(user: Asking) -> None:
    before = ids(user)
    answer = user.post("/claims/new", NEW)
    claim = claim_at(user, answer)
    assert answer.header("location").endswith("?done=added")
    assert ids(user) - before == {claim.id}
    assert (claim.subject, claim.predicate, claim.object, claim.negated) == (UNIT, "detects", "feature:car", False)
    assert claim.statement == "Cars, from the side.\nOnly those."
    assert (claim.confidence, claim.reference) == (0.75, "https://example.org/cars")
    assert (claim.author, claim.date, claim.supersedes) == (ADA, TODAY, ())
    (evidence,) = claim.evidence
    assert (evidence.code, evidence.statement) == ("dataset_examples", NEW["evidence"])
    assert evidence.reference == NEW["evidence_reference"]
    page = user.get(answer.header("location"))
    assert 'role="status">Your claim is in the catalogue.' in page.text
    assert "Cars, from the side.\nOnly those." in page.text


def test_what_is_not_typed_is_not_said(user: Asking) -> None:
    claim = claim_at(user, user.post("/claims/new", {"subject": UNIT, "predicate": "polysemantic"}))
    assert claim.content() == {
        "subject": UNIT,
        "predicate": "polysemantic",
        "author": {"name": ADA.name},
        "date": TODAY,
    }


def test_a_claim_that_it_is_not_so(user: Asking) -> None:
    claim = claim_at(user, user.post("/claims/new", {**NEW, "negated": "1", "object": "Dog"}))
    assert (claim.negated, claim.object) == (True, "feature:dog")


def test_sending_a_form_twice_adds_one_claim(user: Asking) -> None:
    sent = {**NEW, "statement": "twice"}
    first = user.post("/claims/new", sent)
    after = user.written()
    again = user.post("/claims/new", sent)
    assert claim_at(user, again) == claim_at(user, first)
    assert again.header("location").endswith("?done=known")
    assert user.written() == after
    assert "nothing was added" in user.get(again.header("location")).text


def test_a_form_sent_again_after_midnight_is_the_same_claim(user: Asking) -> None:
    yesterday = (date.today() - timedelta(days=1)).isoformat()
    first = claim_at(user, user.post("/claims/new", {**NEW, "statement": "late", "date": yesterday}))
    assert claim_at(user, user.post("/claims/new", {**NEW, "statement": "late", "date": yesterday})) == first
    assert first.date == yesterday


@pytest.mark.parametrize("given", ["1999-01-01", "2999-01-01", "", "yesterday", "' OR 1=1"])
def test_a_form_that_is_older_or_says_another_day_is_of_today(user: Asking, given: str) -> None:
    assert claim_at(user, user.post("/claims/new", {**NEW, "statement": given, "date": given})).date == TODAY


def test_a_feature_comes_into_the_vocabulary_only_where_that_is_wanted(user: Asking) -> None:
    sent = {**NEW, "object": "air ship"}
    before = user.written()
    said = fault_of(user.post("/claims/new", sent))
    assert "feature:air-ship is not in the vocabulary" in said
    assert "tick the box" in said
    assert "--" not in said
    assert user.written() == before
    claim = claim_at(user, user.post("/claims/new", {**sent, "new_feature": "1"}))
    assert claim.object == "feature:air-ship"
    with Catalogue.open(user.catalogue) as catalogue:
        assert catalogue.vocabulary().get("feature:air-ship").author == ADA


FAULTS = {
    "no subject": ({"subject": ""}, "is not a uid"),
    "no such unit": ({"subject": "net/layer1:16"}, "layer1 has 16 units, 0 to 15"),
    "no such layer": ({"subject": "net/layer9:1"}, "layer9"),
    "no such predicate": ({"predicate": "adores"}, "'adores' is no predicate"),
    "no object": ({"object": ""}, "detects needs an object: feature"),
    "another object": ({"predicate": "member_of"}, "the object of member_of is family"),
    "an object too many": ({"predicate": "pure"}, "pure takes no object"),
    "no such code": ({"code": "hearsay"}, "'hearsay' is no evidence code"),
    "evidence of no kind": ({"code": ""}, "not which kind"),
    "confidence in words": ({"confidence": "very"}, "no number from 0 to 1"),
    "confidence of no number": ({"confidence": "nan"}, "no number from 0 to 1"),
    "confidence above 1": ({"confidence": "75"}, "no number from 0 to 1"),
    "a control character": ({"statement": "car\x07"}, "U+0007"),
    "a long statement": ({"statement": "x" * 20_001}, "20,001 characters"),
    "a long uid": ({"subject": "net/" + "a" * 5_000 + ":1"}, "is not"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_named_and_what_was_typed_is_kept(user: Asking, fault: str) -> None:
    change, said = FAULTS[fault]
    before = user.written()
    answer = user.post("/claims/new", {**NEW, **change})
    assert said in fault_of(answer)
    assert user.written() == before
    for name in ("subject", "object", "statement", "evidence", "evidence_reference", "confidence", "reference"):
        assert typed_in(answer, "new", name) == {**NEW, **change}[name].replace("\r\n", "\n"), name
    code = {**NEW, **change}["code"]
    assert not code or code == "hearsay" or f'<option value="{code}" selected>' in answer.text


def test_a_dispute_is_a_claim_about_the_claim_with_its_evidence(user: Asking, claim: Claim) -> None:
    fields = {name: NEW[name] for name in ("code", "evidence", "evidence_reference", "confidence", "reference", "date")}
    answer = user.post(f"/claim/{claim.id[6:]}/dispute", {**fields, "why": "It is a wolf."})
    assert answer.header("location") == f"/claim/{claim.id[6:]}?done=disputed"
    with Catalogue.open(user.catalogue) as catalogue:
        (uid,) = catalogue.responses(claim.id)
        said = catalogue.get(uid)
    assert (said.predicate, said.subject, said.statement) == ("disputes", claim.id, "It is a wolf.")
    assert (said.author, said.confidence, said.evidence[0].code) == (ADA, 0.75, "dataset_examples")
    page = user.get(f"/claim/{claim.id[6:]}.json").json()["data"]
    assert (page["is_disputed"], [each["statement"] for each in page["answers"]]) == (True, ["It is a wolf."])
    assert [entry["status"] for entry in page["history"]] == ["disputed", "current"]
    text = user.get(f"/history/{claim.subject}").text
    assert "It is a wolf." in text
    listed = user.get("/claims.json?state=disputed").json()["data"]["rows"]
    assert claim.id in [row["claim"] for row in listed]


def test_a_dispute_that_says_nothing_comes_back(user: Asking, claim: Claim) -> None:
    before = user.written()
    answer = user.post(f"/claim/{claim.id[6:]}/dispute", {"why": " ", "reference": "10.1000/kept"})
    assert "it is not said why" in fault_of(answer)
    assert '<details open id="dispute">' in answer.text
    assert typed_in(answer, "dispute", "reference") == "10.1000/kept"
    # what was typed into one form does not stand in another
    assert typed_in(answer, "support", "reference") == ""
    assert user.written() == before


def test_support_needs_no_words(user: Asking, claim: Claim) -> None:
    answer = user.post(f"/claim/{claim.id[6:]}/support", {"why": ""})
    assert answer.header("location") == f"/claim/{claim.id[6:]}?done=supported"
    after = user.written()
    assert user.post(f"/claim/{claim.id[6:]}/support", {"why": ""}).header("location").endswith("?done=known")
    assert user.written() == after


def test_another_claim_takes_the_place_of_one_and_both_stay(user: Asking, claim: Claim) -> None:
    page = user.get(f"/claim/{claim.id[6:]}")
    # the form begins with what the claim says
    assert typed_in(page, "supersede", "object") == "feature:dog"
    sent = {"predicate": "detects", "object": "feature:dog", "statement": "Heads only.", "keep_evidence": "1"}
    answer = user.post(f"/claim/{claim.id[6:]}/supersede", sent)
    new = claim_at(user, answer)
    assert (new.supersedes, new.statement, new.author) == ((claim.id,), "Heads only.", ADA)
    assert (new.evidence, new.subject) == (claim.evidence, claim.subject)
    old = user.get(f"/claim/{claim.id[6:]}.json").json()["data"]
    assert (old["is_current"], [each["id"] for each in old["superseded_by"]]) == (False, [new.id])
    listed = user.get("/claims.json?state=superseded").json()["data"]["rows"]
    assert claim.id in [row["claim"] for row in listed]
    # with some evidence of one's own, and without what it had
    other = claim_at(user, user.post(f"/claim/{new.id[6:]}/supersede", {**sent, **_own()}))
    assert [item.code for item in other.evidence] == ["feature_use", "joint_tuning"]
    bare = {name: value for name, value in sent.items() if name != "keep_evidence"}
    other = claim_at(user, user.post(f"/claim/{new.id[6:]}/supersede", {**bare, **_own()}))
    assert [item.code for item in other.evidence] == ["joint_tuning"]


@pytest.mark.parametrize("name", ["reference", "evidence_reference"])
@pytest.mark.parametrize("text", ["javascript:alert(1)", "my notes", "https://", "see https://example.org"])
def test_a_reference_is_a_doi_or_an_address(user: Asking, name: str, text: str) -> None:
    before = user.written()
    answer = user.post("/claims/new", {**NEW, "statement": "Other cars.", name: text})
    assert "is neither a DOI nor an address" in fault_of(answer)
    assert typed_in(answer, "new", name) == text
    assert user.written() == before


def test_a_reference_that_stood_there_before_may_stay(user: Asking) -> None:
    made = make_claim("net/layer2:4", "detects", "feature:dog", author=ADA, date=TODAY, reference="A book, page 3")
    with Catalogue.open(user.catalogue) as catalogue:
        claim = add_claim(catalogue, made).claim
    sent = {"predicate": "detects", "object": "feature:dog", "statement": "Heads.", "reference": claim.reference}
    new = claim_at(user, user.post(f"/claim/{claim.id[6:]}/supersede", sent))
    assert new.reference == claim.reference


def test_of_two_who_replace_one_claim_the_second_is_told(user: Asking) -> None:
    claim = claim_at(user, user.post("/claims/new", {**NEW, "subject": "net/layer2:2", "object": "feature:dog"}))
    address = f"/claim/{claim.id[6:]}"
    assert 'id="replaced"' not in user.get(address).text
    sent = {"predicate": "detects", "object": "feature:dog", "statement": "Snouts only.", "keep_evidence": "1"}
    first = claim_at(user, user.post(f"{address}/supersede", sent))
    assert 'id="beside"' not in user.get(f"/claim/{first.id[6:]}").text
    old = user.get(address).text
    # above its forms
    assert old.index('id="replaced"') < old.index(f"/claim/{first.id[6:]}") < old.index("<form method")
    answer = user.post(f"{address}/supersede", {**sent, "statement": "Ears only."})
    second = claim_at(user, answer)
    page = user.get(answer.header("location")).text
    assert "the one before had been replaced already" in page
    notice = page.partition('id="beside"')[2].partition("</p>")[0]
    assert f"/claim/{first.id[6:]}" in notice
    assert f"/claim/{second.id[6:]}" not in notice
    data = user.get(f"/claim/{second.id[6:]}.json").json()["data"]
    assert first.id in [each["id"] for each in data["beside"]]
    # what is sent twice is one claim, and nobody's second
    again = user.post(f"{address}/supersede", {**sent, "statement": "Ears only."})
    assert again.header("location").endswith("?done=known")


def _own() -> dict[str, str]:
    return {"code": "joint_tuning", "evidence": "All ways round."}


def test_what_changes_nothing_takes_no_place(user: Asking, claim: Claim) -> None:
    before = user.written()
    sent = {"predicate": "detects", "object": "feature:dog", "keep_evidence": "1"}
    answer = user.post(f"/claim/{claim.id[6:]}/supersede", sent)
    assert "nothing would change" in fault_of(answer)
    assert user.written() == before


def test_a_claim_that_is_not_there_cannot_be_answered(user: Asking) -> None:
    for form in ("dispute", "support", "supersede"):
        assert user.post(f"/claim/{'0' * 64}/{form}", {"why": "x"}).status == 404


def test_each_field_has_a_label_and_each_hint_its_field(user: Asking, claim: Claim) -> None:
    for path in ("/claims/new", f"/claim/{claim.id[6:]}", "/claims", "/review"):
        text = user.get(path).text
        fields = re.findall(r"<(?:input|select|textarea)\b[^>]*>", text)
        shown = [field for field in fields if 'type="hidden"' not in field]
        names = [re.search(r' id="([^"]+)"', field) for field in shown]
        assert all(names)
        ids = [name[1] for name in names if name]
        assert len(ids) == len(set(ids))
        for uid in ids:
            wrapped = re.search(rf'<label class="box"><input id="{uid}"', text)
            assert wrapped or f'<label for="{uid}"' in text, uid
        for hint in re.findall(r'aria-describedby="([^"]+)"', text):
            assert f'id="{hint}"' in text


def test_the_form_of_a_new_claim_offers_what_can_be_said_of_its_subject(user: Asking) -> None:
    data = user.get(f"/claims/new.json?subject={UNIT}").json()["data"]
    assert data["typed"]["subject"] == UNIT
    said = {each["predicate"] for each in data["predicates"]}
    assert {"detects", "member_of", "pure", "polysemantic"} <= said
    assert not {"supports", "disputes", "universal"} & said
    of_family = user.get("/claims/new.json?subject=net/layer1!curves").json()["data"]["predicates"]
    assert "member_of" not in {each["predicate"] for each in of_family}
    # what names nothing is offered everything
    assert len(user.get("/claims/new.json?subject=:::").json()["data"]["predicates"]) == 12


def test_a_short_form_names_a_unit_of_the_only_network(tmp_path: Path) -> None:
    with asking(tmp_path) as user:
        assert claim_at(user, user.post("/claims/new", {**NEW, "subject": "layer2:3"})).subject == "net/layer2:3"
