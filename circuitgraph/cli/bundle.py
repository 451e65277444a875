"""``circuitgraph inspect`` and ``circuitgraph bundle``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from circuitgraph.bundle import Bundle
from circuitgraph.bundle.describe import Description, describe_layer, describe_network, describe_unit
from circuitgraph.bundle.fidelity import describe_approximations, write_fidelity
from circuitgraph.bundle.verify import verify_bundle
from circuitgraph.cli.options import format_option, quiet_option
from circuitgraph.cli.output import say, show_progress, show_tables

__all__ = ["bundle", "inspect"]

_PATH = click.argument("path", type=click.Path(path_type=Path))


def _numbers(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in value.split(",")) if value else ()
    except ValueError:
        raise click.BadParameter(f"{value!r} is not numbers with commas, as in 0.485,0.456,0.406", ctx, param) from None


@click.command(epilog="Example: circuitgraph inspect resnet20.circuit --layer layer1.0")
@_PATH
@click.option("--layer", help="Show the kernels into and out of one layer.")
@click.option("--unit", help="Show one unit and its strongest kernels, as in layer1.0:3.")
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="Most rows for --unit.")
@click.option("--table", "table_name", help="Show only this table, by its name in the JSON output.")
@click.option("--approximations", is_flag=True, help="Show what was linearised how, and how well the weights predict.")
@click.option(
    "--weights", type=click.Path(path_type=Path), help="With --approximations: measure anew, with the weights' file."
)
@click.option("--module", help="Measure with this architecture, as for `import torch`. [the bundle's]")
@click.option("--mapping", help="Measure kernels through this mapping, as for `import kernels`. [found]")
@click.option("--images", type=click.Path(path_type=Path), help="Measure on a folder of images or an .npy. [noise]")
@click.option("--count", type=click.IntRange(1), help="Measure on at most so many images. [32, of noise 4]")
@click.option("--mean", metavar="R,G,B", callback=_numbers, help="Taken from each channel of images of 0 to 1.")
@click.option("--std", metavar="R,G,B", callback=_numbers, help="What each channel of the images is divided by.")
@click.option("--noise-std", type=click.FloatRange(0, min_open=True), help="Standard deviation of the noise.")
@click.option("--save", is_flag=True, help="Write what was measured into the bundle.")
@quiet_option
@format_option
def inspect(
    path: Path,
    layer: str | None,
    unit: str | None,
    limit: int,
    table_name: str | None,
    approximations: bool,
    save: bool,
    form: str,
    quiet: bool,
    **measuring: Any,
) -> None:
    """Show what is in a bundle: its layers and pairs, or one layer, or one unit, or what its weights leave out."""
    if bool(layer) + bool(unit) + approximations > 1:
        raise click.UsageError("give one of --layer, --unit and --approximations.")
    _check_measuring(measuring, save=save, approximations=approximations)
    with Bundle.open(path) as opened:
        if approximations:
            tables = _approximations(opened, measuring, save=save, quiet=quiet)
        elif unit:
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


def _check_measuring(measuring: dict[str, Any], *, save: bool, approximations: bool) -> None:
    given = [f"--{name.replace('_', '-')}" for name, value in measuring.items() if value not in (None, ())]
    if (given or save) and not approximations:
        raise click.UsageError(f"{(given or ['--save'])[0]} goes with --approximations.")
    if save and not given:
        raise click.UsageError("--save needs something to measure with, as in --weights FILE.")
    if (measuring["mean"] or measuring["std"]) and measuring["images"] is None:
        raise click.UsageError("--mean and --std are for --images; the scale of noise is --noise-std.")
    if measuring["noise_std"] is not None and measuring["images"] is not None:
        raise click.UsageError("--noise-std is for noise, not for --images.")


def _approximations(opened: Bundle, measuring: dict[str, Any], *, save: bool, quiet: bool) -> list[Description]:
    if not any(value not in (None, ()) for value in measuring.values()):
        return describe_approximations(opened)
    from importers import measure_bundle

    fidelity = measure_bundle(opened, **measuring, progress=show_progress(quiet=quiet))
    if save:
        write_fidelity(opened, fidelity)
        say(f"{opened.path}: the measurement is saved; load it again to bring it into the graph.")
    return describe_approximations(opened, fidelity=fidelity.rounded())


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
