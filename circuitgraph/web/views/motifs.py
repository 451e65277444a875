"""Pages of motifs: what can be searched in a network, what was found, and one match."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from circuitgraph.bundle import Bundle
from circuitgraph.catalogue.drafting import MOST_EDGES
from circuitgraph.draw import Picture
from circuitgraph.errors import BundleCorruptError, CircuitGraphError, MotifError, UnknownMatchError
from circuitgraph.figures import motif_figure
from circuitgraph.figures.labels import names_of
from circuitgraph.ids import check_network_name, kind_of
from circuitgraph.web.asking import Paging, choice, whole_number
from circuitgraph.web.citing import cite_weights
from circuitgraph.web.draft_state import draft_address
from circuitgraph.web.explorer import Explorer
from circuitgraph.web.memory import remembered
from circuitgraph.web.motif_options import TYPED, options_typed
from circuitgraph.web.page import Action, Asked, Page, Route, Ways, address_of, with_query
from circuitgraph.web.searches import Searches, StoredResult
from circuitgraph.web.stored_motifs import stored_count, stored_match, stored_result
from circuitgraph.web.versions import versions_of
from circuitgraph.web.writing import bundle_name, cypher_text, python_text, shell_text
from queries.circuits import circuit_from_saved
from queries.declared import DeclaredMotif
from queries.registry import Motif, get_motif, list_motifs, motif_packages

__all__ = ["ACTIONS", "ROUTES", "act_search", "view_match", "view_motifs"]

_MATCHES_SHOWN = 50
_RESULTS_SHOWN = 40
_UNITS_SHOWN = 12
_UNITS_DRAWN = 60
_UNITS_LISTED = 300
_MOST_WHY = 20
_VERDICTS = ("found", "not significant", "undetermined", "cannot tell", "ranking")
_IN_STORE = "store"
_IMPORTS = "from circuitgraph import Bundle\nfrom queries.registry import get_motif\n"


def view_motifs(explorer: Explorer, asked: Asked) -> Page:
    """Return the motifs of a network: ``motif`` chooses one, ``result`` one of its results, ``verdict`` its matches."""
    return _page(explorer, asked)


def _page(
    explorer: Explorer, asked: Asked, *, typed: Mapping[str, str] | None = None, fault: CircuitGraphError | None = None
) -> Page:
    """Return the page; with `typed` the form holds what was typed, and `fault` says what is wrong with it."""
    network = check_network_name(asked.parts["network"])
    bundle = explorer.bundle(network)
    named = asked.query.get("motif", "")
    motif = get_motif(named) if named else None
    wanted = asked.query.get("result", "")
    searches = explorer.searches
    results = [] if searches is None else searches.results.all(network, named)
    data: dict[str, Any] = {
        "network": network,
        "motifs": [] if named else _listed(explorer, bundle),
        "jobs": [] if searches is None else [job.as_dict() for job in searches.jobs(network)],
        "results": [
            {**each.as_dict(), "address": _address(network, each.motif, each.key)} for each in results[:_RESULTS_SHOWN]
        ],
        "results_count": len(results),
        "stored": stored_count(explorer, network, named),
        "can_search": asked.can_write and searches is not None,
        "chosen": None if motif is None else _chosen(explorer, bundle, motif, typed),
        "fault": None if fault is None else {"message": fault.message, "hint": fault.hint},
        "why": "" if typed is None else typed.get("why", ""),
        "job": None,
        "result": None,
    }
    notes = []
    if len(results) > _RESULTS_SHOWN:
        notes.append(f"Showing {_RESULTS_SHOWN} of {len(results):,} results.")
    held: tuple[StoredResult | None, dict[str, Any]] | None = None
    if motif is not None:
        job = searches.job(wanted) if searches is not None and wanted else None
        if job is not None:
            data["job"] = job.as_dict()
        elif wanted == _IN_STORE:
            held = None, stored_result(explorer, network, named, asked, limit=_MATCHES_SHOWN)
        elif searches is not None:
            own = [each for each in results if each.weights_sha256 == bundle.info.weights_sha256]
            held = _held(searches, wanted, own, named)
    if held is not None:
        data["result"] = _shown(held, bundle, asked, network, named)
    options = held[0].options if held is not None and held[0] is not None else {}
    return Page(
        "motifs",
        with_query(
            f"/motifs/{network}",
            motif=named,
            result=wanted,
            verdict=data["result"]["verdict"] if data["result"] else "",
            first=data["result"]["paging"]["first"] or None if data["result"] else None,
        ),
        f"Motifs in {network}" if motif is None else f"{named} in {network}",
        data,
        ways=_ways(bundle, named, options),
        citation=cite_weights(explorer, network),
        versions=versions_of(explorer, network),
        notes=tuple(notes),
        status=200 if fault is None else 400,
    )


def view_match(explorer: Explorer, asked: Asked) -> Page:
    """Return one match: ``/motif/HASH``; ``result`` says of which search, where several found it."""
    uid = f"motif:{asked.parts['name']}"
    kind_of(uid)
    known = [] if explorer.searches is None else explorer.searches.results.find(uid)
    wanted = asked.query.get("result", "")
    chosen = next((each for each in known if each[0].key == wanted), known[0] if known else None)
    own: StoredResult | None = None
    if chosen is not None and wanted != _IN_STORE:
        own, result, match = chosen
    else:
        result, match = stored_match(explorer, uid)
    network = result["network"] or _network_of(match)
    bundle = explorer.bundles.get(network)
    is_same = bundle is not None and result["weights_sha256"] in ("", bundle.info.weights_sha256)
    rows, units = _units_of(explorer, match)
    notes = list(match["notes"])
    pictures: dict[str, Picture] = {}
    edges: list[dict[str, Any]] = []
    if bundle is None:
        notes.append(f"No bundle of {network or 'its network'} is open here: its kernels cannot be shown.")
    elif not is_same:
        notes.append(f"It was found in other weights ({result['weights_sha256'][:12]}) than those that are open here.")
    elif match["score"] is None:
        notes.append("Its score is no finite number: it is not drawn.")
    elif units and len(units) <= _UNITS_DRAWN:
        pictures["motif"] = motif_figure(match, bundle, result=result, catalogue=explorer.catalogue)
        edges = _edges_of(match, bundle, result)
    else:
        notes.append(f"It binds {len(units):,} units: up to {_UNITS_DRAWN} are drawn.")
    if len(rows) < len(match["bindings"]):
        notes.append(f"Showing {len(rows):,} of {len(match['bindings']):,} units.")
    data = {
        "uid": uid,
        "motif": match["motif"],
        "network": network,
        "match": {name: value for name, value in match.items() if name not in ("bindings", "chance", "up", "down")},
        "score": match["score"],
        "figures": {name: match.get(name) for name in ("score", "effect", "p", "q", "null", "verdict")},
        "shares": dict(match["shares"]),
        "units": rows,
        "unit_count": len(match["bindings"]),
        "edges": edges[:MOST_EDGES],
        "edge_count": len(edges),
        "statement": result["statement"],
        "nulls": [null for null in result["nulls"] if null["name"] == match["null"]] or result["nulls"],
        "result": own.as_dict() if own is not None else None,
        "from_store": own is None,
        "others": [_address_of_match(uid, each.key) for each, _, _ in known if own is None or each.key != own.key],
        "list": _address(network, match["motif"], own.key if own is not None else _IN_STORE),
        "draft": draft_address(units=units) if is_same and 0 < len(units) <= _UNITS_DRAWN else None,
        "can_search": asked.can_write and explorer.searches is not None and own is not None and own.is_ours,
    }
    return Page(
        "motif",
        with_query(address_of(uid), result=wanted),
        f"{match['motif']} of {len(units)} units",
        data,
        ways=_ways_of_match(uid, match, bundle, own),
        citation=cite_weights(explorer, network) if bundle is not None else "",
        versions=versions_of(explorer, network),
        pictures=pictures,
        notes=tuple(notes),
    )


def act_search(explorer: Explorer, asked: Asked) -> str | Page:
    """Start a search, or stop one that was started (``stop=KEY``), and go to where it is shown.

    A form that cannot be used comes back with what was typed and what is wrong with it.
    """
    network = check_network_name(asked.parts["network"])
    bundle = explorer.bundle(network)
    if explorer.searches is None:
        raise MotifError("searching: this explorer keeps no results.", hint="circuitgraph motifs NAME BUNDLE")
    fields = asked.query
    if fields.get("stop"):
        explorer.searches.stop(fields["stop"])
        return with_query(f"/motifs/{network}", motif=fields.get("motif", ""))
    motif = get_motif(fields.get("motif", ""))
    try:
        options = options_typed(motif, fields, bundle)
        units = _units_typed(bundle, fields.get("why", ""))
        key = explorer.searches.start(bundle, motif.name, options, units)
    except BundleCorruptError:
        # no other form would do
        raise
    except CircuitGraphError as fault:
        own = Asked(asked.parts, {"motif": motif.name}, can_write=asked.can_write)
        return _page(explorer, own, typed=fields, fault=fault)
    return _address(network, motif.name, key)


def _units_typed(bundle: Bundle, text: str) -> list[str]:
    why = [part.strip() for part in text.split(",") if part.strip()]
    if len(why) > _MOST_WHY:
        raise MotifError(f"asking why not: {len(why)} units are named, at most {_MOST_WHY} are taken.")
    return [str(bundle.unit(name)) for name in why]


def _listed(explorer: Explorer, bundle: Bundle) -> list[dict[str, Any]]:
    packages = motif_packages()
    rows = []
    for name in list_motifs():
        try:
            motif = get_motif(name)
        except MotifError:
            # its package cannot be imported; `circuitgraph motifs list` says so
            continue
        nulls = ", ".join(null.name for null in motif.nulls)
        cost = _cost_of(explorer, bundle, motif)
        rows.append({"motif": name, "finds": motif.summary, "nulls": nulls, "cost": cost, "package": packages[name]})
    return rows


def _chosen(explorer: Explorer, bundle: Bundle, motif: Motif, typed: Mapping[str, str] | None) -> dict[str, Any]:
    options = [option for option in motif.options if option.kind in TYPED]
    return {
        "name": motif.name,
        "finds": motif.summary,
        "definition": motif.definition,
        "nulls": [{"name": null.name, "keeps": null.keeps, "kills": null.kills} for null in motif.nulls],
        "cost": _cost_of(explorer, bundle, motif),
        "options": [
            {
                "name": option.name,
                "kind": option.kind,
                "help": option.help,
                "value": _as_typed(option.default) if typed is None else typed.get(f"option.{option.name}", ""),
                "choices": list(option.choices),
                "is_needed": option.is_argument,
            }
            for option in options
        ],
    }


def _cost_of(explorer: Explorer, bundle: Bundle, motif: Motif) -> str:
    """Say how much work a search of the whole network with the usual options is."""
    return remembered(explorer, ("cost", bundle.sha256, motif.name), lambda: _cost(bundle, motif))


def _cost(bundle: Bundle, motif: Motif) -> str:
    needed = {option.name: option.default for option in motif.options if option.is_argument}
    try:
        if isinstance(motif, DeclaredMotif):
            return motif.cost(bundle, **needed)
        return motif.explain(bundle, **needed).cost
    except BundleCorruptError:
        raise
    except CircuitGraphError as error:
        return error.message


def _as_typed(value: Any) -> str:
    if value is None or value is False:
        return ""
    if value is True:
        return "1"
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def _held(
    searches: Searches, wanted: str, own: Sequence[StoredResult], motif: str
) -> tuple[StoredResult, dict[str, Any]] | None:
    """Return the result that is asked for, else the newest of these weights."""
    if wanted:
        found = searches.results.get(wanted)
        if found is None or found[0].motif != motif:
            raise UnknownMatchError(
                f"result {wanted[:40]!r} of {motif} is not kept here, and no search for it is on its way.",
                hint="Search again.",
            )
        return found
    plain = [each for each in own if not each.why]
    return searches.results.get(plain[0].key) if plain else None


def _shown(
    held: tuple[StoredResult | None, dict[str, Any]], bundle: Bundle, asked: Asked, network: str, motif: str
) -> dict[str, Any]:
    stored, whole = held
    key = stored.key if stored is not None else _IN_STORE
    # of the store only a page is here, whose verdicts are not those of all
    verdict = choice(asked, "verdict", _VERDICTS, "") if stored is not None else ""
    counts: dict[str, int] = {}
    for match in whole["matches"]:
        counts[match["verdict"]] = counts.get(match["verdict"], 0) + 1
    matches = [match for match in whole["matches"] if verdict in ("", match["verdict"])]
    beyond = whole.get("beyond", 0)
    paging = Paging(whole_number(asked, "first", 0, most=10**7), len(matches) + beyond, _MATCHES_SHOWN)
    # of the store only the rows of this page came
    start = paging.first - whole.get("skipped", 0)
    address = with_query(f"/motifs/{network}", motif=motif, result=key, verdict=verdict)
    return {
        "key": key,
        "statement": whole["statement"],
        "source": "the store" if stored is None else "a search in these pages" if stored.is_ours else "a file",
        "options": {} if stored is None else dict(stored.options),
        "is_same_weights": whole["weights_sha256"] in ("", bundle.info.weights_sha256),
        "why_not": _why_not(whole),
        "notes": list(whole["notes"]),
        "nulls": list(whole["nulls"]),
        "cypher": whole["cypher"],
        "parameters": whole["parameters"],
        "seconds": whole["seconds"],
        "count": len(whole["matches"]) + beyond,
        "verdict": verdict,
        "verdicts": [
            {
                "verdict": name,
                "count": counts[name],
                "address": with_query(f"/motifs/{network}", motif=motif, result=key, verdict=name),
            }
            for name in _VERDICTS
            if name in counts and stored is not None
        ],
        "all": with_query(f"/motifs/{network}", motif=motif, result=key),
        "paging": paging.as_dict(address, "first"),
        "matches": [_row(match, key) for match in matches[start : start + _MATCHES_SHOWN]],
    }


def _why_not(whole: Mapping[str, Any]) -> dict[str, Any] | None:
    said = whole.get("why_not")
    if not isinstance(said, Mapping) or not isinstance(said.get("units"), list):
        return None
    return {"units": [str(unit) for unit in said["units"]], "text": str(said.get("text", ""))}


def _row(match: Mapping[str, Any], key: str) -> dict[str, Any]:
    bindings = match["bindings"]
    return {
        "id": match["id"],
        "address": _address_of_match(match["id"], key),
        **{name: match.get(name) for name in ("score", "effect", "p", "q", "null", "verdict")},
        "roles": [{"role": role, "unit": unit} for role, _, unit in bindings[:_UNITS_SHOWN]],
        "unit_count": len(bindings),
    }


def _address(network: str, motif: str, key: str) -> str:
    return with_query(f"/motifs/{network}", motif=motif, result=key)


def _address_of_match(uid: str, key: str) -> str:
    return with_query(address_of(uid), result=key)


def _units_of(explorer: Explorer, match: Mapping[str, Any]) -> tuple[list[dict[str, Any]], list[str]]:
    """Return a row for each unit in a role, and the uids of all."""
    bindings = match["bindings"]
    units = list(dict.fromkeys(unit for _, _, unit in bindings if isinstance(unit, str)))
    bundle = explorer.bundles.get(_network_of(match))
    names = names_of(explorer.catalogue, units[:_UNITS_LISTED], *([] if bundle is None else [bundle]))
    rows = [
        {"role": role, "position": position, "unit": unit, "detects": names.get(unit)}
        for role, position, unit in bindings[:_UNITS_LISTED]
    ]
    return rows, units


def _edges_of(match: Mapping[str, Any], bundle: Bundle, result: Mapping[str, Any]) -> list[dict[str, Any]]:
    # a record only for its edges: who made it and when is not shown
    record = circuit_from_saved(match, bundle, title="edges", author="-", date="1970-01-01", result=result)
    return [
        {"up": edge.up, "down": edge.down, "sum": edge.sum, "l1": edge.l1, "share_in": edge.share_in}
        for edge in record.edges
    ]


def _network_of(match: Mapping[str, Any]) -> str:
    return next((unit.partition("/")[0] for _, _, unit in match["bindings"] if isinstance(unit, str)), "")


def _ways(bundle: Bundle, motif: str, options: Mapping[str, Any]) -> Ways:
    name = bundle_name(bundle)
    if not motif:
        return Ways(
            f"MATCH (m:Motif {{network: {cypher_text(bundle.network)}}}) "
            "RETURN m.motif, count(*) AS found ORDER BY m.motif",
            "from queries.registry import list_motifs\nlist_motifs()",
            "circuitgraph motifs list",
        )
    cypher = (
        f"MATCH (m:Motif {{network: {cypher_text(bundle.network)}, motif: {cypher_text(motif)}}}) "
        "RETURN m.uid, m.score, m.p, m.q, m.null, m.verdict ORDER BY m.q, m.uid"
    )
    chosen = "".join(f", {key}={value!r}" for key, value in options.items())
    python = f"{_IMPORTS}get_motif({python_text(motif)}).find(Bundle.open({python_text(name)}){chosen})"
    return Ways(cypher, python, " ".join(map(shell_text, _words(motif, name, options))))


def _words(motif: str, bundle: str, options: Mapping[str, Any]) -> list[str]:
    arguments = {option.name for option in get_motif(motif).options if option.is_argument}
    words = ["circuitgraph", "motifs", motif, bundle, *(str(options[name]) for name in arguments if name in options)]
    for name, value in options.items():
        if name in arguments:
            continue
        words.append(f"--{name.replace('_', '-')}")
        if value is not True:
            words.append(",".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value))
    return words


def _ways_of_match(uid: str, match: Mapping[str, Any], bundle: Bundle | None, own: StoredResult | None) -> Ways:
    cypher = (
        f"MATCH (m:Motif {{uid: {cypher_text(uid)}}})-[b:BINDS]->(u:Unit) "
        "RETURN m.score, m.q, b.role, b.position, u.uid ORDER BY b.role, b.position"
    )
    if bundle is None or own is None or not own.is_ours:
        return Ways(cypher)
    name = bundle_name(bundle)
    chosen = "".join(f", {key}={value!r}" for key, value in own.options.items())
    found = f"get_motif({python_text(match['motif'])}).find(Bundle.open({python_text(name)}){chosen})"
    search = " ".join(map(shell_text, [*_words(match["motif"], name, own.options), "--json"]))
    draw = " ".join(map(shell_text, ["circuitgraph", "draw", "motif", name, uid, "--from", "found.json"]))
    return Ways(
        cypher,
        f"{_IMPORTS}[match for match in {found} if match.id == {python_text(uid)}][0]",
        f"{search} > found.json && {draw} -o motif.svg",
    )


ROUTES = (
    Route("/motifs/{network}", view_motifs),
    Route("/motif/{name}", view_match),
)
ACTIONS = (Action("/motifs/{network}", act_search),)
