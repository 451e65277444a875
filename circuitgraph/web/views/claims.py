"""Pages of claims: the list of all, one with its evidence and who answers it, histories, reviews and releases."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from circuitgraph.catalogue.claims import PREDICATES, Claim, Evidence
from circuitgraph.catalogue.finding import describe_claims, known_networks, resolve_subject
from circuitgraph.catalogue.history import history
from circuitgraph.catalogue.listing import CLAIM_STATES, Listing, list_claims, list_contributions
from circuitgraph.catalogue.releases import list_releases, read_release
from circuitgraph.catalogue.review import review
from circuitgraph.catalogue.views import claim_states, say_status
from circuitgraph.catalogue.wording import CODE_WORDS, Words, say_claim, say_verb, short_id
from circuitgraph.errors import CatalogueError
from circuitgraph.ids import kind_of
from circuitgraph.web.asking import Paging, choice, table_values, whole_number
from circuitgraph.web.citing import cite_thing
from circuitgraph.web.explorer import Explorer
from circuitgraph.web.memory import remembered
from circuitgraph.web.page import Asked, Page, Route, Ways, address_of, with_query
from circuitgraph.web.versions import catalogue_state, versions_of
from circuitgraph.web.views.claim_forms import answer_forms
from circuitgraph.web.writing import cypher_text, python_text, shell_text

__all__ = [
    "ROUTES",
    "claim_page",
    "history_address",
    "view_claim",
    "view_claims",
    "view_history",
    "view_release",
    "view_releases",
    "view_review",
]

_SHOWN = 50
_ANSWERS = 100
_ENTRIES = 100
_CHOICES = 200
_REVIEWED = 50
_PATIENCE_S = 10
_reviewing = threading.Lock()
_DONE = {
    "added": "Your claim is in the catalogue.",
    "known": "The catalogue had this claim already; nothing was added.",
    "disputed": "Your dispute is in the catalogue; the claim is shown as disputed.",
    "supported": "Your support is in the catalogue.",
    "superseded": "Your claim is in the catalogue, in the place of the one before.",
    "superseded too": "Your claim is in the catalogue, but the one before had been replaced already.",
}


def history_address(uid: str) -> str:
    """Return the address of the history of something."""
    return f"/history/{quote(uid, safe='/:@!')}"


def view_claims(explorer: Explorer, asked: Asked) -> Page:
    """Return claims, newest first, those that fit what the address asks for."""
    catalogue = explorer.need_catalogue()
    said = {name: asked.query.get(name, "").strip()[:600] for name in ("author", "network")}
    said["predicate"] = choice(asked, "predicate", PREDICATES, "")
    said["state"] = choice(asked, "state", CLAIM_STATES, "current")

    def page_from(first: int) -> Listing:
        return list_claims(
            catalogue,
            author=said["author"],
            network=said["network"],
            predicate=said["predicate"],
            state=said["state"],
            offset=first,
            limit=_SHOWN,
        )

    first = whole_number(asked, "first", 0, most=10**9)
    found = page_from(first)
    paging = Paging(first, found.total, _SHOWN)
    if paging.first != first:
        found = page_from(paging.first)
    table = describe_claims(catalogue, found.heads, limit=_SHOWN)
    words = Words(catalogue.vocabulary())
    rows = [{**row, "named": words.name(row["object"]) if row["object"] else ""} for row in table.rows]
    state = catalogue_state(explorer)
    authors, networks = remembered(
        explorer,
        ("claims by author and network", state),
        lambda: [list_contributions(catalogue, of, limit=_CHOICES) for of in ("author", "network")],
    )
    notes = []
    if len(rows) < found.total:
        notes.append(f"showing {paging.first + 1:,} to {paging.first + len(rows):,} of {found.total:,} claims.")
    given = {name: value for name, value in said.items() if value and (name, value) != ("state", "current")}
    options = "".join(f" --{name} {shell_text(value)}" for name, value in given.items() if name != "state")
    return Page(
        "claims",
        with_query("/claims", **given, first=paging.first or None),
        "Claims",
        {
            "filters": said,
            "count": found.total,
            "paging": paging.as_dict(with_query("/claims", **given), "first"),
            "rows": rows,
            "authors": [{"key": each.key, "name": each.name, "claims": each.claims} for each in authors],
            "networks": [{"network": each.key, "claims": each.claims} for each in networks],
            "predicates": list(PREDICATES),
            "states": list(CLAIM_STATES),
        },
        ways=Ways(
            "MATCH (c:Claim)-[:BY]->(a:Contributor) RETURN c.uid, c.predicate, c.date, a.name "
            "ORDER BY c.date DESC LIMIT 50",
            f"list_claims(Catalogue.open(FOLDER), {', '.join(f'{k}={python_text(v)}' for k, v in said.items() if v)})",
            f"circuitgraph catalogue find{options}",
        ),
        versions=versions_of(explorer),
        notes=tuple(notes),
    )


def view_claim(explorer: Explorer, asked: Asked) -> Page:
    """Return one claim: all its fields, its evidence, how it stands, who answers it, and what came before and after."""
    catalogue = explorer.need_catalogue()
    claim = catalogue.get(f"claim:{asked.parts['hash']}")
    return claim_page(explorer, claim, asked, done=_DONE.get(asked.query.get("done", ""), ""))


def claim_page(
    explorer: Explorer,
    claim: Claim,
    asked: Asked,
    *,
    done: str = "",
    form: str = "",
    fault: Mapping[str, str] | None = None,
) -> Page:
    """Return the page of a claim.

    Parameters
    ----------
    done
        What has just been done, in words.
    form
        The form that is open: "dispute", "support" or "supersede".
    fault
        What is wrong with it, "message" and "hint"; what was typed is in `asked`.
    """
    catalogue = explorer.need_catalogue()
    words = Words(catalogue.vocabulary())
    state = claim_states(catalogue, [claim.id], vocabulary=words.vocabulary)[claim.id]
    answers = catalogue.get_many(catalogue.responses(claim.id)[:_ANSWERS])
    chain = history(catalogue, claim.id)
    before = claim_states(catalogue, claim.supersedes, vocabulary=words.vocabulary)
    beside = [uid for each in before.values() for uid in each.superseded_by if uid != claim.id]
    others = [*state.rivals, *state.superseded_by, *claim.supersedes, *beside][:_ANSWERS]
    said = {each.id: _short(each, words) for each in catalogue.get_many(others)}
    notes = []
    if len(chain.entries) > _ENTRIES:
        notes.append(f"the last {_ENTRIES} of {len(chain.entries):,} entries of its history are shown.")
    data: dict[str, Any] = {
        "uid": claim.id,
        "says": say_claim(claim, words),
        "subject": claim.subject,
        "verb": say_verb(claim.predicate, is_negated=claim.negated),
        "object": claim.object,
        "object_name": words.name(claim.object) if claim.object else "",
        "status": say_status(state),
        "is_current": state.is_current,
        "is_disputed": state.is_disputed,
        "claim": claim.content(),
        "whole": claim.model_dump(mode="json"),
        "evidence": [_evidence(each) for each in claim.evidence],
        "answers": [_answer(each) for each in answers],
        "rivals": [said[uid] for uid in state.rivals if uid in said],
        "superseded_by": [said[uid] for uid in state.superseded_by if uid in said],
        "beside": [said[uid] for uid in dict.fromkeys(beside) if uid in said],
        "supersedes": [said[uid] for uid in claim.supersedes if uid in said],
        "history": chain.as_dict()["entries"][-_ENTRIES:],
        "history_address": history_address(claim.subject),
    }
    if asked.can_write:
        data["forms"] = answer_forms(explorer, claim, asked if fault else None, form=form)
        data["fault"] = dict(fault) if fault else None
    data["done"] = done
    uid = claim.id
    return Page(
        "claim",
        address_of(uid),
        say_claim(claim, words),
        data,
        ways=Ways(
            f"MATCH (c:Claim {{uid: {cypher_text(uid)}}})-[r]-(other) RETURN c, type(r), other LIMIT 100",
            f"Catalogue.open(FOLDER).get({python_text(uid)})",
            f"circuitgraph catalogue show {short_id(uid)}",
        ),
        citation=cite_thing(explorer, uid),
        versions=versions_of(explorer),
        notes=tuple(notes),
        status=400 if fault else 200,
    )


def _evidence(item: Evidence) -> dict[str, Any]:
    return {
        "code": item.code,
        "name": CODE_WORDS[item.code],
        "is_against": item.is_against,
        "statement": item.statement,
        "figures": [{"name": name, "value": value} for name, value in item.figures.items()],
        "files": [{"name": file.name, "sha256": file.sha256, "media_type": file.media_type} for file in item.files],
        "reference": item.reference,
    }


def _answer(claim: Claim) -> dict[str, Any]:
    return {
        "id": claim.id,
        "says": say_verb(claim.predicate, is_negated=claim.negated),
        "author": claim.author.name,
        "date": claim.date,
        "statement": claim.statement,
        "evidence": [CODE_WORDS[item.code] for item in claim.evidence],
        "reference": claim.reference,
    }


def _short(claim: Claim, words: Words) -> dict[str, str]:
    return {"id": claim.id, "says": say_claim(claim, words), "author": claim.author.name, "date": claim.date}


def view_history(explorer: Explorer, asked: Asked) -> Page:
    """Return everything that was ever said about something, the oldest first."""
    catalogue = explorer.need_catalogue()
    uid = resolve_subject(catalogue, asked.parts["uid"])
    found = history(catalogue, uid)
    entries = found.as_dict()["entries"]
    if not entries:
        _check_is_there(explorer, uid)
    # the last are what a reader wants first
    last = max(0, (len(entries) - 1) // _ENTRIES * _ENTRIES)
    paging = Paging(whole_number(asked, "first", last, most=10**9), len(entries), _ENTRIES)
    notes = []
    if len(entries) > _ENTRIES:
        notes.append(f"showing {paging.first + 1:,} to {paging.stop:,} of {len(entries):,} entries.")
    address = history_address(uid)
    return Page(
        "history",
        with_query(address, first=paging.first if paging.first != last else None),
        f"History of {uid}",
        {
            "uid": uid,
            "kind": kind_of(uid),
            "count": len(entries),
            "paging": paging.as_dict(address, "first"),
            "entries": entries[paging.first : paging.stop],
        },
        ways=Ways(
            f"MATCH (c:Claim)-[:ABOUT]->(x {{uid: {cypher_text(uid)}}}) RETURN c ORDER BY c.date LIMIT {_ENTRIES}",
            f"history(Catalogue.open(FOLDER), {python_text(uid)})",
            f"circuitgraph catalogue history {shell_text(uid)}",
        ),
        citation=cite_thing(explorer, uid),
        versions=versions_of(explorer, uid),
        notes=tuple(notes),
    )


def _check_is_there(explorer: Explorer, uid: str) -> None:
    """Refuse what is in no open bundle and of which nothing was ever said.

    Raises
    ------
    UnknownNetworkError, UnknownLayerError, UnknownUnitError, UnknownFeatureError
        It is not there.
    """
    kind = kind_of(uid)
    if kind == "feature":
        explorer.need_catalogue().vocabulary().get(uid)
    elif kind in ("network", "layer", "unit", "family", "edge") and uid not in known_networks(
        explorer.need_catalogue()
    ):
        bundle = explorer.bundle(uid)
        if kind == "layer":
            bundle.layer(uid)
        elif kind in ("unit", "edge"):
            for each in uid.split(" -> "):
                bundle.unit(each)


def view_review(explorer: Explorer, asked: Asked) -> Page:
    """Return what a curator should look at: what is new, disputed, hardly founded, or contradicts itself."""
    catalogue = explorer.need_catalogue()
    since = asked.query.get("since", "").strip()[:40] or None
    bundles = list(explorer.bundles.values())

    def make() -> Sequence[Mapping[str, Any]]:
        # every day since which one may ask is a look at all claims
        if not _reviewing.acquire(timeout=_PATIENCE_S):
            raise CatalogueError("others are waiting for their reviews.", hint="Ask again in a moment.")
        try:
            found = review(catalogue, since=since, bundles=bundles, limit=_REVIEWED)
        finally:
            _reviewing.release()
        return [table_values(table) for table in found.tables()]

    tables = remembered(explorer, ("review", since, catalogue_state(explorer)), make)
    return Page(
        "review",
        with_query("/review", since=since),
        "Review",
        {"since": since or "", "tables": [table for table in tables if table["rows"]]},
        ways=Ways(
            "",
            f"review(Catalogue.open(FOLDER){f', since={since!r}' if since else ''})",
            f"circuitgraph catalogue review{f' --since {shell_text(since)}' if since else ''}",
        ),
        versions=versions_of(explorer),
        notes=(f"at most {_REVIEWED} of each are shown; the counts are of all.",),
    )


def view_releases(explorer: Explorer, asked: Asked) -> Page:  # noqa: ARG001
    """Return the releases of the catalogue, the newest first."""
    catalogue = explorer.need_catalogue()
    rows = [
        {
            "release": f"release:{release.name}",
            "title": release.title,
            "date": release.date,
            "by": release.author.name,
            "claims": release.lists["claims"].count,
            "features": release.lists["features"].count,
            "documents": release.lists["documents"].count,
            "doi": release.doi,
            "sha256": release.sha256,
        }
        for release in reversed(list_releases(catalogue))
    ]
    return Page(
        "releases",
        "/releases",
        "Releases",
        {"rows": rows},
        ways=Ways(
            "MATCH (r:Release) RETURN r.uid, r.date, r.title ORDER BY r.date DESC",
            "list_releases(Catalogue.open(FOLDER))",
            "circuitgraph catalogue releases",
        ),
        versions=versions_of(explorer),
    )


def view_release(explorer: Explorer, asked: Asked) -> Page:
    """Return what a release holds and how to cite it."""
    catalogue = explorer.need_catalogue()
    release = read_release(catalogue, asked.parts["name"])
    uid = f"release:{release.name}"
    return Page(
        "release",
        address_of(uid),
        release.title or release.name,
        {"uid": uid, "sha256": release.sha256, "release": release.model_dump(mode="json")},
        ways=Ways(
            f"MATCH (r:Release {{uid: {cypher_text(uid)}}}) RETURN r",
            f"read_release(Catalogue.open(FOLDER), {python_text(release.name)})",
            f"circuitgraph catalogue cite {shell_text(uid)}",
        ),
        citation=f"{release.citation().text().strip()}\n\n{release.citation().bibtex().strip()}",
        versions=versions_of(explorer),
    )


ROUTES = (
    Route("/claims", view_claims),
    Route("/claim/{hash}", view_claim),
    Route("/history/{uid:path}", view_history),
    Route("/review", view_review),
    Route("/releases", view_releases),
    Route("/release/{name}", view_release),
)
