"""The handwritten network: a small InceptionV1 whose circuits were set by hand, so that the truth is known.

It is the seventh argument of "Zoom In" (a clean-room circuit with weights set by
hand) made into a module that runs forward. Ten unit layers are named after
InceptionV1's. `conv2d0` (7x7 on RGB) and `conv2d1` (5x5) are plain convolutions;
each of the other eight is a 1x1 bottleneck, ReLU, a 5x5 convolution and ReLU, as in
InceptionV1's branches. 3x3 max pools of stride 2 stand before `conv2d1`, `mixed3a`
and `mixed4a`. `importers.handwritten_weights` holds the weights that were wished;
here every unit that takes part in a circuit gets one bottleneck channel of its
own, so that the expanded weights are the wished ones exactly, and the free
channels carry a dense random background of low rank, a tenth as strong or less.

It shows how the articles' circuits work as weights; it was not trained and says
nothing about what a trained network does.

References
----------
Olah et al., "Zoom In: An Introduction to Circuits", Distill 2020.
https://doi.org/10.23915/distill.00024.001
Cammarata et al., "Curve Circuits", Distill 2021. https://doi.org/10.23915/distill.00024.006
"""

from __future__ import annotations

from math import cos, radians, sin
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from circuitgraph.bundle import Bundle
from circuitgraph.errors import ShapeError
from circuitgraph.progress import SILENT, Progress
from importers.handwritten_plan import CURVE_RADIUS, INPUT_SIZE, LAYERS, NETWORK, LayerPlan, channels_of
from importers.handwritten_truth import handwritten_families, handwritten_truth
from importers.handwritten_weights import wished_weights
from importers.weights.torch_module import import_torch

__all__ = [
    "BottleneckLayer",
    "ConvLayer",
    "HandwrittenNet",
    "build_handwritten",
    "handwritten_families",
    "handwritten_truth",
    "import_handwritten",
    "render_circle",
    "render_curve",
]

_BACKGROUND_L2 = 0.02
"""Rms, over the kernels of a layer pair, of the background's L2 norm; kernels that must be found have 0.16 to 1."""
_BIASES = {
    ("conv2d0", "edges"): -0.02,
    ("conv2d1", "lines"): -0.02,
    ("conv2d2", "lines"): -0.05,
    ("mixed3a", "early-curves"): -1.0,
    ("mixed3b", "curves"): -4.0,
    ("mixed4a", "circles"): -60.0,
}


class ConvLayer(nn.Module):
    """A layer of units: convolution and ReLU."""

    def __init__(self, up_count: int, plan: LayerPlan) -> None:
        super().__init__()
        self.conv = _empty_conv(up_count, plan.unit_count, plan.kernel)
        self.relu = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the units' activations, (batch, unit, row, col)."""
        out: torch.Tensor = self.relu(self.conv(x))
        return out


class BottleneckLayer(nn.Module):
    """A layer of units behind a bottleneck: 1x1 convolution, ReLU, convolution, ReLU."""

    def __init__(self, up_count: int, mid_count: int, plan: LayerPlan) -> None:
        super().__init__()
        self.reduce = _empty_conv(up_count, mid_count, 1)
        self.reduce_relu = nn.ReLU()
        self.conv = _empty_conv(mid_count, plan.unit_count, plan.kernel)
        self.relu = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the units' activations, (batch, unit, row, col)."""
        out: torch.Tensor = self.relu(self.conv(self.reduce_relu(self.reduce(x))))
        return out


