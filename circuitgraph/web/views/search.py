"""The page of a search: what a text names, and in which names and statements its words stand."""

from __future__ import annotations

from circuitgraph.web.asking import Paging, whole_number
from circuitgraph.web.explorer import Explorer
from circuitgraph.web.page import Asked, Page, Route, Ways, address_of, with_query
from circuitgraph.web.search import search
from circuitgraph.web.versions import versions_of
from circuitgraph.web.writing import bundle_name, cypher_text, python_text, shell_text

__all__ = ["ROUTES", "view_search"]

_SHOWN = 20
_MOST = 100


def view_search(explorer: Explorer, asked: Asked) -> Page:
    """Return what is found for ``q``; ``limit`` and ``first`` choose some of it."""
    limit = whole_number(asked, "limit", _SHOWN, least=1, most=_MOST)
    first = whole_number(asked, "first", 0, most=10**6)
    found = search(explorer, asked.query.get("q", ""), limit=limit, offset=first)
    if not found.hits and first:
        first = 0
        found = search(explorer, found.text, limit=limit)
    address = with_query("/search", q=found.text, limit="" if limit == _SHOWN else str(limit), first=str(first or ""))
    rows = [{**row, "address": address_of(row["uid"])} for row in found.rows]
    paging = Paging(first, found.count, limit).as_dict(address, "first")
    notes = []
    if found.beyond:
        notes.append(f"{found.beyond:,} more names hold these words and are not listed; write more of the name")
    return Page(
        "search",
        address,
        f"Search: {found.text}" if found.text else "Search",
        # the last pages may be shorter: what was found by its id is not counted twice
        {"q": found.text, "rows": rows, **paging, "shown": len(rows)},
        ways=_ways(explorer, found.text) if found.text else Ways(),
        versions=versions_of(explorer, *explorer.bundles),
        notes=tuple(notes),
    )


def _ways(explorer: Explorer, text: str) -> Ways:
    words = " ".join(f'"{word}"' for word in text.replace('"', " ").replace("\\", " ").split())
    paths = ", ".join(python_text(bundle_name(bundle)) for bundle in explorer.bundles.values())
    return Ways(
        f"CALL db.index.fulltext.queryNodes('names', {cypher_text(words)}) YIELD node, score\n"
        "RETURN node.uid AS uid, node.name AS name, score ORDER BY score DESC LIMIT 20"
        if words
        else "",
        "from circuitgraph.settings import read_settings\nfrom circuitgraph.web import Explorer\n"
        "from circuitgraph.web.search import search\n"
        f"explorer = Explorer.open([{paths}], catalogue=read_settings().settings.catalogue_folder)\n"
        f"search(explorer, {python_text(text)}).rows",
        f"circuitgraph catalogue find --feature {shell_text(text)}",
    )


ROUTES = (Route("/search", view_search),)
