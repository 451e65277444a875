"""How well a bundle's expanded weights predict its network.

For each target layer the linear prediction is made from the true activations of its
source layers, negative values are set to zero where the layer's units are rectified,
and the result is compared with the layer's true activations. What was linearised on
the way, and what the definition of expanded weights ignores, shows as the difference.

The prediction is exact where no window reaches over the border of a map ("interior")
and nothing but ReLUs of the layers themselves lies on the way.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from circuitgraph.bundle import Bundle
from circuitgraph.bundle.read import BlockInfo
from circuitgraph.errors import CircuitGraphError, MappingError, NonFiniteError, ShapeError, WeightsError
from circuitgraph.progress import SILENT, Progress
from circuitgraph.records import Agreement, Fidelity, Layer, LayerFidelity
from importers.images import SMOOTH_NOISE, normalise, smooth_noise
from importers.linear_ops import Activation, Concat, Gather, LinearGraph, Pool
from importers.linearise import LinearTrace, linearise_traced
from importers.true_activations import Forward
from importers.unit_layers import UnitLayer, UnitRuleWarning, choose_unit_layers
from importers.weights.tensors import weights_sha256

__all__ = ["IMPORT_IMAGES", "measure_at_import", "measure_fidelity"]

IMPORT_IMAGES = 4
"""How many images of noise an import measures on unless told otherwise."""
_POSITIONS = 64
_MAPS_BYTES = 64 << 20
_PATCH_BYTES = 32 << 20
_LEAST_FOR_UNITS = 8

Maps = Mapping[str, torch.Tensor]
Places = NDArray[np.int64]


def measure_fidelity(
    bundle: Bundle | str | Path,
    module: nn.Module,
    *,
    images: NDArray[np.floating[Any]] | None = None,
    inputs: str = "",
    count: int = IMPORT_IMAGES,
    mean: Sequence[float] = (),
    std: Sequence[float] = (),
    noise_std: float | None = None,
    positions: int | None = _POSITIONS,
    seed: int = 0,
    traced: LinearTrace | None = None,
    progress: Progress = SILENT,
) -> Fidelity:
    """Measure how well the weights of a bundle predict the network that they were taken from.

    Parameters
    ----------
    bundle
        The bundle, or its path.
    module
        The network with its weights; it is not changed.
    images
        (image, channel, row, col); by default `count` images of `importers.images.smooth_noise`.
    inputs
        What the images are, in words, for the record.
    count
        How many images of noise.
    mean, std
        Taken from, and divided out of, each channel of `images`.
    noise_std
        The standard deviation of the noise: that of the inputs that the network was trained on. By default what the
        import says of it, else 1.
    positions
        At most so many positions are compared in each image and layer, chosen at random; None for all.
    seed
        Of the noise and of the choice of positions.
    traced
        What `importers.linearise.linearise_traced` has read of the module, where that is at hand.

    Returns
    -------
    Fidelity
        With all digits; `Fidelity.rounded` is what goes into a manifest.

    Raises
    ------
    WeightsError
        The module has other weights than the bundle.
    MappingError
        The module's layers of units are not those of the bundle.
    ShapeError
        The images do not fit the network's input.
    TraceError
        The module cannot be traced.
    NonFiniteError
        An activation is NaN or infinite.

    Notes
    -----
    One thread is used, so that the figures do not depend on how many there are.
    """
    bundle = bundle if isinstance(bundle, Bundle) else Bundle.open(bundle)
    shape = bundle.info.input_shape
    _check_weights(bundle, module)
    if images is None:
        if count < 1:
            raise ShapeError(f"measuring {bundle.network}: {count} images are asked for, at least 1 is needed.")
        deviation = float(noise_std or bundle.info.options.get("input_std", 1.0))
        used = smooth_noise(shape, count, seed=seed, deviation=deviation)
        mean, std, inputs = (), (), inputs or f"{SMOOTH_NOISE} of deviation {deviation:g}"
    else:
        used, inputs = normalise(_fitting(images, shape, bundle.network), mean=mean, std=std), inputs or "given images"
    traced = traced or linearise_traced(module, shape)
    tensors = _tensors(bundle, traced.graph)
    with _one_thread():
        forward = Forward(module, traced, tensors.values())
        targets = [layer for layer in bundle.layers[1:] if any(part.down == layer.uid for part in bundle.blocks)]
        clip = {layer.uid: _is_rectified(traced.graph, tensors[layer.uid]) for layer in targets}
        sums = {layer.uid: (_Sums(layer.unit_count), _Sums(layer.unit_count)) for layer in targets}
        with progress.task(f"measuring {bundle.network}", len(used), "image") as task:
            for group in _groups(bundle, len(used)):
                maps = {number: _true_maps(forward, used[number], tensors, bundle) for number in group}
                for layer in targets:
                    _compare(bundle, layer, maps, clip[layer.uid], sums[layer.uid], positions, seed)
                task.advance(len(group))
    layers = {
        uid: LayerFidelity(interior=interior.agreement() if interior.count else None, anywhere=anywhere.agreement())
        for uid, (interior, anywhere) in sums.items()
    }
    return Fidelity(
        inputs=inputs,
        image_count=len(used),
        seed=seed,
        mean=tuple(float(value) for value in mean),
        std=tuple(float(value) for value in std),
        layers=layers,
    )


def measure_at_import(
    module: nn.Module, traced: LinearTrace, *, count: int, progress: Progress = SILENT
) -> Callable[[Bundle], Fidelity | None] | None:
    """Return what measures a bundle at the end of its import, on `count` images of noise; None where that is 0.

    What cannot be measured does not stop an import: it is said, and the bundle then says that it was not measured.

    Raises
    ------
    ShapeError
        `count` is negative.
    """
    if count < 0:
        raise ShapeError(f"measuring fidelity: {count} images are asked for; 0 is for no measurement.")
    if not count:
        return None

    def measure(bundle: Bundle) -> Fidelity | None:
        try:
            return measure_fidelity(bundle, module, count=count, traced=traced, progress=progress)
        except CircuitGraphError as error:
            progress.note(f"how well the weights predict was not measured: {error.message}")
            return None

    return measure


def _check_weights(bundle: Bundle, module: nn.Module) -> None:
    from importers.weights.loading import state_of

    found = weights_sha256(state_of(module, bundle.info.source))
    if found != bundle.info.weights_sha256:
        raise WeightsError(
            f"measuring {bundle.network}: the module's weights are {found[:12]}, "
            f"the bundle was made of {bundle.info.weights_sha256[:12]}.",
            hint=f"Give the weights that it was imported from ({bundle.info.source}), or import these.",
        )


def _fitting(images: NDArray[np.floating[Any]], shape: tuple[int, int, int], network: str) -> NDArray[np.float32]:
    array = np.asarray(images)
    if array.ndim != 4 or array.shape[1:] != tuple(shape) or not len(array):
        raise ShapeError(
            f"measuring {network}: images of shape {array.shape} are given, (image, {', '.join(map(str, shape))}) "
            "is wanted."
        )
    if not np.isfinite(array).all():
        raise NonFiniteError(f"measuring {network}: a value of the images is NaN or infinite.")
    return array.astype(np.float32, copy=False)


def _tensors(bundle: Bundle, graph: LinearGraph) -> dict[str, str]:
    """Find for each layer of the bundle the tensor of the graph that it is, by the rule of its import."""
    options = bundle.info.options
    asked = options.get("units_asked", options.get("units", "auto"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnitRuleWarning)
        chosen, _ = choose_unit_layers(graph, bundle.network, asked if isinstance(asked, str) else list(asked))
    for own, layer in zip(chosen, bundle.layers, strict=False):
        if not _is_same(own, layer):
            raise _other(bundle, f"its {own.layer.name} stands where the bundle has {layer.name}")
    if len(chosen) != len(bundle.layers):
        raise _other(bundle, f"it has {len(chosen)} layers of units, the bundle {len(bundle.layers)}")
    return {layer.uid: own.tensor for own, layer in zip(chosen, bundle.layers, strict=True)}


def _is_same(own: UnitLayer, layer: Layer) -> bool:
    # a mapping may have given the layer another name, so the name alone decides nothing
    return (own.layer.unit_count, own.layer.size, own.layer.kind) == (layer.unit_count, layer.size, layer.kind)


def _other(bundle: Bundle, fact: str) -> MappingError:
    return MappingError(
        f"measuring {bundle.network}: the module is not the one that was imported: {fact}.",
        hint="Give the architecture of the import, with the same --kwargs.",
    )


def _is_rectified(graph: LinearGraph, tensor: str) -> NDArray[np.bool_]:
    """Say for each unit of a layer whether it is an activation, be it pooled, picked or put beside others."""
    node = graph.nodes[tensor]
    if isinstance(node.op, Activation):
        return np.ones(node.shape[0], dtype=bool)
    if isinstance(node.op, Concat):
        return np.concatenate([_is_rectified(graph, source) for source in node.inputs])
    if isinstance(node.op, Pool):
        return _is_rectified(graph, node.inputs[0])
    if isinstance(node.op, Gather):
        own = _is_rectified(graph, node.inputs[0])
        return np.asarray(np.where(node.op.channels >= 0, own[node.op.channels], False))
    return np.zeros(node.shape[0], dtype=bool)


@contextmanager
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _groups(bundle: Bundle, count: int) -> Iterator[range]:
    """Cut the images into groups whose maps are held in memory at the same time."""
    each = 4 * sum(layer.unit_count * layer.size[0] * layer.size[1] for layer in bundle.layers)
    at_once = max(1, _MAPS_BYTES // each)
    for start in range(0, count, at_once):
        yield range(start, min(count, start + at_once))


def _true_maps(
    forward: Forward, image: NDArray[np.float32], tensors: Mapping[str, str], bundle: Bundle
) -> dict[str, torch.Tensor]:
    found = forward(image)
    maps = {uid: found[tensor] for uid, tensor in tensors.items()}
    for uid, values in maps.items():
        if not bool(torch.isfinite(values.sum(dtype=torch.float64))):
            raise NonFiniteError(
                f"measuring {bundle.network}: an activation of {uid} is NaN or infinite.",
                hint="Are the inputs of the scale that the network was trained on?",
            )
    return maps


class _Sums:
    """Sums over positions of true and predicted activations, unit by unit, in float64."""

    def __init__(self, units: int) -> None:
        self.count = 0
        self.sums = np.zeros((5, units))
        self.low, self.high = np.full(units, np.inf), np.full(units, -np.inf)
        self.low_predicted, self.high_predicted = self.low.copy(), self.high.copy()

    def add(self, true: NDArray[np.float64], predicted: NDArray[np.float64]) -> None:
        """Add (position, unit) each."""
        if not len(true):
            return
        self.count += len(true)
        columns = (true, predicted, true * true, predicted * predicted, true * predicted)
        self.sums += [column.sum(axis=0) for column in columns]
        self.low, self.high = np.minimum(self.low, true.min(0)), np.maximum(self.high, true.max(0))
        self.low_predicted = np.minimum(self.low_predicted, predicted.min(0))
        self.high_predicted = np.maximum(self.high_predicted, predicted.max(0))

    def agreement(self) -> Agreement:
        """Work out the figures."""
        varies = self.high > self.low
        constant = int((~varies).sum())
        if constant == len(varies):
            return Agreement(correlation=None, explained=None, positions=self.count, constant_units=constant)
        own = self.sums[:, varies]
        pooled = _correlation(own.sum(axis=1), self.count * own.shape[1])
        true, _, squared, predicted_squared, product = own
        spread = squared - true * true / self.count
        error = squared + predicted_squared - 2 * product
        units = _correlation(own, self.count)
        # a prediction that never changes tells nothing of a unit that does
        units[self.high_predicted[varies] == self.low_predicted[varies]] = 0.0
        low, median, high = (float(value) for value in np.quantile(units, (0.25, 0.5, 0.75)))
        return Agreement(
            correlation=float(pooled),
            explained=float(1 - error.sum() / spread.sum()),
            unit_quartiles=(low, median, high) if self.count >= _LEAST_FOR_UNITS else None,
            positions=self.count,
            constant_units=constant,
        )


def _correlation(sums: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """Work out Pearson's correlation from the five sums of `_Sums`; 0 where one side does not vary."""
    true, predicted, squared, predicted_squared, product = sums
    spread = np.maximum(squared - true * true / count, 0)
    predicted_spread = np.maximum(predicted_squared - predicted * predicted / count, 0)
    scale = np.sqrt(spread * predicted_spread)
    covariance = product - true * predicted / count
    found = np.divide(covariance, scale, out=np.zeros_like(scale), where=scale > 0)
    return np.asarray(np.clip(found, -1, 1))


