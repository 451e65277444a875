"""``circuitgraph import``: weights into a bundle."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from circuitgraph.bundle import Bundle
from circuitgraph.bundle.approximations import fidelity_summary
from circuitgraph.cli.linearising import linearisation_options, said_warnings, take_linearisation
from circuitgraph.cli.options import format_option, quiet_option
from circuitgraph.cli.output import say, show_progress, show_rows, show_tables
from circuitgraph.ids import slugify

__all__ = ["import_"]


def _shape(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[int, int, int] | None:
    if value is None:
        return None
    found = re.fullmatch(r"([0-9]{1,6})x([0-9]{1,6})x([0-9]{1,6})", value)
    if not found:
        raise click.BadParameter(f"{value!r} is not channels x rows x cols, as in 3x32x32", ctx, param)
    return int(found[1]), int(found[2]), int(found[3])


def _names(ctx: click.Context, param: click.Parameter, value: str) -> str | list[str]:  # noqa: ARG001
    return [part.strip() for part in value.split(",")] if "," in value else value


def _bytes(ctx: click.Context, param: click.Parameter, value: str) -> int:
    found = re.fullmatch(r"([0-9]{1,15})([kmg]?)b?", value.lower())
    if not found:
        raise click.BadParameter(f"{value!r} is not a size, as in 500m or 2g", ctx, param)
    return int(found[1]) << {"": 0, "k": 10, "m": 20, "g": 30}[found[2]]


def _json_object(ctx: click.Context, param: click.Parameter, value: str | None) -> dict[str, Any] | None:
    if value is None:
        return None
    try:
        found = json.loads(value)
    except ValueError as error:
        raise click.BadParameter(
            f"{value!r} is not JSON: {error}. Quote it as a whole, as in '{{\"num_classes\": 10}}'", ctx, param
        ) from None
    if not isinstance(found, dict):
        raise click.BadParameter(f"{value!r} is not a JSON object, as in '{{\"num_classes\": 10}}'", ctx, param)
    return found


_OUT = click.option("-o", "--out", type=click.Path(path_type=Path), help="Where the bundle goes. [NAME.circuit]")
_NETWORK = click.option("--network", help="Id of the network in the graph, stable and short.")
_UNITS = click.option(
    "--units",
    metavar="RULE",
    callback=_names,
    default="auto",
    show_default=True,
    help="Layers of units: auto, activations, or module paths with commas between them.",
)
_MAX_BLOCK = click.option(
    "--max-block",
    metavar="SIZE",
    callback=_bytes,
    default="2g",
    show_default=True,
    help="Largest block of kernels that is computed.",
)
_REPLACE = click.option("--replace", is_flag=True, help="Replace a bundle that is there.")
_FIDELITY = click.option(
    "--fidelity",
    metavar="N",
    type=click.IntRange(0),
    default=4,
    show_default=True,
    help="Measure on N images of noise how well the weights predict; 0 for not at all.",
)


_SKIP_REFUSED = click.option(
    "--skip-refused",
    is_flag=True,
    help="Leave out layers that cannot be expanded, and list them, instead of stopping; the exit status is then 0.",
)
_DRY_RUN = click.option(
    "--dry-run",
    is_flag=True,
    help="Show pairs, sizes, approximations and what is refused, and write nothing; exit status 1 if it would stop.",
)


def _expansion_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add what all importers of networks share; `_run` takes it."""
    for option in reversed(
        (
            _NETWORK,
            _OUT,
            _UNITS,
            linearisation_options,
            _MAX_BLOCK,
            _SKIP_REFUSED,
            _REPLACE,
            _DRY_RUN,
            quiet_option,
            format_option,
        )
    ):
        command = option(command)
    return command


def _run(
    importer: Callable[..., Bundle],
    *arguments: Any,
    out: Path,
    max_block: int,
    skip_refused: bool,
    dry_run: bool,
    form: str,
    quiet: bool,
    **options: Any,
) -> None:
    """Call an importer, or show its plan, and say what came of it."""
    from importers import plan_import

    take_linearisation(importer, options)
    options |= {
        "out": out,
        "max_block_bytes": max_block,
        "skip_refused": skip_refused,
        "progress": show_progress(quiet=quiet),
    }
    if dry_run:
        with said_warnings():
            plan = plan_import(importer, *arguments, **options)
        about = {"network": plan.network, "bytes": plan.bytes, "layers": len(plan.layers), "units": plan.units}
        show_tables(plan.describe(), form, name="plan", about=about)
        if plan.is_refused(skip_refused=skip_refused):
            raise SystemExit(1)
        return
    with said_warnings():
        bundle = importer(*arguments, **options)
    _report(bundle, form)


def _last_name(dotted: str) -> str:
    return re.split("[.:]", dotted)[-1]


