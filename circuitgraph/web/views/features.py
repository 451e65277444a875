"""Pages of features: the vocabulary as a tree, and one feature with what detects it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from circuitgraph.catalogue.listing import FeatureUse, count_uses
from circuitgraph.catalogue.page import show_subject
from circuitgraph.errors import UnknownFeatureError
from circuitgraph.web.asking import Paging, table_values, whole_number
from circuitgraph.web.citing import cite_thing
from circuitgraph.web.explorer import Explorer
from circuitgraph.web.memory import remembered
from circuitgraph.web.page import Asked, Page, Route, Ways, address_of, with_query
from circuitgraph.web.versions import catalogue_state, versions_of
from circuitgraph.web.writing import cypher_text, python_text, shell_text

__all__ = ["ROUTES", "view_feature", "view_features"]

_SHOWN = 100
_ROWS = 50
_DEEPEST = 8
_NONE = FeatureUse()


def view_features(explorer: Explorer, asked: Asked) -> Page:
    """Return the vocabulary, narrower features below broader ones, with how often each is found."""
    catalogue = explorer.need_catalogue()
    vocabulary = catalogue.vocabulary()
    tree = list(vocabulary.tree())
    paging = Paging(whole_number(asked, "first", 0, most=10**9), len(tree), _SHOWN)
    uses = remembered(explorer, ("uses of features", catalogue_state(explorer)), lambda: count_uses(catalogue))
    rows = []
    for depth, feature in tree[paging.first : paging.stop]:
        use = uses.get(feature.uid, _NONE)
        rows.append(
            {
                "uid": feature.uid,
                "name": feature.name,
                "depth": min(depth, _DEEPEST),
                "definition": feature.definition,
                "synonyms": list(feature.synonyms),
                "units": use.units,
                "networks": use.networks,
                "claims": use.claims,
            }
        )
    notes = []
    if len(rows) < len(tree):
        notes.append(f"showing {paging.first + 1:,} to {paging.stop:,} of {len(tree):,} features.")
    notes += [
        f"{' -> '.join(circle)} stand in a circle: "
        f"circuitgraph catalogue feature-add {circle[0][8:]} --change --replaces ''"
        for circle in vocabulary.circles[:_ROWS]
    ]
    return Page(
        "features",
        with_query("/features", first=paging.first or None),
        "Features",
        {
            "count": len(tree),
            "paging": paging.as_dict("/features", "first"),
            "rows": rows,
        },
        ways=Ways(
            "MATCH (f:Feature) OPTIONAL MATCH (f)-[:BROADER]->(b:Feature) RETURN f.uid, f.name, collect(b.uid) "
            "ORDER BY f.uid LIMIT 100",
            "[(depth, feature.uid) for depth, feature in Catalogue.open(FOLDER).vocabulary().tree()]",
            "circuitgraph catalogue features",
        ),
        versions=versions_of(explorer),
        notes=tuple(notes),
    )


def view_feature(explorer: Explorer, asked: Asked) -> Page:
    """Return one feature: where it is found, what detects it, what is broader and narrower, and who says so."""
    explorer.need_catalogue()
    uid = f"feature:{asked.parts['slug']}"
    limit = whole_number(asked, "limit", _ROWS, least=1, most=500)
    # all that thousands of units are said to detect takes half a second to put together
    return remembered(
        explorer, ("feature", uid, limit, catalogue_state(explorer)), lambda: _feature_page(explorer, uid, limit)
    )


def _feature_page(explorer: Explorer, uid: str, limit: int) -> Page:
    catalogue = explorer.need_catalogue()
    # asked of the vocabulary first, which says what is close
    entry = catalogue.vocabulary().find(uid)
    try:
        shown = show_subject(catalogue, uid, limit=limit)
    except UnknownFeatureError as error:
        raise UnknownFeatureError(error.message, hint="All features: /features, or search for one.") from error
    uses = remembered(explorer, ("uses of features", catalogue_state(explorer)), lambda: count_uses(catalogue))
    use = uses.get(shown.uid, _NONE)
    now = shown.uid
    about = None
    if entry is not None:
        about = {
            "name": entry.name,
            "definition": entry.definition,
            "synonyms": list(entry.synonyms),
            "broader": [{"uid": each, "name": shown.words.name(each)} for each in entry.broader],
            "replaces": list(entry.replaces),
            "author": entry.author.name,
            "date": entry.date,
            "reference": entry.reference,
        }
    # the arguments come first, as on every page of a thing
    tables = [
        table_values(replace(table, title=table.title.replace(now, "it"), notes=_unsaid(table.notes, shown.notes)))
        for table in shown.tables()
    ]
    said = [f"{entry.name}: {entry.definition}"] if entry is not None else []
    return Page(
        "feature",
        with_query(address_of(now), limit=limit if limit != _ROWS else None),
        shown.words.name(now),
        {
            "uid": now,
            "asked_for": uid,
            "entry": about,
            "use": {"claims": use.claims, "units": use.units, "networks": use.networks},
            "arguments_made": list(shown.matrix.made),
            "tables": tables,
        },
        ways=Ways(
            "MATCH (c:Claim)-[:ABOUT]->(u:Unit), (c)-[:ASSERTS]->(f:Feature {uid: "
            f"{cypher_text(now)}}}) RETURN u.uid, c.predicate, c.date ORDER BY u.uid LIMIT {limit}",
            f"show_subject(Catalogue.open(FOLDER), {python_text(now)})",
            f"circuitgraph catalogue show {shell_text(now)}",
        ),
        citation=cite_thing(explorer, now),
        versions=versions_of(explorer),
        notes=_unsaid(shown.notes, said),
    )


def _unsaid(notes: Sequence[str], said: Sequence[str]) -> tuple[str, ...]:
    """Return the notes that do not stand elsewhere on the page."""
    return tuple(note for note in notes if note not in said)


ROUTES = (Route("/features", view_features), Route("/feature/{slug}", view_feature))
