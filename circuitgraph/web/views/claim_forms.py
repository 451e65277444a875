"""What stands in the forms in which claims are made, and what was typed into one."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from itertools import islice
from typing import Any

from circuitgraph.catalogue.claims import EVIDENCE_CODES, PREDICATES, Claim, Evidence, kinds_taken
from circuitgraph.catalogue.curating import make_evidence
from circuitgraph.catalogue.wording import CODE_WORDS, say_verb
from circuitgraph.errors import CircuitGraphError, ClaimError
from circuitgraph.ids import kind_of
from circuitgraph.web.explorer import Explorer
from circuitgraph.web.links import web_link
from circuitgraph.web.page import Asked

__all__ = ["FORMS", "answer_forms", "choices", "confidence_of", "day_of", "evidence_of", "new_form", "reference_of"]

FORMS = ("dispute", "support", "supersede")
"""The forms of a claim's page."""

_SUGGESTED = 500
_EVIDENCE = ("code", "evidence", "evidence_reference")
_ANSWER = ("why", *_EVIDENCE, "confidence", "reference")
_CLAIM = ("subject", "predicate", "object", "statement", *_EVIDENCE, "confidence", "reference")


def choices(explorer: Explorer, subject: str = "") -> dict[str, Any]:
    """Return what fields can be filled with: predicates that can be said of `subject`, codes, features, the day."""
    vocabulary = explorer.need_catalogue().vocabulary()
    try:
        kind = kind_of(subject) if subject else None
    except CircuitGraphError:
        kind = None
    known = [each for each in PREDICATES if kind is None or kind in kinds_taken(each)[0]]
    return {
        "predicates": [
            {
                "predicate": each,
                "says": say_verb(each, is_negated=False),
                "takes": " or ".join(sorted(kinds_taken(each)[1])),
            }
            for each in known or PREDICATES
        ],
        "codes": [{"code": code, "name": CODE_WORDS[code]} for code in EVIDENCE_CODES],
        "features": [{"uid": feature.uid, "name": feature.name} for feature in islice(vocabulary, _SUGGESTED)],
        "features_count": len(vocabulary),
        "today": date.today().isoformat(),
    }


def new_form(asked: Asked) -> dict[str, Any]:
    """Return what stands in the form of a new claim: what the address or the form that was sent says."""
    typed: dict[str, Any] = {name: asked.query.get(name, "") for name in _CLAIM}
    return typed | {name: name in asked.query for name in ("negated", "new_feature")}


def answer_forms(explorer: Explorer, claim: Claim, asked: Asked | None, *, form: str) -> dict[str, Any]:
    """Return what stands in the forms of a claim's page; `asked` is what was typed into `form`."""
    query: Mapping[str, str] = asked.query if asked is not None else {}
    answers = {
        name: {field: query.get(field, "") if name == form else "" for field in _ANSWER}
        for name in ("dispute", "support")
    }
    said: dict[str, Any] = {
        "predicate": claim.predicate,
        "object": claim.object,
        "statement": claim.statement,
        "confidence": "" if claim.confidence is None else f"{claim.confidence:g}",
        "reference": claim.reference,
        "negated": claim.negated,
        "keep_evidence": True,
        "new_feature": False,
        **dict.fromkeys(_EVIDENCE, ""),
    }
    if form == "supersede" and asked is not None:
        boxes = ("negated", "keep_evidence", "new_feature")
        said = {name: name in query if name in boxes else query.get(name, "") for name in said}
    return {**choices(explorer, claim.subject), **answers, "supersede": said, "open": form}


def day_of(asked: Asked) -> str:
    """Return the day of a claim: that on which its form was made, so that one sent twice over midnight is one claim.

    A form that is older than a day is of today.
    """
    today = date.today()
    given = asked.query.get("date", "")
    days = {today.isoformat(), (today - timedelta(days=1)).isoformat()}
    return given if given in days else today.isoformat()


def confidence_of(asked: Asked) -> float | None:
    """Return the confidence that was typed; None where none was.

    Raises
    ------
    ClaimError
        It is no number from 0 to 1.
    """
    given = asked.query.get("confidence", "").strip()
    if not given:
        return None
    try:
        value = float(given)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise ClaimError(f"confidence {given[:40]!r} is no number from 0 to 1.", hint="Write 0.8, or leave it empty.")
    return value


def reference_of(asked: Asked, name: str = "reference", *, kept: str = "") -> str:
    """Return the reference that was typed, if any; `kept` is one that stood there before, and may stay.

    Raises
    ------
    ClaimError
        It is neither a DOI nor an address on the web.
    """
    given = asked.query.get(name, "").strip()
    if given and given != kept and not web_link(given):
        raise ClaimError(
            f"reference {given[:80]!r} is neither a DOI nor an address.",
            hint="Write 10.23915/distill.00024.001 or https://distill.pub/2020/circuits, or leave it empty.",
        )
    return given


def evidence_of(asked: Asked) -> tuple[Evidence, ...]:
    """Return the evidence that was typed, if any.

    Raises
    ------
    ClaimError
        It is not said of which kind it is, or it does not hold what it should, as a DOI or an address.
    """
    code, statement = (asked.query.get(name, "").strip() for name in _EVIDENCE[:2])
    reference = reference_of(asked, _EVIDENCE[2])
    if code:
        return (make_evidence(code, statement=statement, reference=reference),)
    if statement or reference:
        raise ClaimError("evidence is given, and not which kind it is of.", hint="Choose a kind of evidence.")
    return ()