def _compare(
    bundle: Bundle,
    layer: Layer,
    maps: Mapping[int, Maps],
    clip: NDArray[np.bool_],
    sums: tuple[_Sums, _Sums],
    positions: int | None,
    seed: int,
) -> None:
    """Predict a layer at some positions of each image and add up how that compares with what is there."""
    parts = [part for part in bundle.blocks if part.down == layer.uid]
    first = next(iter(maps.values()))
    is_interior = _interior(first[layer.uid], {part.up: first[part.up] for part in parts}, parts)
    chosen = {
        number: _choose(is_interior, positions, np.random.default_rng([seed, number, layer.index])) for number in maps
    }
    predicted = {
        number: torch.from_numpy(bundle.bias(layer.uid).astype(np.float64)).repeat(len(places), 1)
        for number, (places, _, _) in chosen.items()
    }
    for part in parts:
        kernels = _as_tensor(bundle.stored(part))
        up = torch.from_numpy(bundle.up_channels(part).astype(np.int64)) if part.up_file else None
        for number, (places, _, _) in chosen.items():
            rows = slice(part.row_start, part.row_stop)
            predicted[number][:, rows] += _predicted(maps[number][part.up], kernels, part, places, up)
    interior, anywhere = sums
    for number, (places, for_interior, for_anywhere) in chosen.items():
        values = predicted[number].numpy()
        values[:, clip] = np.maximum(values[:, clip], 0)
        true = maps[number][layer.uid][:, places[:, 0], places[:, 1]].numpy().T.astype(np.float64)
        interior.add(true[for_interior], values[for_interior])
        anywhere.add(true[for_anywhere], values[for_anywhere])


