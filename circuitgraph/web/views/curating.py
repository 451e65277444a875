"""Making claims in the page: forms, and what is done with them. Each becomes a claim in the log; nothing is edited."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from circuitgraph.catalogue.claims import Author, Claim
from circuitgraph.catalogue.curating import (
    Curated,
    add_claim,
    dispute_claim,
    make_claim,
    name_feature,
    supersede_claim,
    support_claim,
)
from circuitgraph.catalogue.features import Feature
from circuitgraph.catalogue.finding import resolve_subject
from circuitgraph.errors import CatalogueError, CircuitGraphError, UnknownFeatureError
from circuitgraph.web.explorer import Explorer
from circuitgraph.web.page import Action, Asked, Page, Route, Ways, address_of, with_query
from circuitgraph.web.versions import versions_of
from circuitgraph.web.views.claim_forms import choices, confidence_of, day_of, evidence_of, new_form, reference_of
from circuitgraph.web.views.claims import claim_page

__all__ = ["ACTIONS", "ROUTES", "act_add", "view_new"]

_FEATURES = ("detects", "responds_to")


def view_new(explorer: Explorer, asked: Asked) -> Page:
    """Return the form of a new claim; what the address says stands in it."""
    return _new_page(explorer, asked)


def _new_page(explorer: Explorer, asked: Asked, *, fault: Mapping[str, str] | None = None) -> Page:
    typed = new_form(asked)
    subject = typed["subject"]
    return Page(
        "claim_new",
        with_query("/claims/new", subject=subject[:1100]),
        "A new claim",
        {**choices(explorer, subject), "typed": typed, "fault": dict(fault) if fault else None},
        ways=Ways(
            "",
            "add_claim(Catalogue.open(FOLDER), make_claim(SUBJECT, PREDICATE, OBJECT, author=AUTHOR, date=TODAY))",
            "circuitgraph catalogue add SUBJECT PREDICATE OBJECT --evidence 'CODE:WHAT WAS SEEN'",
        ),
        versions=versions_of(explorer),
        status=400 if fault else 200,
    )


def act_add(explorer: Explorer, asked: Asked) -> str | Page:
    """Add a claim; return the address of its page, or the form with what is wrong."""
    author = _author(explorer, asked)
    typed = new_form(asked)
    catalogue = explorer.need_catalogue()
    try:
        only = next(iter(explorer.bundles.values())) if len(explorer.bundles) == 1 else None
        subject = resolve_subject(catalogue, typed["subject"], bundle=only)
        day = day_of(asked)
        object_, entry = _object(explorer, typed, author, day)
        claim = make_claim(
            subject,
            typed["predicate"],
            object_,
            negated=typed["negated"],
            statement=typed["statement"].strip(),
            evidence=evidence_of(asked),
            confidence=confidence_of(asked),
            reference=reference_of(asked),
            author=author,
            date=day,
        )
        done = add_claim(catalogue, claim, new_feature=entry, bundle=explorer.bundle_if_any(subject))
    except CircuitGraphError as error:
        return _new_page(explorer, asked, fault=_fault(error))
    return with_query(address_of(done.claim.id), done="added" if done.is_new else "known")


def _answering(form: str) -> Callable[[Explorer, Asked], str | Page]:
    """Return what is done with a form of a claim's page: the claim's page follows, or that of the one in its place."""
    make = {"dispute": _dispute, "support": _support, "supersede": _supersede}[form]

    def act(explorer: Explorer, asked: Asked) -> str | Page:
        author = _author(explorer, asked)
        claim = explorer.need_catalogue().get(f"claim:{asked.parts['hash']}")
        had_been_replaced = bool(explorer.need_catalogue().superseding([claim.id]).get(claim.id))
        try:
            done = make(explorer, claim, asked, author)
        except CircuitGraphError as error:
            return claim_page(explorer, claim, asked, form=form, fault=_fault(error))
        said = {"dispute": "disputed", "support": "supported", "supersede": "superseded"}[form]
        if form == "supersede" and had_been_replaced:
            said = "superseded too"
        follows = done.claim if form == "supersede" else claim
        return with_query(address_of(follows.id), done=said if done.is_new else "known")

    return act


def _dispute(explorer: Explorer, claim: Claim, asked: Asked, author: Author) -> Curated:
    return dispute_claim(explorer.need_catalogue(), claim.id, **_answer(asked), author=author, date=day_of(asked))


def _support(explorer: Explorer, claim: Claim, asked: Asked, author: Author) -> Curated:
    return support_claim(explorer.need_catalogue(), claim.id, **_answer(asked), author=author, date=day_of(asked))


def _answer(asked: Asked) -> dict[str, Any]:
    return {
        "why": asked.query.get("why", "").strip(),
        "evidence": evidence_of(asked),
        "confidence": confidence_of(asked),
        "reference": reference_of(asked),
    }


def _supersede(explorer: Explorer, claim: Claim, asked: Asked, author: Author) -> Curated:
    day = day_of(asked)
    typed = new_form(asked)
    object_, entry = _object(explorer, typed, author, day)
    kept = claim.evidence if "keep_evidence" in asked.query else ()
    return supersede_claim(
        explorer.need_catalogue(),
        claim.id,
        author=author,
        date=day,
        new_feature=entry,
        bundle=explorer.bundle_if_any(claim.subject),
        predicate=typed["predicate"],
        object=object_,
        negated=typed["negated"],
        statement=typed["statement"].strip(),
        confidence=confidence_of(asked),
        reference=reference_of(asked, kept=claim.reference),
        evidence=(*kept, *evidence_of(asked)),
    )


def _object(explorer: Explorer, typed: Mapping[str, Any], author: Author, day: str) -> tuple[str, Feature | None]:
    """Return the object that was typed; a feature by its uid, name or synonym."""
    text = typed["object"].strip()
    if not text or typed["predicate"] not in _FEATURES:
        return text, None
    vocabulary = explorer.need_catalogue().vocabulary()
    return name_feature(vocabulary, text, author=author, date=day, is_welcome=typed["new_feature"])


def _author(explorer: Explorer, asked: Asked) -> Author:
    """Return who makes claims here.

    Raises
    ------
    CatalogueError
        Nobody may, or the one who asks has not shown the token.
    """
    if explorer.author is None or not asked.can_write:
        raise CatalogueError(
            "nothing can be written here.",
            hint="Start the explorer with --author 'YOUR NAME' and without --public, and open the address it prints.",
        )
    return explorer.author


def _fault(error: CircuitGraphError) -> dict[str, str]:
    """Return what is wrong and what to do next in the form; hints of the library say what to type in a shell."""
    hint = error.hint or ""
    if isinstance(error, UnknownFeatureError):
        close = hint.partition("?")[0] + "? " if hint.startswith("Did you mean") else ""
        hint = f"{close}To add a new feature to the vocabulary, tick the box below it."
    return {"message": error.message, "hint": "" if "--" in hint or "`" in hint else hint}


ROUTES = (Route("/claims/new", view_new),)

ACTIONS = (
    Action("/claims/new", act_add),
    *(Action(f"/claim/{{hash}}/{form}", _answering(form)) for form in ("dispute", "support", "supersede")),
)