class HandwrittenNet(nn.Module):
    """The handwritten network; make one with `build_handwritten`.

    The input is (batch, 3, row, col) with grey at 0 and white at 1; 97 x 97 keeps a
    central cell through every pool. The output is the activation of `mixed4e`.
    """

    def __init__(self) -> None:
        super().__init__()
        up_count = 3
        for plan in LAYERS:
            if plan.bottleneck is None:
                self.add_module(plan.name, ConvLayer(up_count, plan))
            else:
                self.add_module(plan.name, BottleneckLayer(up_count, plan.bottleneck, plan))
            up_count = plan.unit_count
        self.pool = nn.MaxPool2d(3, stride=2, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the activations of the last layer, (batch, unit, row, col)."""
        for plan in LAYERS:
            if plan.is_pooled:
                x = self.pool(x)
            x = getattr(self, plan.name)(x)
        return x


def build_handwritten(seed: int = 0) -> nn.Module:
    """Build the handwritten network.

    Parameters
    ----------
    seed
        Of the random background, modulo 2**64; the circuits do not depend on it.

    Returns
    -------
    The network in eval mode. The same seed gives the same bits; torch's random state is not touched.
    """
    net = HandwrittenNet()
    for index, plan in enumerate(LAYERS):
        rng = np.random.default_rng([index, seed % 2**64])
        layer = getattr(net, plan.name)
        wished = wished_weights(plan.name)
        spread = _BACKGROUND_L2 / plan.kernel
        if isinstance(layer, BottleneckLayer):
            reduce, conv = _factors(wished, layer.reduce.out_channels, spread, rng)
            _fill(layer.reduce, reduce, np.zeros(len(reduce)))
        else:
            conv = wished + spread * rng.standard_normal(wished.shape)
        bias = np.zeros(plan.unit_count)
        for slug, channels in channels_of(plan.name).items():
            bias[list(channels)] = _BIASES.get((plan.name, slug), 0.0)
        _fill(layer.conv, conv, bias)
    return net.eval()


def _empty_conv(up_count: int, down_count: int, size: int) -> nn.Conv2d:
    """Return a convolution without values: torch's own would be drawn from its global random state."""
    conv = nn.Conv2d(up_count, down_count, size, padding=size // 2, device="meta")
    return conv.to_empty(device="cpu")


def _factors(
    wished: NDArray[np.float32], mid_count: int, spread: float, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return bottleneck and convolution whose product is `wished` plus a background of `spread` an entry."""
    used = np.flatnonzero(np.abs(wished).sum(axis=(0, 2, 3)))
    free = mid_count - len(used)
    reduce = np.zeros((mid_count, wished.shape[1], 1, 1))
    reduce[np.arange(len(used)), used] = 1.0
    reduce[len(used) :] = rng.standard_normal((free, *reduce.shape[1:])) / 8
    conv = np.zeros((wished.shape[0], mid_count, *wished.shape[2:]))
    conv[:, : len(used)] = wished[:, used]
    conv[:, len(used) :] = rng.standard_normal((len(conv), free, *conv.shape[2:])) * (8 * spread / free**0.5)
    return reduce, conv


def _fill(conv: nn.Conv2d, weight: NDArray[np.floating], bias: NDArray[np.floating]) -> None:
    with torch.no_grad():
        conv.weight.copy_(torch.from_numpy(weight.astype(np.float32)))
        if conv.bias is not None:
            conv.bias.copy_(torch.from_numpy(bias.astype(np.float32)))


def render_curve(
    angle_deg: float,
    size: int = INPUT_SIZE,
    *,
    radius: float = CURVE_RADIUS,
    extent_deg: float = 120.0,
    width: float = 2.0,
) -> NDArray[np.float32]:
    """Draw a white arc on grey, the middle of the arc in the middle of the picture.

    Parameters
    ----------
    angle_deg
        The way the arc bulges: from the centre of its circle to the middle of the arc,
        counter-clockwise as displayed, 0 pointing right.
    size
        Rows and columns.
    radius, width
        Of the arc and of its stroke, in pixels.
    extent_deg
        From one end of the arc to the other, as seen from the centre of its circle.

    Returns
    -------
    (3, size, size) float32: 0 for grey, 1 for white.

    Raises
    ------
    ShapeError
        A size, radius, extent or width that is not positive.
    """
    turn = radians(angle_deg)
    return _render_arc((-radius * cos(turn), -radius * sin(turn)), angle_deg, size, radius, extent_deg, width)


def render_circle(size: int = INPUT_SIZE, *, radius: float = CURVE_RADIUS, width: float = 2.0) -> NDArray[np.float32]:
    """Draw a white circle on grey around the middle of the picture; see `render_curve`.

    Raises
    ------
    ShapeError
        A size, radius or width that is not positive.
    """
    return _render_arc((0.0, 0.0), 0.0, size, radius, 360.0, width)


def _render_arc(
    centre: tuple[float, float], angle_deg: float, size: int, radius: float, extent_deg: float, width: float
) -> NDArray[np.float32]:
    for name, value in (("size", size), ("radius", radius), ("extent_deg", extent_deg), ("width", width)):
        if not value > 0:
            raise ShapeError(f"drawing a curve: {name} is {value}, and must be above 0.", hint=f"Give {name}=12.")
    half = (size - 1) / 2
    row, col = np.mgrid[:size, :size].astype(np.float64)
    east, north = col - half - centre[0], half - row - centre[1]
    off = (np.degrees(np.arctan2(north, east)) - angle_deg + 180) % 360 - 180
    ends = [radians(angle_deg + sign * extent_deg / 2) for sign in (-1, 1)]
    from_ends = np.minimum(*(np.hypot(east - radius * cos(end), north - radius * sin(end)) for end in ends))
    distance = np.where(np.abs(off) <= extent_deg / 2, np.abs(np.hypot(east, north) - radius), from_ends)
    stroke = np.clip(0.5 + width / 2 - distance, 0.0, 1.0).astype(np.float32)
    return np.repeat(stroke[None], 3, axis=0)


def import_handwritten(out: str | Path, *, seed: int = 0, replace: bool = False, progress: Progress = SILENT) -> Bundle:
    """Build, expand and write the handwritten network with its families.

    Raises
    ------
    BundleExistsError
        Something is at `out` and `replace` is not given.
    """
    return import_torch(
        build_handwritten(seed),
        network=NETWORK,
        input_shape=(3, INPUT_SIZE, INPUT_SIZE),
        out=out,
        families=handwritten_families(),
        title="The handwritten network",
        reference="https://doi.org/10.23915/distill.00024.001",
        replace=replace,
        progress=progress,
    )
