"""What the user chooses for steps that are not linear: switches that all importers of networks share."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from circuitgraph.cli.output import say

__all__ = ["linearisation_options", "said_warnings", "take_linearisation"]


def _gate(ctx: click.Context, param: click.Parameter, value: str | None) -> float | str | None:
    if value is None or value == "mean":
        return value
    try:
        return float(value)
    except ValueError:
        raise click.BadParameter(f"{value!r} is neither a number nor 'mean'", ctx, param) from None


def _numbers(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in value.split(",")) if value else ()
    except ValueError:
        raise click.BadParameter(
            f"{value!r} is not numbers with commas between them, as in 0.485,0.456,0.406", ctx, param
        ) from None


_OPTIONS = (
    click.option(
        "--max-pool",
        type=click.Choice(["avg", "centre"]),
        default="avg",
        show_default=True,
        help="What a max pool is linearised to.",
    ),
    click.option(
        "--smooth",
        type=click.Choice(["identity"]),
        help="Take GELU, SiLU, Hardswish, ELU, CELU, Mish and Softplus at slope 1.",
    ),
    click.option("--leaky", type=click.Choice(["identity"]), help="Take LeakyReLU, PReLU and RReLU at slope 1."),
    click.option(
        "--gate",
        metavar="NUMBER|mean",
        callback=_gate,
        help="What a squeeze-and-excitation gate multiplies by: a number, or its mean over --images.",
    ),
    click.option(
        "--images",
        type=click.Path(path_type=Path),
        help="With --gate mean: a folder of images, or an .npy of (image, channel, row, col).",
    ),
    click.option("--mean", metavar="R,G,B", callback=_numbers, help="Taken from each channel of --images of 0 to 1."),
    click.option("--std", metavar="R,G,B", callback=_numbers, help="What each channel of --images is divided by."),
    click.option(
        "--norm-gain",
        type=float,
        metavar="NUMBER",
        help="What stands for 1 / deviation in a layer norm, and for the factor of a local response norm.",
    ),
)


def linearisation_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add what can be chosen for steps that are not linear; `take_linearisation` takes it."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def take_linearisation(importer: Callable[..., Any], options: dict[str, Any]) -> None:
    """Put what the switches say in the place of the switches, as the importer's arguments.

    Raises
    ------
    click.UsageError
        Gates are to be measured without images, images are given for nothing, or the importer cannot run its network.
    """
    from importers import Linearisation

    images, mean, std = options.pop("images"), options.pop("mean"), options.pop("std")
    gate = options.pop("gate")
    if (gate == "mean") != (images is not None):
        fact = "--gate mean needs images" if images is None else "--images are only for --gate mean"
        raise click.UsageError(f"{fact}: --gate mean --images FOLDER")
    if images is not None and "gate_images" not in inspect.signature(importer).parameters:
        raise click.UsageError("--gate mean runs the network, which is done for torch modules only; give a number.")
    if images is not None:
        from importers.gates import GateImages

        options["gate_images"] = GateImages(images, mean, std)
    elif mean or std:
        raise click.UsageError("--mean and --std are for --images.")
    options["linearisation"] = Linearisation(
        max_pool=options.pop("max_pool"),
        smooth=options.pop("smooth"),
        leaky=options.pop("leaky"),
        gate=None if images is not None else gate,
        norm_gain=options.pop("norm_gain"),
    )


@contextmanager
def said_warnings() -> Iterator[None]:
    """Say warnings of ours as a command does, not as Python does with a file and a line of code."""
    from importers.unit_layers import UnitRuleWarning

    with warnings.catch_warnings():
        warnings.simplefilter("always", UnitRuleWarning)
        show = warnings.showwarning

        def tell(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
            if issubclass(category, UnitRuleWarning):
                say(f"warning: {message}")
            else:
                show(message, category, *place, **more)

        warnings.showwarning = tell
        yield