def _as_tensor(stored: NDArray[np.float32]) -> torch.Tensor:
    """Read a memory-mapped block without a copy; it is only read, of which torch would warn."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return torch.from_numpy(stored)


def _interior(target: torch.Tensor, sources: Maps, parts: Sequence[BlockInfo]) -> NDArray[np.bool_]:
    """Say at which positions (row, col) of a target no window reaches over the border of a source."""
    lines = [np.ones(size, dtype=bool) for size in target.shape[1:]]
    for part in parts:
        if part.form in ("global", "spatial"):
            continue
        for axis, line in enumerate(lines):
            first = part.stride[axis] * np.arange(len(line)) + part.offset[axis]
            line &= (first >= 0) & (first + part.window[axis] <= sources[part.up].shape[1 + axis])
    return np.logical_and.outer(lines[0], lines[1])


def _choose(
    is_interior: NDArray[np.bool_], limit: int | None, random: np.random.Generator
) -> tuple[Places, Places, Places]:
    """Choose positions to predict, (position, 2), and say which of them serve "interior" and which "anywhere"."""
    # the same order for both, so that most positions serve both
    order = random.permutation(is_interior.size)
    whole = np.sort(order[:limit])
    inside = np.sort(order[is_interior.reshape(-1)[order]][:limit])
    both = np.union1d(inside, whole)
    places = np.stack(np.unravel_index(both, is_interior.shape), axis=1)
    return places, np.searchsorted(both, inside), np.searchsorted(both, whole)


def _predicted(
    source: torch.Tensor, kernels: torch.Tensor, part: BlockInfo, places: Places, up: torch.Tensor | None
) -> torch.Tensor:
    """Apply a block of kernels at some positions: (position, unit) in float64."""
    if part.form == "global":
        mean = source.mean(dim=(1, 2))
        return (kernels[:, :, 0, 0] @ mean).double().expand(len(places), -1)
    padded, corner = _padded(source, part, places)
    windows = padded.unfold(1, part.window[0], 1).unfold(2, part.window[1], 1)
    used = windows if up is None else windows[up.clamp(min=0)]
    out = []
    step = max(1, _PATCH_BYTES // (4 * used.shape[0] * part.window[0] * part.window[1]))
    for start in range(0, len(places), step):
        corners = torch.from_numpy(np.array(part.stride) * places[start : start + step] + corner)
        patches = used[:, corners[:, 0], corners[:, 1]]
        if up is None:
            flat = patches.transpose(0, 1).reshape(len(corners), -1)
            out.append(flat @ kernels.reshape(len(kernels), -1).T)
        else:
            each = (patches * kernels[:, None]).sum(dim=(2, 3))
            out.append(torch.where((up >= 0)[:, None], each, 0).T)
    return torch.cat(out).double()


def _padded(source: torch.Tensor, part: BlockInfo, places: Places) -> tuple[torch.Tensor, NDArray[np.int64]]:
    """Lay zeros round a map so that all windows lie in it; and say what to add to a window's corner."""
    stride, offset, window = (np.array(pair) for pair in (part.stride, part.offset, part.window))
    before = np.maximum(0, -offset)
    last = stride * places.max(axis=0) + offset + window
    after = np.maximum(0, last - np.array(source.shape[1:]))
    padded = nn.functional.pad(source, (int(before[1]), int(after[1]), int(before[0]), int(after[0])))
    return padded, offset + before
