"""``circuitgraph inspect`` and ``circuitgraph bundle``."""

from __future__ import annotations

from pathlib import Path

import click

from circuitgraph.bundle import Bundle
from circuitgraph.bundle.describe import describe_layer, describe_network, describe_unit
from circuitgraph.bundle.verify import verify_bundle
from circuitgraph.cli.options import format_option, quiet_option
from circuitgraph.cli.output import show_progress, show_tables

__all__ = ["bundle", "inspect"]

_PATH = click.argument("path", type=click.Path(path_type=Path))


@click.command(epilog="Example: circuitgraph inspect resnet20.circuit --layer layer1.0")
@_PATH
@click.option("--layer", help="Show the kernels into and out of one layer.")
@click.option("--unit", help="Show one unit and its strongest kernels, as in layer1.0:3.")
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="Most rows for --unit.")
@click.option("--table", "table_name", help="Show only this table, by its name in the JSON output.")
@format_option
def inspect(path: Path, layer: str | None, unit: str | None, limit: int, table_name: str | None, form: str) -> None:
    """Show what is in a bundle: its layers and pairs, or one layer, or one unit."""
    if layer and unit:
        raise click.UsageError("give --layer or --unit, not both.")
    with Bundle.open(path) as opened:
        if unit:
            tables = describe_unit(opened, unit, limit=limit)
        elif layer:
            tables = describe_layer(opened, layer)
        else:
            tables = describe_network(opened)
        about = {"network": opened.network, "bundle_sha256": opened.sha256}
    if table_name is not None:
        names = [table.name for table in tables]
        if table_name not in names:
            raise click.BadParameter(f"{table_name!r} is none of {', '.join(names)}.", param_hint="--table")
        tables = [table for table in tables if table.name == table_name]
    show_tables(tables, form, name="inspect", about=about)


@click.group()
def bundle() -> None:
    """Look after bundles."""


@bundle.command(epilog="Example: circuitgraph bundle verify resnet20.circuit")
@_PATH
@quiet_option
def verify(path: Path, quiet: bool) -> None:
    """Hash every file again and make the edges again from the kernels."""
    with Bundle.open(path) as opened:
        report = verify_bundle(opened, progress=show_progress(quiet=quiet))
        report.raise_if_corrupt(opened)
    click.echo(
        f"{path}: all is as written: {report.files} files, {report.bytes / 2**20:,.1f} MiB, "
        f"{report.edges:,} edges follow from their kernels."
    )
