"""``circuitgraph circuit``: circuits as citable records; ``circuit new`` is in `circuitgraph.cli.circuit_new`."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import click

from circuitgraph.catalogue.circuits import get_circuit
from circuitgraph.catalogue.circuits import list_circuits as circuits_of
from circuitgraph.catalogue.local import Catalogue
from circuitgraph.cli.catalogue.opening import open_catalogue
from circuitgraph.cli.circuit_around import around
from circuitgraph.cli.circuit_new import add, new
from circuitgraph.cli.options import catalogue_option, format_option
from circuitgraph.cli.output import say, show_tables
from circuitgraph.errors import CatalogueError, MissingFileError

__all__ = ["circuit"]

_SHOWN = 5
_BUNDLES = click.option(
    "--bundle",
    "bundles",
    multiple=True,
    required=True,
    type=click.Path(path_type=Path),
    help="Bundle of a network of the circuit; may be given several times.",
)


@click.group()
def circuit() -> None:
    """Circuits as records: make, show, cite them, and check them against the weights they were seen in.

    ID is a circuit's uid, its slug where only one current circuit has it, or the path of its JSON file.
    """


circuit.add_command(new)
circuit.add_command(add)
circuit.add_command(around)


@circuit.command(name="list", epilog="Example: circuitgraph circuit list")
@click.option("--all", "with_superseded", is_flag=True, help="Superseded ones too.")
@catalogue_option
@format_option
def list_(with_superseded: bool, catalogue: str | None, form: str) -> None:
    """List the circuits of the catalogue; list_circuits in Python."""
    from circuitgraph.catalogue.circuit_page import describe_circuits

    with open_catalogue(catalogue) as opened:
        every = circuits_of(opened, with_superseded=True)
        wanted = every if with_superseded else circuits_of(opened)
    show_tables([describe_circuits(wanted, every=every)], form, name="circuits", about={})


@circuit.command(epilog="Example: circuitgraph circuit show car")
@click.argument("name", metavar="ID")
@click.option("--table", "table_name", type=click.Choice(["circuit", "units", "edges"]), help="Show only this table.")
@catalogue_option
@format_option
def show(name: str, table_name: str | None, catalogue: str | None, form: str) -> None:
    """Show a circuit: its units with roles and what claims say they detect, its edges; describe_circuit in Python."""
    from circuitgraph.catalogue.circuit_page import describe_circuit

    with ExitStack() as stack:
        opened = _catalogue_for(stack, name, catalogue)
        record = get_circuit(opened, name)
        tables = describe_circuit(opened, record)
    shown = [table for table in tables if table_name in (None, table.name)]
    show_tables(shown, form, name="circuit", about={"uid": record.uid, "title": record.title})


@circuit.command(epilog="Example: circuitgraph circuit cite car --style text")
@click.argument("name", metavar="ID")
@click.option(
    "--style",
    type=click.Choice(["bibtex", "cff", "text"]),
    default="bibtex",
    show_default=True,
    help="How to write it.",
)
@catalogue_option
def cite(name: str, style: str, catalogue: str | None) -> None:
    """Tell how to cite a circuit; circuitgraph.catalogue.cite.cite in Python."""
    from circuitgraph.catalogue.cite import cite as cite_subject

    with open_catalogue(catalogue) as opened:
        click.echo(cite_subject(opened, get_circuit(opened, name).uid, style=style).rstrip("\n"))


@circuit.command(epilog="Example: circuitgraph circuit check car --bundle handwritten.circuit")
@click.argument("names", metavar="[ID]...", nargs=-1)
@_BUNDLES
@click.option("--table", "table_name", type=click.Choice(["circuits", "edges"]), help="Show only this table.")
@catalogue_option
@format_option
def check(
    names: tuple[str, ...], bundles: tuple[Path, ...], table_name: str | None, catalogue: str | None, form: str
) -> None:
    """Say whether bundles still hold circuits as they were recorded, kernel by kernel; check_circuit in Python.

    Without ID, every current circuit that has units of one of the bundles' networks. Exit code 1 where one differs.
    """
    from circuitgraph.bundle import Bundle
    from circuitgraph.catalogue.circuit_check import check_circuit
    from circuitgraph.catalogue.circuit_page import describe_checks

    with ExitStack() as stack:
        opened = [stack.enter_context(Bundle.open(path)) for path in bundles]
        networks = {bundle.network for bundle in opened}
        if names:
            records = [get_circuit(_catalogue_for(stack, name, catalogue), name) for name in names]
        else:
            every = circuits_of(stack.enter_context(open_catalogue(catalogue)))
            records = [record for record in every if networks & set(record.networks)]
        checks = [check_circuit(record, opened) for record in records]
    tables = [table for table in describe_checks(checks) if table.rows or table.name == "circuits"]
    show_tables(
        [table for table in tables if table_name in (None, table.name)],
        form,
        name="circuit-check",
        about={"differences": {each.uid: each.differences for each in checks if not each.is_unchanged}},
    )
    wrong = [each for each in checks if not each.is_unchanged]
    if wrong:
        lines = [line for each in wrong for line in each.differences]
        for line in lines[:_SHOWN]:
            say(line)
        if len(lines) > _SHOWN:
            say(f"... and {len(lines) - _SHOWN} more; --json tells them all.")
        raise CatalogueError(
            f"checking circuits: {len(wrong)} of {len(checks)} are not as recorded; {wrong[0].statement}.",
            hint="`circuitgraph draw circuit ID --anyway` draws what there is; a new one can take its place.",
        )


def _catalogue_for(stack: ExitStack, name: str, folder: str | None) -> Catalogue | None:
    """Open the catalogue; a circuit that is named by its file needs none."""
    try:
        return stack.enter_context(open_catalogue(folder))
    except MissingFileError:
        if name.endswith(".json") and folder is None:
            return None
        raise
