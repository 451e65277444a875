"""Pages of circuits that are records: the list, and one with its picture, its units and edges, and its check."""

from __future__ import annotations

from typing import Any

from circuitgraph.bundle import Bundle
from circuitgraph.bundle.approximations import notes_between
from circuitgraph.catalogue.circuit_check import CircuitCheck, check_circuit
from circuitgraph.catalogue.circuit_page import describe_checks, describe_circuit, describe_circuits
from circuitgraph.catalogue.circuits import CircuitRecord, get_circuit, list_circuits
from circuitgraph.catalogue.drafting import circuit_of_record
from circuitgraph.catalogue.page import show_subject
from circuitgraph.draw import Picture
from circuitgraph.figures import circuit_figure
from circuitgraph.ids import kind_of
from circuitgraph.web.asking import Paging, table_values, whole_number
from circuitgraph.web.citing import cite_thing
from circuitgraph.web.draft_state import draft_address
from circuitgraph.web.explorer import Explorer
from circuitgraph.web.memory import remembered
from circuitgraph.web.page import Asked, Download, Page, Route, Ways, address_of, with_query
from circuitgraph.web.versions import catalogue_state, versions_of
from circuitgraph.web.writing import OPEN_CATALOGUE, bundle_name, cypher_text, python_text, shell_text

__all__ = ["ROUTES", "view_circuit", "view_circuits"]

_SHOWN = 100
_ROWS_SHOWN = 200
_MOST_CHECKED = 300
_CLAIMS_SHOWN = 20


def view_circuits(explorer: Explorer, asked: Asked) -> Page:
    """Return the circuits of the catalogue, and where a new one can begin."""
    catalogue = explorer.need_catalogue()
    is_whole = asked.query.get("all", "") == "1"
    every = list_circuits(catalogue, with_superseded=True)
    wanted = every if is_whole else list_circuits(catalogue)
    paging = Paging(whole_number(asked, "first", 0, most=10**6), len(wanted), _SHOWN)
    table = describe_circuits(wanted[paging.first : paging.stop], every=every)
    data = {
        "rows": list(table.rows),
        "columns": list(table.columns),
        "count": len(wanted),
        "superseded": len(every) - len(list_circuits(catalogue)),
        "all": is_whole,
        "paging": paging.as_dict(with_query("/circuits", all="1" if is_whole else None), "first"),
        "networks": sorted(explorer.bundles),
    }
    notes = []
    if len(table.rows) < len(wanted):
        notes.append(f"Showing {paging.first + 1:,} to {paging.stop:,} of {len(wanted):,} circuits.")
    return Page(
        "circuits",
        with_query("/circuits", all="1" if is_whole else None, first=paging.first or None),
        "Circuits",
        data,
        ways=Ways(
            "MATCH (c:Circuit) RETURN c.uid, c.name, size(c.units) AS units, c.author, c.date ORDER BY c.uid",
            f"from circuitgraph.catalogue.circuits import list_circuits\n{OPEN_CATALOGUE}list_circuits(catalogue)",
            "circuitgraph circuit list",
        ),
        versions=versions_of(explorer),
        notes=tuple(notes),
    )


