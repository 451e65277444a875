"""``circuitgraph sql``."""

from __future__ import annotations

from pathlib import Path

import click

from circuitgraph.bundle import Bundle
from circuitgraph.cli.options import ask_options, format_option, split_parameter
from circuitgraph.cli.output import say_of, show_rows
from circuitgraph.settings import read_settings

__all__ = ["sql"]


@click.command(
    epilog="Example: circuitgraph sql 'SELECT up, down, sum FROM strong ORDER BY sum DESC LIMIT 5' resnet20.circuit"
)
@click.argument("select")
@click.argument("bundles", nargs=-1, required=True, type=click.Path(path_type=Path))
@ask_options
@format_option
def sql(
    select: str,
    bundles: tuple[Path, ...],
    params: tuple[str, ...],
    row_limit: int | None,
    query_timeout_s: float | None,
    form: str,
) -> None:
    """Ask bundles in SQL, with no server; `query_sql` in Python.

    The views are networks, layers, units, blocks, edges and strong. Edges are all those of the bundle.
    """
    from circuitgraph.bundle.sql import query_sql

    values = dict(split_parameter(each) for each in params)
    settings = read_settings(row_limit=row_limit, query_timeout_s=query_timeout_s).settings
    opened = [Bundle.open(path) for path in bundles]
    result = query_sql(opened, select, values, limit=settings.row_limit, timeout_s=settings.query_timeout_s)
    show_rows(result.columns, result.rows, form, name="sql")
    say_of(result)
