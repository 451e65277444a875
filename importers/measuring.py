"""Measuring a bundle's fidelity again, on a user's own images, from the weights it was imported from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from circuitgraph.bundle import Bundle
from circuitgraph.errors import WeightsError
from circuitgraph.progress import SILENT, Progress
from circuitgraph.records import Fidelity
from importers.fidelity import IMPORT_IMAGES, measure_fidelity
from importers.images import read_images
from importers.weights.architecture import build_architecture
from importers.weights.checkpoint import read_tensors
from importers.weights.kernels import read_kernels
from importers.weights.loading import load_tensors

__all__ = ["measure_bundle"]


def measure_bundle(
    bundle: Bundle,
    *,
    module: str | None = None,
    weights: str | Path | None = None,
    kwargs: Mapping[str, Any] | None = None,
    mapping: str | Path | None = None,
    images: str | Path | None = None,
    count: int | None = None,
    mean: Sequence[float] = (),
    std: Sequence[float] = (),
    noise_std: float | None = None,
    seed: int = 0,
    progress: Progress = SILENT,
) -> Fidelity:
    """Build the network that a bundle was imported from and measure how well the weights predict it.

    Parameters
    ----------
    module, kwargs
        The architecture, as `importers.import_torch` takes it; by default what the bundle says.
    weights
        The file of its weights.
    mapping
        For a bundle of kernels: the mapping file, if the import was given one.
    images
        What `importers.images.read_images` reads; noise by default.
    count
        How many images: at most, from a folder or array (default 32), or of noise (default 4).
    mean, std, noise_std, seed
        As for `importers.measure_fidelity`.

    Returns
    -------
    Fidelity
        `circuitgraph.bundle.fidelity.write_fidelity` saves it.

    Raises
    ------
    WeightsError
        The weights are missing, or not those of the bundle.
    CircuitGraphError
        All that building a network, reading images and `importers.measure_fidelity` raise.
    """
    network = _network(bundle, module, weights, kwargs, mapping)
    if images is None:
        return measure_fidelity(
            bundle, network, count=count or IMPORT_IMAGES, noise_std=noise_std, seed=seed, progress=progress
        )
    return measure_fidelity(
        bundle,
        network,
        images=read_images(images, bundle.info.input_shape, count=count or _IMAGES),
        inputs=Path(images).resolve().name,
        mean=mean,
        std=std,
        seed=seed,
        progress=progress,
    )


_IMAGES = 32


def _network(
    bundle: Bundle,
    module: str | None,
    weights: str | Path | None,
    kwargs: Mapping[str, Any] | None,
    mapping: str | Path | None,
) -> nn.Module:
    name = module or bundle.info.architecture
    if bundle.info.importer == "kernels" and weights is not None:
        return read_kernels(weights, arch=name, mapping=mapping, layout=bundle.info.options.get("layout"))[0]
    tensors = None if weights is None else read_tensors(weights)
    made = build_architecture(name, kwargs or bundle.info.options.get("kwargs") or {}, tensors)
    if tensors is not None:
        return load_tensors(made, tensors, Path(str(weights)).name)
    if not made.has_weights:
        raise WeightsError(
            f"measuring {bundle.network}: {made.name} comes without weights.",
            hint=f"Give the file that it was imported from ({bundle.info.source}) with --weights.",
        )
    return made.module