def view_circuit(explorer: Explorer, asked: Asked) -> Page:
    """Return one circuit: ``/circuit/SLUG@HASH8``."""
    catalogue = explorer.need_catalogue()
    uid = f"circuit:{asked.parts['name']}"
    # a record only by its own name: never by the path of a file
    kind_of(uid)
    record = get_circuit(catalogue, uid)
    bundles = [explorer.bundles[name] for name in record.networks if name in explorer.bundles]
    absent = [name for name in record.networks if name not in explorer.bundles]
    newer = [each.uid for each in list_circuits(catalogue, with_superseded=True) if record.sha256 in each.supersedes]
    about, units, edges = describe_circuit(catalogue, record)
    notes = [f"Superseded by {', '.join(newer)}."] if newer else []
    notes += [f"No bundle of {name} is open here: its kernels cannot be shown or checked." for name in absent]
    for name, table in (("units", units), ("edges", edges)):
        if len(table.rows) > _ROWS_SHOWN:
            notes.append(f"Showing {_ROWS_SHOWN:,} of {len(table.rows):,} {name}.")
    seen = (record.sha256, *(bundle.sha256 for bundle in bundles))
    found: CircuitCheck | None = None
    if len(record.edges) <= _MOST_CHECKED:
        found = remembered(explorer, ("circuit check", *seen), lambda: check_circuit(record, bundles))
    pictures: dict[str, Picture] = {}
    if not absent:
        pictures["circuit"] = remembered(
            explorer,
            ("circuit picture", *seen, catalogue_state(explorer)),
            lambda: _figure(explorer, record, bundles, found),
        )
    claims = show_subject(catalogue, uid, limit=_CLAIMS_SHOWN)
    rests_on = [] if absent else _approximations(record, bundles)
    data: dict[str, Any] = {
        "uid": record.uid,
        "title": record.title,
        "slug": record.slug,
        "description": record.description,
        "reference": record.reference,
        "author": record.author.name,
        "date": record.date,
        "networks": dict(record.networks),
        "thresholds": dict(record.thresholds),
        "superseded_by": newer,
        "fields": table_values(about),
        "unit_count": len(record.units),
        "edge_count": len(record.edges),
        "units": {**table_values(units), "rows": list(units.rows[:_ROWS_SHOWN])},
        "edges": {**table_values(edges), "rows": list(edges.rows[:_ROWS_SHOWN])},
        "left_out": notes,
        "rests_on": rests_on,
        "check": _check(found),
        "draft": None if absent else draft_address(circuit=record.uid),
        "claims": {
            "arguments_made": list(claims.matrix.made),
            "tables": [table_values(table) for table in claims.tables() if table.name not in ("units", "edges")],
        },
    }
    return Page(
        "circuit",
        address_of(record.uid),
        record.title,
        data,
        ways=_ways(record, bundles if not absent else []),
        citation=cite_thing(explorer, record.uid),
        versions={**versions_of(explorer, *record.networks), "record": record.sha256},
        pictures=pictures,
        notes=(*notes, *rests_on),
        files={"record": Download(f"{record.slug}@{record.sha256[:8]}.json", "application/json", record.text)},
    )


def _figure(explorer: Explorer, record: CircuitRecord, bundles: list[Bundle], found: CircuitCheck | None) -> Picture:
    if found is not None:
        return circuit_figure(record, *bundles, catalogue=explorer.catalogue, anyway=True, found=found)
    graph = circuit_of_record(record, *bundles, most_edges=_MOST_CHECKED)
    title = f"{record.title} (the {_MOST_CHECKED} strongest of {len(record.edges):,} edges)"
    return circuit_figure(graph, *bundles, catalogue=explorer.catalogue, title=title)


def _approximations(record: CircuitRecord, bundles: list[Bundle]) -> list[str]:
    pairs = [(edge.up, edge.down) for edge in record.edges]
    return [note for bundle in bundles for note in notes_between(bundle, pairs)]


def _check(found: CircuitCheck | None) -> dict[str, Any] | None:
    """Say how the record compares with the open bundles, kernel by kernel; not where there are very many."""
    if found is None:
        return None
    checks, differences = describe_checks([found])
    return {
        "is_unchanged": found.is_unchanged,
        "statement": found.statement,
        "differences": found.differences[:_ROWS_SHOWN],
        "counts": dict(checks.rows[0]),
        "edges": table_values(differences) if differences.rows else None,
    }


def _ways(record: CircuitRecord, bundles: list[Bundle]) -> Ways:
    cypher = (
        f"MATCH (:Circuit {{uid: {cypher_text(record.uid)}}})-[i:INCLUDES]->(u:Unit) "
        "RETURN u.uid, i.role, i.order ORDER BY u.uid"
    )
    found = f"get_circuit(catalogue, {python_text(record.uid)})"
    begin = f"from circuitgraph.catalogue.circuits import get_circuit\n{OPEN_CATALOGUE}"
    if not bundles:
        return Ways(cypher, begin + found, f"circuitgraph circuit show {shell_text(record.uid)}")
    names = [bundle_name(bundle) for bundle in bundles]
    opened = ", ".join(f"Bundle.open({python_text(name)})" for name in names)
    words = ["circuitgraph", "draw", "circuit", record.uid]
    for name in names:
        words += ["--bundle", name]
    command = " ".join(map(shell_text, [*words, "-o", f"{record.slug}.svg"]))
    begin = f"from circuitgraph import Bundle\nfrom circuitgraph.figures import circuit_figure\n{begin}"
    return Ways(cypher, f"{begin}circuit_figure({found}, {opened}, catalogue=catalogue)", command)


ROUTES = (
    Route("/circuits", view_circuits),
    Route("/circuit/{name}", view_circuit),
)
