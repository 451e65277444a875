"""What gates multiply maps by, measured on images: one constant a channel, to be taken in their place."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import fx, nn

from circuitgraph.errors import NonFiniteError, ShapeError, WeightsError
from circuitgraph.progress import SILENT, Progress
from importers.images import normalise, read_images
from importers.linear_ops import Gate, MapShape
from importers.linearisation import GateMeans, Linearisation
from importers.linearise import LinearTrace, linearise_traced
from importers.operation_graph import runnable

__all__ = ["GateImages", "GateInput", "measure_gates", "with_measured_gates"]


@dataclass(frozen=True)
class GateImages:
    """Images to measure gates on, and how the network is used to them.

    Parameters
    ----------
    images
        (image, channel, row, col), or what `importers.images.read_images` reads.
    mean, std
        Taken from, and divided out of, each channel (`importers.images.normalise`).
    """

    images: NDArray[np.floating[Any]] | str | Path
    mean: Sequence[float] = ()
    std: Sequence[float] = ()


GateInput = GateImages | NDArray[np.floating[Any]] | str | Path
"""Images, or where they are."""


def measure_gates(
    module: nn.Module,
    images: NDArray[np.floating[Any]],
    *,
    mean: Sequence[float] = (),
    std: Sequence[float] = (),
    progress: Progress = SILENT,
) -> GateMeans:
    """Measure what each squeeze-and-excitation gate of a module is on average, channel by channel.

    Parameters
    ----------
    module
        Takes one batch of maps; it is not changed.
    images
        (image, channel, row, col), as the module is used to them once `mean` is taken away and divided by `std`.
    mean, std
        One number a channel, or one for all (`importers.images.normalise`).
    progress
        Told of each image.

    Returns
    -------
    GateMeans
        By the gate's module path the mean over images and positions, (channel,), ready for
        ``Linearisation(gate=...)``.

    Raises
    ------
    WeightsError
        The module has no gate.
    ShapeError
        The images have not four axes, or there are none.
    NonFiniteError
        A value of the images, or a gate on them, is NaN or infinite.
    TraceError
        The module cannot be traced, or does not run on that shape.
    """
    used = normalise(_checked(images), mean=mean, std=std)
    shape = (used.shape[1], used.shape[2], used.shape[3])
    return _means(module, linearise_traced(module, shape), used, {"mean": list(mean), "std": list(std)}, progress)


def with_measured_gates(
    module: nn.Module,
    traced: LinearTrace,
    linearisation: Linearisation,
    images: GateInput,
    *,
    input_shape: MapShape,
    progress: Progress = SILENT,
) -> Linearisation:
    """Return a linearisation whose gates are the means over images.

    Raises
    ------
    MissingFileError
        There are no such images.
    WeightsError
        Constants for the gates are given already.
    ShapeError
        The images have not the shape of the input.
    """
    if linearisation.gate is not None:
        raise WeightsError(
            "measuring gates: constants for them are given already.", hint="Give either a gate or images to measure it."
        )
    given = images if isinstance(images, GateImages) else GateImages(images)
    read = read_images(given.images, input_shape) if isinstance(given.images, (str, Path)) else given.images
    used = normalise(_checked(read), mean=given.mean, std=given.std)
    if used.shape[1:] != input_shape:
        raise ShapeError(
            f"measuring gates: the images are {'x'.join(map(str, used.shape[1:]))}, "
            f"the input is {'x'.join(map(str, input_shape))}.",
            hint="Bring the images to the shape of the network's input.",
        )
    record = {"mean": list(given.mean), "std": list(given.std)}
    return dataclasses.replace(linearisation, gate=_means(module, traced, used, record, progress))


def _checked(images: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    array = np.asarray(images, dtype=np.float32)
    if array.ndim != 4 or not array.size:
        raise ShapeError(
            f"measuring gates: images of shape {array.shape} are given, (image, channel, row, col) is wanted.",
            hint="Put the images into one array, or read them with importers.images.read_images.",
        )
    if not np.isfinite(array).all():
        raise NonFiniteError("measuring gates: a value of the images is NaN or infinite.")
    return array


def _means(
    module: nn.Module,
    traced: LinearTrace,
    images: NDArray[np.float32],
    record: dict[str, Any],
    progress: Progress,
) -> GateMeans:
    channels = {node.op.path: node.shape[0] for node in traced.graph.nodes.values() if isinstance(node.op, Gate)}
    if not channels:
        raise WeightsError("measuring gates: the network has none.", hint="Import it without --gate.")
    program = runnable(module, traced.trace)
    nodes = {node.name: node for node in program.graph.nodes}
    wanted = {nodes[traced.gates[path].node.name]: path for path in channels}
    run = _Run(program, wanted)
    parameter = next(module.parameters(), torch.empty(0))
    sums = {path: np.zeros(count) for path, count in channels.items()}
    with progress.task("measuring gates", total=len(images), unit="image") as task, torch.no_grad():
        for image in images:
            run.found.clear()
            run.run(torch.from_numpy(image[None].copy()).to(device=parameter.device, dtype=parameter.dtype))
            for path, value in run.found.items():
                sums[path] += _by_channel(value, is_last=traced.gates[path].channels_last)
            task.advance(1)
    means = {path: total / len(images) for path, total in sums.items()}
    for path, values in means.items():
        if not np.isfinite(values).all():
            raise NonFiniteError(f"measuring gates: {path} is NaN or infinite on the images.")
    digest = hashlib.sha256(images.tobytes()).hexdigest()
    return GateMeans(means, {"images": len(images), "images_sha256": digest, **{k: v for k, v in record.items() if v}})


def _by_channel(value: torch.Tensor, *, is_last: bool) -> NDArray[np.float64]:
    """Average one image's gate over all axes but the channels'; one with a single channel serves all."""
    wide = value[0].double().cpu()
    by_channel = wide.reshape(-1, wide.shape[-1]).mean(0) if is_last else wide.reshape(wide.shape[0], -1).mean(1)
    found: NDArray[np.float64] = by_channel.numpy()
    return found


class _Run(fx.Interpreter):
    """Runs operations and copies what the gates are before a later one can overwrite them."""

    def __init__(self, program: fx.GraphModule, wanted: dict[fx.Node, str]) -> None:
        super().__init__(program)
        self.wanted = wanted
        self.found: dict[str, torch.Tensor] = {}

    def run_node(self, n: fx.Node) -> Any:
        result = super().run_node(n)
        if n in self.wanted:
            self.found[self.wanted[n]] = result.detach().clone()
        return result
