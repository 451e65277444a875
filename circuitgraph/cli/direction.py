"""``circuitgraph direction``: directions of a bundle's layers, that is combinations of neurons treated as units."""

from __future__ import annotations

from pathlib import Path

import click

from circuitgraph.bundle import Bundle, add_directions, remove_directions
from circuitgraph.bundle.describe_directions import describe_directions
from circuitgraph.bundle.direction_writing import MAX_BLOCK_BYTES
from circuitgraph.cli.options import format_option, quiet_option
from circuitgraph.cli.output import say, show_progress, show_tables
from circuitgraph.errors import MissingFileError

__all__ = ["direction"]

_PATH = click.argument("path", metavar="BUNDLE", type=click.Path(path_type=Path))


@click.group()
def direction() -> None:
    """Directions of a layer: combinations of its neurons, with kernels of their own."""


@direction.command(
    epilog="Example: circuitgraph direction add squeezenet1_0.circuit fire4 nmf.csv --source 'NMF, 12 factors'"
)
@_PATH
@click.argument("layer")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--names", help="Names in order, separated by commas; those of the file, or d0, d1, ... if not given.")
@click.option("--names-from", type=click.Path(path_type=Path), help="A file with one name a line.")
@click.option("--key", help="Name of the array in the file, where it holds several matrices.")
@click.option(
    "--layout",
    type=click.Choice(["auto", "rows", "columns"]),
    default="auto",
    show_default=True,
    help="Whether directions are the rows or the columns of the matrix.",
)
@click.option("--normalise", is_flag=True, help="Divide each direction by its l2 norm.")
@click.option("--source", help="Where they come from, in words; the file's name if not given.")
@click.option("--replace", is_flag=True, help="Replace directions that are there with other coefficients.")
@click.option(
    "--max-block",
    type=click.IntRange(1),
    default=MAX_BLOCK_BYTES,
    show_default=True,
    help="Most bytes of the kernels of one pair of layers.",
)
@quiet_option
def add(
    path: Path,
    layer: str,
    file: Path,
    names: str | None,
    names_from: Path | None,
    key: str | None,
    layout: str,
    normalise: bool,
    source: str | None,
    replace: bool,
    max_block: int,
    quiet: bool,
) -> None:
    """Add the directions in FILE to a LAYER of a bundle; add_directions in Python.

    FILE is CSV (name,channel,weight; or a header of channels; or one of directions), .npy, .npz, .safetensors or .pt.
    An edge to, from or between directions is n1 W n2^T at each position.
    """
    from importers.directions import read_directions

    if names is not None and names_from is not None:
        raise click.UsageError("give --names or --names-from, not both.")
    with Bundle.open(path) as opened:
        table = read_directions(file, opened, layer, key=key)
        given = _names(names, names_from) or table.names
        before = opened.directions_sha256
        made = add_directions(
            opened,
            layer,
            table.coefficients,
            names=given,
            source=file.name if source is None else source,
            normalise=normalise,
            layout="rows" if table.is_oriented else layout,  # type: ignore[arg-type]
            replace=replace,
            max_block_bytes=max_block,
            progress=show_progress(quiet=quiet),
        )
    with made:
        if made.directions_sha256 == before:
            click.echo(f"{path}: these directions are there already; nothing was changed.")
            return
        uid = made.layer(layer).uid
        click.echo(
            f"{path}: {uid} has {len(made.directions.names(uid)):,} directions; in all {made.directions.count:,} with "
            f"{made.manifest.counts['direction_edges']:,} edges."
        )
    if not quiet:
        say(f"Next: circuitgraph load {path}")


def _names(names: str | None, names_from: Path | None) -> tuple[str, ...] | None:
    if names is not None:
        return tuple(name.strip() for name in names.split(","))
    if names_from is None:
        return None
    try:
        return tuple(line.strip() for line in names_from.read_text(encoding="utf-8-sig").splitlines() if line.strip())
    except (OSError, UnicodeDecodeError) as error:
        raise MissingFileError(
            f"reading names: {names_from} cannot be read ({error}).", hint="Check --names-from."
        ) from error


@direction.command(name="list", epilog="Example: circuitgraph direction list squeezenet1_0.circuit --layer fire4")
@_PATH
@click.option("--layer", help="Only those of one layer.")
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True, help="Most rows.")
@format_option
def list_(path: Path, layer: str | None, limit: int, form: str) -> None:
    """List the directions of a bundle; describe_directions in Python."""
    with Bundle.open(path) as opened:
        about = {"network": opened.network, "bundle_sha256": opened.sha256}
        tables = [describe_directions(opened, layer, limit=limit)]
    show_tables(tables, form, name="directions", about=about)


@direction.command(epilog="Example: circuitgraph direction remove squeezenet1_0.circuit fire4 car window")
@_PATH
@click.argument("layer")
@click.argument("names", nargs=-1)
@click.option("--all", "every", is_flag=True, help="All directions of the layer.")
@quiet_option
def remove(path: Path, layer: str, names: tuple[str, ...], every: bool, quiet: bool) -> None:
    """Remove directions from a LAYER of a bundle by their names; remove_directions in Python."""
    if bool(names) == every:
        raise click.UsageError("give the names of directions, or --all.")
    with Bundle.open(path) as opened:
        before = opened.directions.count
        made = remove_directions(opened, layer, None if every else names, progress=show_progress(quiet=quiet))
    with made:
        click.echo(f"{path}: {before - made.directions.count:,} directions removed, {made.directions.count:,} left.")