def _report(bundle: Bundle, form: str) -> None:
    counts = bundle.manifest.counts
    refused = [pair.model_dump() for pair in bundle.refused]
    if form == "table":
        click.echo(
            f"{bundle.path}: {bundle.network}, {counts['layers']} layers, {counts['units']:,} units, "
            f"{counts['pairs']} pairs, {counts['edges']:,} kernels"
        )
    else:
        row = {"path": str(bundle.path), "network": bundle.network, "sha256": bundle.sha256, **counts}
        row |= {"approximations": list(bundle.info.approximations), "refused": refused}
        show_rows(list(row), [row], form, name="import")
    if bundle.info.approximations:
        say(f"approximations: {', '.join(bundle.info.approximations)}")
    say(f"{fidelity_summary(bundle)}; more: circuitgraph inspect {bundle.path} --approximations")
    for pair in refused:
        say(f"left out: {pair['up']} -> {pair['down']}: {pair['reason']}")
    if refused:
        layers = len({pair["down"] for pair in refused})
        say(f"warning: what could not be expanded is left out: pairs {len(refused)}, layers {layers}")
    say(f"Next: circuitgraph inspect {bundle.path}; circuitgraph load {bundle.path}")


@click.group(name="import")
def import_() -> None:
    """Turn a network's weights into a bundle of expanded weights."""


@import_.command(
    name="torch",
    epilog="Example: circuitgraph import torch mymodels.resnet:resnet20 --weights resnet20.th --input 3x32x32",
)
@click.argument("module")
@click.option("--weights", type=click.Path(path_type=Path), help="Checkpoint: .pth, .pt, .th, .safetensors, .npz")
@click.option("--input", "input_shape", metavar="CxHxW", callback=_shape, help="Shape of the input, as in 3x32x32.")
@click.option(
    "--kwargs",
    metavar="JSON",
    callback=_json_object,
    help="Arguments of the factory as JSON, as in '{\"num_classes\": 10}'.",
)
@click.option(
    "--tracer",
    type=click.Choice(["auto", "fx", "export"]),
    default="auto",
    show_default=True,
    help="How the module is followed: torch.fx, or torch.export, which fixes what depends on sizes at --input.",
)
@_FIDELITY
@_expansion_options
def torch_(module: str, network: str | None, out: Path | None, **options: Any) -> None:
    """Import MODULE: a name of torchvision's zoo, or package.module:factory or FILE.py:factory of your own."""
    from importers import import_torch

    network = network or _last_name(module)
    _run(import_torch, module, network=network, out=out or Path(f"{network}.circuit"), **options)


@import_.command(epilog="Example: circuitgraph import kernels squeezenet_v1.0_pruned.npz --arch squeezenet1_0")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--arch", help="Architecture: a name of torchvision's zoo, or package.module:factory. [the mapping's]")
@click.option("--mapping", help="A mapping file (TOML), or the name of one that ships. [found by --arch]")
@click.option(
    "--layout",
    type=click.Choice(["OIHW", "HWIO", "OHWI"]),
    help="Axes of the file's convolutions: O down, I up, H row, W column. [the mapping's, or read off the shapes]",
)
@click.option(
    "--input",
    "input_shape",
    metavar="CxHxW",
    callback=_shape,
    help="Shape of the input, as in 3x32x32. [the mapping's]",
)
@_FIDELITY
@_expansion_options
def kernels(file: Path, arch: str | None, network: str | None, out: Path | None, **options: Any) -> None:
    """Import FILE (npz, safetensors, JSON, flat .dat) onto a named architecture, through a mapping of names."""
    from importers import import_kernels

    out = out or Path(f"{network or _last_name(arch or file.stem)}.circuit")
    _run(import_kernels, file, arch=arch, network=network, out=out, **options)


@import_.command(
    epilog="Example: circuitgraph import graphdef tensorflow_inception_graph.pb --network inceptionv1 "
    "--input 3x224x224 --norm-gain 1"
)
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--input",
    "input_shape",
    metavar="CxHxW",
    callback=_shape,
    help="Shape of the input, channels first, as in 3x224x224. [the graph's]",
)
@click.option("--input-name", metavar="NAME", help="The operation that gives the input. [the placeholder for images]")
@click.option(
    "--output-name",
    "output_names",
    metavar="NAME",
    multiple=True,
    help="An operation at which the network ends; may be repeated. [the one farthest from the input]",
)
@_expansion_options
def graphdef(file: Path, network: str | None, out: Path | None, **options: Any) -> None:
    """Import FILE, a frozen TensorFlow graph (.pb). Needs none of TensorFlow."""
    from importers import import_graphdef

    network = network or slugify(file.stem)
    _run(import_graphdef, file, network=network, out=out or Path(f"{network}.circuit"), **options)


@import_.command(epilog="Example: circuitgraph import onnx resnet18.onnx --input 3x224x224")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--input",
    "input_shape",
    metavar="CxHxW",
    callback=_shape,
    help="Shape of the input, as in 3x32x32, where the file leaves it open. [the file's]",
)
@_expansion_options
def onnx(file: Path, network: str | None, out: Path | None, **options: Any) -> None:
    """Import FILE, a network in ONNX, with its weights in it or beside it."""
    from importers import import_onnx

    _run(import_onnx, file, network=network, out=out or Path(f"{network or slugify(file.stem)}.circuit"), **options)
