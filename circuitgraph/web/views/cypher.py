"""The Cypher box: any question that only reads, through the guard of the store, and the queries of the shelf."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from circuitgraph.errors import CircuitGraphError, QueryError, QueryLimitError, UnknownNetworkError
from circuitgraph.web.explorer import Explorer
from circuitgraph.web.page import Asked, Page, Route, Ways, with_query
from circuitgraph.web.versions import versions_of
from circuitgraph.web.writing import python_text, shell_text

if TYPE_CHECKING:
    from circuitgraph.result import Result
    from circuitgraph.store import Store
    from circuitgraph.store.plans import Explanation
    from queries import ShelfQuery

__all__ = ["ROUTES", "view_cypher"]

# each holds a thread and a connection as long as it runs
_AT_ONCE = 4
_running = threading.BoundedSemaphore(_AT_ONCE)
_PUBLIC_TIMEOUT_S = 10.0
_PUBLIC_ROWS = 200
_LONGEST_CELL = 4_000


@dataclass(frozen=True, slots=True)
class _Question:
    """What is asked: Cypher, or a query of the shelf, with parameters."""

    text: str
    parameters: Mapping[str, Any]
    shelved: ShelfQuery | None


def view_cypher(explorer: Explorer, asked: Asked) -> Page:
    """Return the box and, where the address holds a question, its answer, its plan, or what is wrong with it."""
    from queries import get_query, list_queries

    if explorer.store is None:
        raise UnknownNetworkError(
            "this explorer has no store to ask.", hint="Start it with one: circuitgraph explore --store local"
        )
    name, text = asked.query.get("name", "").strip(), asked.query.get("q", "")
    typed = asked.query.get("params", "").strip()
    wants_plan = asked.query.get("explain", "") not in ("", "0")
    shelf = [get_query(each) for each in list_queries()]
    data: dict[str, Any] = {
        "q": text,
        "params": typed,
        "name": name,
        "explain": wants_plan,
        "limits": _limits(explorer),
        "shelf": [
            {
                "name": query.name,
                "returns": query.description,
                "parameters": [str(each) for each in query.parameters.values()],
                "cypher": query.cypher,
                "example": with_query("/cypher", name=query.name, params=_examples(query)),
            }
            for query in shelf
        ],
        "fault": None,
        "answer": None,
        "plan": None,
    }
    status = 200
    ways = Ways("", "Store.open().query(CYPHER)", "circuitgraph query CYPHER")
    if name or text.strip():
        ways = _ways(name, text, typed, wants_plan=wants_plan)
        try:
            question = _question(name, text, typed)
            data["q"] = question.text
            if wants_plan:
                data["plan"] = _plan_values(_explained(explorer, question))
            else:
                data["answer"] = _answer_values(_asked_of(explorer, question))
        except CircuitGraphError as error:
            data["fault"] = {"message": error.message, "hint": error.hint or ""}
            status = 400
    return Page(
        "cypher",
        with_query("/cypher", name=name, q="" if name else text, params=typed, explain="1" if wants_plan else None),
        "Cypher",
        data,
        ways=ways,
        versions=versions_of(explorer),
        notes=tuple((data["answer"] or {}).get("notes", ())),
        status=status,
    )


def _question(name: str, text: str, typed: str) -> _Question:
    """Return what is asked.

    Raises
    ------
    QueryError
        The parameters are no JSON object, or the shelf has no such query.
    """
    from queries import get_query

    try:
        parameters = json.loads(typed) if typed else {}
    except (ValueError, RecursionError) as error:
        raise QueryError(
            f"reading the parameters: {str(error)[:200]}.", hint='Give a JSON object, as in {"unit": "net/layer:3"}.'
        ) from error
    if not isinstance(parameters, dict):
        raise QueryError(
            "the parameters are no JSON object.", hint='Give a JSON object, as in {"unit": "net/layer:3"}.'
        )
    if not name:
        return _Question(text, parameters, None)
    shelved = get_query(name)
    return _Question(shelved.cypher, parameters, shelved)


def _limits(explorer: Explorer) -> dict[str, Any]:
    """Return how much may be asked: as much as by the command, less of strangers."""
    store = explorer.store
    rows = store.settings.row_limit if store else 0
    seconds = store.settings.query_timeout_s if store else 0.0
    if explorer.is_public:
        rows, seconds = min(rows, _PUBLIC_ROWS), min(seconds, _PUBLIC_TIMEOUT_S)
    return {"rows": rows, "seconds": seconds, "at_once": _AT_ONCE}


def _asked_of(explorer: Explorer, question: _Question) -> Result:
    """Ask as ``circuitgraph query`` does: read-only, allowed steps only, within time, memory and rows."""
    limits = _limits(explorer)
    with _in_turn(explorer) as store:
        return store.query(question.text, _values(store, question), limit=limits["rows"], timeout_s=limits["seconds"])


def _explained(explorer: Explorer, question: _Question) -> Explanation:
    from circuitgraph.store.plans import explain_query

    with _in_turn(explorer) as store:
        return explain_query(store, question.text, _values(store, question))


def _values(store: Store, question: _Question) -> Mapping[str, Any]:
    return question.shelved.bind(store, question.parameters) if question.shelved else question.parameters


@contextmanager
def _in_turn(explorer: Explorer) -> Iterator[Store]:
    """Lend the store to a few at once: planning a query costs the server too."""
    if explorer.store is None or not _running.acquire(blocking=False):
        raise QueryLimitError(
            f"{_AT_ONCE} queries are running, which is as many as may at once.", hint="Ask again in a moment."
        )
    try:
        yield explorer.store
    finally:
        _running.release()


def _answer_values(result: Result) -> dict[str, Any]:
    return {
        "columns": list(result.columns),
        "rows": [{name: _cell(row[name]) for name in result.columns} for row in result.rows],
        "count": len(result.rows),
        "limit": result.limit,
        "is_cut": result.is_cut,
        "notes": list(result.notes),
        "seconds": round(result.seconds, 3),
    }


def _cell(value: Any) -> Any:
    """Return a value as JSON has it; of what is very long, the beginning as a text."""
    if value is None or isinstance(value, bool | int | float):
        return value
    text = value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
    if len(text) > _LONGEST_CELL:
        return f"{text[:_LONGEST_CELL]}… ({len(text):,} characters)"
    return text if isinstance(value, str) else json.loads(text)


def _plan_values(explained: Explanation) -> dict[str, Any]:
    return {
        "planner": explained.planner,
        "estimated_rows": explained.estimated_rows,
        "steps": [
            {
                "step": step.operator,
                "depth": step.depth,
                "estimated_rows": step.estimated_rows,
                "details": step.details[:_LONGEST_CELL],
            }
            for step in explained.steps
        ],
    }


def _examples(query: ShelfQuery) -> str:
    """Return example values of a query's parameters, as JSON to edit."""
    values = {
        name: parameter.example if parameter.default is None else parameter.default
        for name, parameter in query.parameters.items()
    }
    return json.dumps(values, default=str, ensure_ascii=False)


def _ways(name: str, text: str, typed: str, *, wants_plan: bool) -> Ways:
    try:
        values = json.loads(typed) if typed else {}
    except (ValueError, RecursionError):
        values = {}
    given = values if isinstance(values, dict) else {}
    options = "".join(f" -p {shell_text(f'{key}={_typed(value)}')}" for key, value in list(given.items())[:50])
    options += " --explain" if wants_plan else ""
    if name:
        keywords = "".join(f", {key}={value!r}" for key, value in given.items() if str(key).isidentifier())
        return Ways("", f"run({python_text(name)}, store{keywords})", f"circuitgraph query --name {name}{options}")
    python = f"Store.open().query({python_text(text)}{f', {given!r}' if given else ''})"
    return Ways(text, python, f"circuitgraph query {shell_text(text)}{options}")


def _typed(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)


ROUTES = (Route("/cypher", view_cypher),)
