"""What ``circuitgraph query`` says of queries: the shelf's list, one of its files, and a query explained."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from circuitgraph.cli.options import split_parameter
from circuitgraph.cli.output import say, show_json, show_rows, show_table

if TYPE_CHECKING:
    from circuitgraph.store.plans import Explanation
    from queries import ShelfQuery

__all__ = ["read_parameters", "show_explanation", "show_query", "show_shelf"]

_COLUMNS = ("name", "parameters", "returns")
_STEPS = ("step", "estimated_rows", "details")


def read_parameters(given: Sequence[str], query: ShelfQuery | None) -> dict[str, Any]:
    """Read ``name=value`` pairs; where the query wants a text, the value is taken as it is typed.

    Raises
    ------
    click.BadParameter
        There is no ``=``, or no name.
    """
    values = dict(split_parameter(each) for each in given)
    if query is not None:
        typed = dict(each.partition("=")[::2] for each in given)
        for name, parameter in query.parameters.items():
            if name in values and parameter.type not in ("int", "float") and not isinstance(values[name], str):
                values[name] = typed[name]
    return values


def show_shelf(form: str) -> None:
    """List the queries of the shelf with their parameters and what they return."""
    from queries import get_query, list_queries

    rows = [
        {"name": name, "parameters": ", ".join(map(str, query.parameters.values())), "returns": query.description}
        for name in list_queries()
        for query in [get_query(name)]
    ]
    show_rows(_COLUMNS, rows, form, name="shelf")


def show_query(query: ShelfQuery, form: str) -> None:
    """Show a query of the shelf: its file, or as an object its parts."""
    if form == "table":
        click.echo(query.text, nl=False)
        return
    parameters = [
        {
            "name": each.name,
            "type": each.type,
            "default": each.default,
            "meaning": each.meaning,
            "example": each.example,
        }
        for each in query.parameters.values()
    ]
    if form == "json":
        about = {"name": query.name, "returns": query.description, "parameters": parameters, "cypher": query.cypher}
        show_json(about, name="shelf-query")
    else:
        show_rows(list(parameters[0]), parameters, form)


def show_explanation(explained: Explanation, form: str) -> None:
    """Show a query with its parameters, plan and expected rows."""
    rows = [
        {"step": "  " * step.depth + step.operator, "estimated_rows": step.estimated_rows, "details": step.details}
        for step in explained.steps
    ]
    if form == "json":
        steps = [
            {**row, "step": step.operator, "depth": step.depth} for row, step in zip(rows, explained.steps, strict=True)
        ]
        about = {
            "cypher": explained.text,
            "parameters": dict(explained.parameters),
            "planner": explained.planner,
            "estimated_rows": explained.estimated_rows,
            "steps": steps,
        }
        show_json(about, name="explain")
    elif form != "table":
        show_rows(_STEPS, rows, form)
    else:
        click.echo(explained.text)
        for name, value in explained.parameters.items():
            click.echo(f"${name} = {json.dumps(value, default=str)}")
        click.echo()
        show_table(_STEPS, rows)
    if form == "table" and explained.estimated_rows is not None:
        most = explained.largest_step
        say(
            f"nothing ran: {explained.estimated_rows:,.0f} rows are expected, "
            f"at most {most.estimated_rows or 0:,.0f} on the way ({most.operator})."
        )
