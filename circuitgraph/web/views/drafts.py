"""The workbench: a circuit that is being made, whose whole state is in its address.

It begins around a unit (``/around/NET/LAYER:CH?hops=2&top=4``), with chosen units (``/draft?units=``), or with a
record (``/draft?circuit=``). Adding the neighbours of a unit, removing one and setting a threshold lead to another
address. Saving makes a record of what is shown.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from circuitgraph.bundle import Bundle
from circuitgraph.bundle.approximations import notes_between
from circuitgraph.catalogue.circuit_making import circuit_from_graph
from circuitgraph.catalogue.circuits import CircuitRecord, get_circuit
from circuitgraph.catalogue.drafting import Drafted, circuit_between, circuit_of_record, refine_circuit
from circuitgraph.catalogue.subgraph import BundleSource, circuit_around
from circuitgraph.errors import CatalogueError, CircuitGraphError
from circuitgraph.export import dump_circuit
from circuitgraph.export.circuits import FORMATS, CircuitFormat
from circuitgraph.figures import circuit_figure
from circuitgraph.figures.labels import names_of, short_name
from circuitgraph.graph import CircuitGraph
from circuitgraph.web.citing import cite_weights
from circuitgraph.web.draft_state import MOST_HOPS, MOST_TOP, DraftState, draft_address, read_state
from circuitgraph.web.explorer import Explorer
from circuitgraph.web.memory import remembered
from circuitgraph.web.page import Action, Asked, Download, Page, Route, Ways, address_of
from circuitgraph.web.versions import versions_of
from circuitgraph.web.writing import OPEN_CATALOGUE, bundle_name, cypher_text, python_text, shell_text

__all__ = ["ACTIONS", "ROUTES", "act_save", "view_around", "view_draft"]

_MEDIA: Mapping[CircuitFormat, str] = {
    "json": "application/json",
    "graphml": "application/xml",
    "gexf": "application/xml",
}


def view_around(explorer: Explorer, asked: Asked) -> Page:
    """Return the circuit around a unit, to be changed."""
    given = asked.parts.get("uid") or asked.query.get("unit", "")
    return _page(explorer, read_state(explorer, {**asked.query, "around": given}), can_write=asked.can_write)


def view_draft(explorer: Explorer, asked: Asked) -> Page:
    """Return a circuit of chosen units, or of a record, to be changed."""
    query = {name: value for name, value in asked.query.items() if name != "around"}
    return _page(explorer, read_state(explorer, query), can_write=asked.can_write)


def act_save(explorer: Explorer, asked: Asked) -> str | Page:
    """Save the circuit that was shown as a record of the catalogue, and go to its page."""
    fields = asked.query
    state = read_state(explorer, fields)
    drafted = _drafted(explorer, state)
    catalogue = explorer.need_catalogue()
    if explorer.author is None:
        raise CatalogueError("saving a circuit: the settings name no author.", hint="circuitgraph config set author")
    if fields.get("shown", "") != _fingerprint(drafted.graph):
        raise CatalogueError(
            "saving a circuit: it is not the one that was shown.", hint=f"Look at it again: {state.address}"
        )
    try:
        record = circuit_from_graph(
            drafted.graph,
            _bundles_of(explorer, drafted.graph),
            title=fields.get("title", "").strip(),
            author=explorer.author,
            date=datetime.now(UTC).date().isoformat(),
            roles=_roles(drafted.graph),
            thresholds=_thresholds(state, drafted),
            description=fields.get("description", "").strip(),
            reference=fields.get("reference", "").strip(),
        )
        catalogue.add_documents([record])
    except CircuitGraphError as error:
        typed = {name: fields.get(name, "") for name in ("title", "description", "reference")}
        page = _page(explorer, state, can_write=asked.can_write, typed=typed, fault=error.message)
        return replace(page, status=400)
    return address_of(record.uid)


def _source(explorer: Explorer, network: str) -> BundleSource:
    bundle = explorer.bundle(network)
    # the tables of edges that it reads are kept for the next address
    source: BundleSource = remembered(explorer, ("circuit source", bundle.sha256), lambda: BundleSource(bundle))
    return source


def _drafted(explorer: Explorer, state: DraftState) -> Drafted:
    by: Any = state.by
    chosen: dict[str, Any] = {"top": state.top, "min_share": state.min_share, "by": by}
    if state.around:
        graph = circuit_around(_source(explorer, state.around), state.around, hops=state.hops, **chosen)
    elif state.units:
        networks = list(dict.fromkeys(uid.partition("/")[0] for uid in state.units))
        if len(networks) > 1:
            raise CatalogueError(
                f"drafting a circuit: its units are of {networks[0]} and {networks[1]}, one network is wanted.",
                hint="A circuit of several is made by `circuitgraph circuit new`.",
            )
        graph = circuit_between(_source(explorer, networks[0]), state.units, **chosen)
    else:
        record = get_circuit(explorer.need_catalogue(), state.circuit)
        graph = circuit_of_record(record, *_open_of(explorer, record))
    sources = {name: _source(explorer, name) for name in dict.fromkeys(uid.partition("/")[0] for uid in state.add)}
    return refine_circuit(graph, sources, add=state.add, remove=state.remove, min_sum=state.min_sum, **chosen)


def _open_of(explorer: Explorer, record: CircuitRecord) -> list[Bundle]:
    return [explorer.bundle(network) for network in record.networks]


def _bundles_of(explorer: Explorer, graph: CircuitGraph) -> list[Bundle]:
    return [explorer.bundle(name) for name in dict.fromkeys(layer.partition("/")[0] for layer in graph.layers)]


def _roles(graph: CircuitGraph) -> dict[str, str]:
    return {unit.uid: str(unit.attributes["role"]) for unit in graph.units if unit.attributes.get("role")}


def _thresholds(state: DraftState, drafted: Drafted) -> dict[str, float | int | str]:
    """Say in a record how its edges were chosen."""
    said: dict[str, float | int | str] = {}
    if state.around:
        said |= {"rule": "around", "unit": state.around, "hops_up": state.hops, "hops_down": state.hops}
    elif state.units:
        said["rule"] = "strongest"
    else:
        said |= {"rule": "chosen", "origin": state.circuit}
    if not state.circuit or state.add:
        said |= {"by": state.by, "top": state.top}
    said |= {"min_share": state.min_share, "min_sum": state.min_sum}
    if state.add:
        said["added_neighbours_of"] = ", ".join(state.add)
    if state.remove:
        said["removed"] = ", ".join(state.remove)
    whole = _looked_at(drafted.graph) or drafted.edge_count + drafted.weak_count
    return {**said, "kept": len(drafted.graph.edges), "of": whole}


def _fingerprint(graph: CircuitGraph) -> str:
    """Return a hash of the units and edges that are shown."""
    lines = [unit.uid for unit in graph.units]
    lines += [f"{edge.up} {edge.down} {hashlib.sha256(edge.kernel.tobytes()).hexdigest()}" for edge in graph.edges]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def _page(
    explorer: Explorer,
    state: DraftState,
    *,
    can_write: bool,
    typed: Mapping[str, str] | None = None,
    fault: str = "",
) -> Page:
    drafted = _drafted(explorer, state)
    graph, catalogue = drafted.graph, explorer.catalogue
    bundles = _bundles_of(explorer, graph)
    names = names_of(catalogue, [unit.uid for unit in graph.units], *bundles)
    title = _title(explorer, state)
    pairs = [(edge.up, edge.down) for edge in graph.edges]
    rests_on = [note for bundle in bundles for note in notes_between(bundle, pairs)]
    data = {
        "begins": {"around": state.around, "units": list(state.units), "circuit": state.circuit},
        "state": {
            "hops": state.hops,
            "top": state.top,
            "min_share": state.min_share,
            "min_sum": state.min_sum,
            "by": state.by,
            "add": list(state.add),
            "remove": list(state.remove),
        },
        "limits": {
            "hops": MOST_HOPS,
            "top": MOST_TOP,
            "min_share": _slider_end(drafted.largest_share, state.min_share),
            "min_sum": _slider_end(drafted.largest_sum, state.min_sum),
        },
        "counts": {
            "units": len(graph.units),
            "edges": len(graph.edges),
            "of_units": drafted.unit_count,
            "of_edges": drafted.edge_count,
            "below_thresholds": drafted.weak_count,
            "looked_at": _looked_at(graph),
        },
        "left_out": drafted.notes,
        "rests_on": rests_on,
        "units": _unit_rows(state, graph, names),
        "edges": [
            {
                "up": edge.up,
                "down": edge.down,
                "sum": edge.sum,
                "l1": edge.l1,
                "share_in": edge.share_in,
                "kernel": f"{edge.kernel.shape[0]}x{edge.kernel.shape[1]}",
            }
            for edge in graph.edges
        ],
        "removed": [
            {"unit": uid, "back": replace(state, remove=tuple(each for each in state.remove if each != uid)).address}
            for uid in state.remove
        ],
        "save": {
            "is_possible": can_write,
            "fields": {**({"around": state.around} if state.around else {}), **state.query()},
            "shown": _fingerprint(graph),
            "title": "",
            "description": "",
            "reference": "",
            **(typed or {}),
            "fault": fault,
        },
    }
    return Page(
        "draft",
        state.address,
        title,
        data,
        ways=_ways(explorer, state, graph),
        citation="\n\n".join(filter(None, (cite_weights(explorer, bundle.network) for bundle in bundles))),
        versions=versions_of(explorer, *(bundle.network for bundle in bundles)),
        pictures={"circuit": circuit_figure(graph, *bundles, catalogue=catalogue)},
        notes=(*drafted.notes, *rests_on),
        files=_files(graph, title),
    )


def _looked_at(graph: CircuitGraph) -> int | None:
    """Return of how many edges `circuit_around` or `circuit_between` chose those that it began with."""
    for name in ("around", "between"):
        said = graph.attributes.get(name)
        if isinstance(said, dict) and isinstance(said.get("of"), int):
            return int(said["of"])
    return None


def _title(explorer: Explorer, state: DraftState) -> str:
    if state.circuit:
        return get_circuit(explorer.need_catalogue(), state.circuit).title
    if state.around:
        name = names_of(explorer.catalogue, [state.around], explorer.bundle(state.around)).get(state.around)
        short = short_name(state.around)
        return f"Circuit around {name} ({short})" if name else f"Circuit around {short}"
    return f"Circuit of {len(state.units)} units"


def _slider_end(largest: float, now: float) -> float:
    """Return a round number that is not below either."""
    wanted = max(largest, now, 1e-6)
    step = 10.0 ** math.floor(math.log10(wanted))
    return float(f"{math.ceil(wanted / step) * step:.6g}")


def _unit_rows(state: DraftState, graph: CircuitGraph, names: Mapping[str, str]) -> list[dict[str, Any]]:
    into: dict[str, int] = {}
    out: dict[str, int] = {}
    for edge in graph.edges:
        into[edge.down] = into.get(edge.down, 0) + 1
        out[edge.up] = out.get(edge.up, 0) + 1
    rows = []
    # the picture has the downstream layers at the top
    for unit in graph.units:
        uid = unit.uid
        less = replace(state, remove=(*state.remove, uid), add=tuple(each for each in state.add if each != uid))
        more = replace(state, add=(*state.add, uid)) if uid not in state.add else None
        rows.append(
            {
                "unit": uid,
                "role": str(unit.attributes.get("role") or ""),
                "detects": unit.label or names.get(uid, ""),
                "edges_in": into.get(uid, 0),
                "edges_out": out.get(uid, 0),
                "around": draft_address(around=uid),
                "remove": less.address if len(graph.units) > 1 else None,
                "add": None if more is None else more.address,
            }
        )
    return rows


def _files(graph: CircuitGraph, title: str) -> dict[str, Download]:
    letters = "".join(each if each.isascii() and each.isalnum() else "-" for each in title).strip("-")
    stem = "-".join(filter(None, letters.split("-")))[:60] or "circuit"

    def file(form: CircuitFormat) -> Download:
        return Download(f"{stem}.{form}", _MEDIA[form], lambda: dump_circuit(graph, form))

    return {form: file(form) for form in FORMATS}


def _ways(explorer: Explorer, state: DraftState, graph: CircuitGraph) -> Ways:
    """Return lines that give the very edges that are shown; the shell's makes a record of them."""
    networks = list(dict.fromkeys(layer.partition("/")[0] for layer in graph.layers))
    pairs = ", ".join(f"[{cypher_text(edge.up)}, {cypher_text(edge.down)}]" for edge in graph.edges)
    cypher = (
        f"UNWIND [{pairs}] AS pair MATCH (:Unit {{uid: pair[0]}})-[e:CONNECTS]->(:Unit {{uid: pair[1]}}) "
        "RETURN pair[0] AS up, pair[1] AS down, e.sum, e.share_in, e.kernel"
        if pairs
        else ""
    )
    if len(networks) != 1:
        return Ways(cypher)
    name = bundle_name(explorer.bundle(networks[0]))
    source = f"Bundle.open({python_text(name)})"
    chosen = f"top={state.top}, min_share={state.min_share!r}, by={python_text(state.by)}"
    if state.around:
        python = f"circuit_around({source}, {python_text(state.around)}, hops={state.hops}, {chosen})"
    elif state.units:
        python = f"circuit_between({source}, {list(state.units)!r}, {chosen})"
    else:
        python = f"circuit_of_record(get_circuit(catalogue, {python_text(state.circuit)}), {source})"
    given = {"add": list(state.add), "remove": list(state.remove)}
    more = "".join(f", {key}={value!r}" for key, value in given.items() if value)
    sources = f"{{{python_text(networks[0])}: BundleSource({source})}}" if state.add else "{}"
    python = f"{_imports(state)}refine_circuit({python}, {sources}{more}, {chosen}, min_sum={state.min_sum!r}).graph"
    if state.around and not (state.add or state.remove or state.min_sum):
        words = ["circuitgraph", "draw", "circuit", "--around", state.around, "--bundle", name]
        words += ["--hops", str(state.hops), "--top", str(state.top), "--min-share", f"{state.min_share:.10g}"]
        return Ways(cypher, python, " ".join(map(shell_text, [*words, "--by", state.by, "-o", "circuit.svg"])))
    roles = _roles(graph)
    words = ["circuitgraph", "circuit", "new", "--bundle", name, "--title", "My circuit"]
    for unit in graph.units:
        words += ["--unit", f"{unit.uid}={roles[unit.uid]}" if unit.uid in roles else unit.uid]
    for edge in graph.edges:
        words += ["--edge", edge.up, edge.down]
    return Ways(cypher, python, " ".join(map(shell_text, words)) if graph.edges else "")


def _imports(state: DraftState) -> str:
    """Return the lines of Python that must come first."""
    begins = {"circuit_between"} if state.units else {"circuit_of_record"} if state.circuit else set()
    lines = [
        "from circuitgraph import Bundle",
        f"from circuitgraph.catalogue.drafting import {', '.join(sorted({'refine_circuit', *begins}))}",
    ]
    taken = [*(["BundleSource"] if state.add else []), *(["circuit_around"] if state.around else [])]
    if taken:
        lines.append(f"from circuitgraph.catalogue.subgraph import {', '.join(taken)}")
    if state.circuit:
        lines += ["from circuitgraph.catalogue.circuits import get_circuit", OPEN_CATALOGUE.strip()]
    return "\n".join([*lines, ""])


ROUTES = (
    Route("/around", view_around),
    Route("/around/{uid:path}", view_around),
    Route("/draft", view_draft),
)
ACTIONS = (Action("/draft", act_save),)
