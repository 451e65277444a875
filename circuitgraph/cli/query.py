"""``circuitgraph load`` and ``circuitgraph query``."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click

from circuitgraph.bundle import Bundle
from circuitgraph.cli.options import ask_options, format_option, quiet_option, store_option
from circuitgraph.cli.output import say, say_of, show_progress, show_rows
from circuitgraph.settings import read_settings

__all__ = ["load", "query"]

_FILES = ("arrow", "parquet")


@click.command(epilog="Example: circuitgraph load resnet20.circuit squeezenet.circuit")
@click.argument("bundles", nargs=-1, required=True, type=click.Path(path_type=Path))
@store_option
@click.option(
    "--edges", default="auto", show_default=True, help="auto, all, or top:K by l2 per target and source layer."
)
@click.option(
    "--way",
    type=click.Choice(["auto", "bulk", "append"]),
    default="auto",
    show_default=True,
    help="In bulk while offline, or appended to what is there.",
)
@click.option("--replace", is_flag=True, help="Replace other weights under the same network id.")
@quiet_option
def load(
    bundles: tuple[Path, ...], store: str | None, user: str | None, edges: str, way: str, replace: bool, quiet: bool
) -> None:
    """Load bundles into the graph database; loading one twice changes nothing."""
    from circuitgraph.store import Store

    progress = show_progress(quiet=quiet)
    opened = [Bundle.open(path) for path in bundles]
    settings = read_settings(store=store, user=user).settings
    with Store.open(settings=settings, progress=progress) as connected:
        report = connected.load(*opened, edges=edges, way=way, replace=replace, progress=progress)
    for loaded in report.loaded:
        kept = "" if loaded.edge_count == loaded.edges_in_bundle else f" of {loaded.edges_in_bundle:,}"
        click.echo(f"{loaded.network}: {loaded.way}, {loaded.unit_count:,} units, {loaded.edge_count:,}{kept} edges")
        if loaded.direction_count:
            whole = loaded.direction_edges_in_bundle
            kept = "" if loaded.direction_edge_count == whole else f" of {whole:,}"
            click.echo(
                f"{loaded.network}: {loaded.direction_count:,} directions, {loaded.direction_edge_count:,}{kept} edges "
                f"({loaded.directions_rule})"
            )
        if loaded.motifs_kept:
            say(f"{loaded.network}: {loaded.motifs_kept:,} saved motifs were kept")
        if loaded.motifs_dropped:
            say(f"{loaded.network}: {loaded.motifs_dropped:,} saved motifs of other weights were dropped")
    say(f'{report.seconds:.1f} s. Next: circuitgraph query "MATCH (n:Network) RETURN n.uid"')


@click.command(
    epilog="Example: circuitgraph query 'MATCH (u:Unit)-[e:EXCITES]->(:Unit {uid: $unit}) RETURN u.uid, e.sum' "
    "-p unit=handwritten/mixed4c:41"
)
@click.argument("cypher", required=False)
@click.option("--name", help="A query of the shelf instead of Cypher; --name list lists them.")
@click.option("--show", is_flag=True, help="Show the query that --name names; nothing runs.")
@click.option("--explain", is_flag=True, help="Show Cypher, parameters, plan and expected rows; nothing runs.")
@ask_options
@click.option("-o", "--out", type=click.Path(path_type=Path), help="The file to write, for arrow and parquet.")
@store_option
@partial(format_option, more=_FILES)
def query(
    cypher: str | None,
    name: str | None,
    show: bool,
    explain: bool,
    params: tuple[str, ...],
    row_limit: int | None,
    query_timeout_s: float | None,
    out: Path | None,
    store: str | None,
    user: str | None,
    form: str,
) -> None:
    """Ask the graph in Cypher, or one of the queries that are shipped; only reading is allowed.

    `queries.run` and `Store.query` in Python; explain_query for --explain.
    """
    from circuitgraph.cli import query_shelf
    from circuitgraph.frames import write_rows
    from queries import get_query, run

    if (out is None) == (form in _FILES):
        raise click.UsageError(f"--out goes with --format {' or '.join(_FILES)}, and they with it.")
    if form in _FILES and (explain or show or name == "list"):
        raise click.UsageError(f"--format {form} is for rows of an answer.")
    if name == "list":
        query_shelf.show_shelf(form)
        return
    if (cypher is None) == (name is None):
        raise click.UsageError("give Cypher, or --name and the name of a query of the shelf.")
    shelved = get_query(name) if name else None
    if show:
        if shelved is None:
            raise click.UsageError("--show goes with --name.")
        query_shelf.show_query(shelved, form)
        return
    # before a server is started for a parameter that cannot be read
    values = query_shelf.read_parameters(params, shelved)
    if shelved is not None:
        if row_limit is not None and "limit" in shelved.parameters:
            values.setdefault("limit", row_limit)
        shelved.check(values)
    from circuitgraph.store import Store
    from circuitgraph.store.plans import explain_query

    settings = read_settings(store=store, user=user, row_limit=row_limit, query_timeout_s=query_timeout_s).settings
    with Store.open(settings=settings, progress=show_progress(quiet=False)) as connected:
        if explain and shelved is not None:
            query_shelf.show_explanation(
                explain_query(connected, shelved.cypher, shelved.bind(connected, values)), form
            )
            return
        if explain:
            query_shelf.show_explanation(explain_query(connected, str(cypher), values), form)
            return
        result = run(shelved.name, connected, **values) if shelved else connected.query(str(cypher), values)
    if out is not None:
        write_rows(out, result.columns, result.rows, form=form)
        say(f"{out}: {len(result):,} rows.")
    else:
        show_rows(result.columns, result.rows, form, name="query")
    say_of(result)
