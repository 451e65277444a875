"""Bundles of random kernels: nothing in them means anything, everything about them can be counted."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from itertools import pairwise
from pathlib import Path

import numpy as np

from circuitgraph.bundle import Bundle, BundleWriter
from circuitgraph.progress import SILENT, Progress
from circuitgraph.records import Family, Layer, Member, NetworkInfo, NewBlock

__all__ = ["write_synthetic_bundle"]


def write_synthetic_bundle(
    path: str | Path,
    *,
    network: str = "synthetic",
    unit_counts: Sequence[int] = (3, 16, 12, 8),
    window: tuple[int, int] = (3, 3),
    seed: int = 0,
    with_every_form: bool = False,
    replace: bool = False,
    progress: Progress = SILENT,
) -> Bundle:
    """Write a layered network with kernels drawn from a normal distribution.

    Parameters
    ----------
    unit_counts
        Units of each layer, the input first; every layer feeds the next.
    window
        (row, col) of each kernel; the offset is minus half of it.
    with_every_form
        Also store the last pair as two row blocks, of which the second is 1x1, and add
        a diagonal block from the second layer to the last.
    """
    rng = np.random.default_rng(seed)
    layers = [
        Layer(
            uid=f"{network}/layer{index}",
            index=index,
            kind="activation" if index else "input",
            unit_count=count,
            size=(16, 16),
            stride=(1, 1),
            receptive_field=(1 + index * (window[0] - 1), 1 + index * (window[1] - 1)),
        )
        for index, count in enumerate(unit_counts)
    ]
    info = NetworkInfo(
        network=network,
        architecture="synthetic",
        weights_sha256=sha256(f"{network} {list(unit_counts)} {window} {seed}".encode()).hexdigest(),
        source="random numbers",
        input_shape=(unit_counts[0], 16, 16),
        importer="synthetic",
        options={"seed": seed},
    )
    offset = (-(window[0] // 2), -(window[1] // 2))
    with BundleWriter(path, info, layers, replace=replace, progress=progress) as writer:
        for up, down in pairwise(layers):
            kernels = rng.normal(size=(down.unit_count, up.unit_count, *window)).astype(np.float32)
            bias = rng.normal(size=down.unit_count).astype(np.float32)
            blocks = [NewBlock(up.uid, down.uid, 0, "dense", kernels, offset, (1, 1))]
            if with_every_form and down is layers[-1]:
                blocks = _every_form(layers, kernels, offset, rng)
            writer.add_target(down.uid, bias, blocks)
        members = tuple(
            Member(unit=str(layers[1].unit(channel)), position=channel, angle_deg=channel * 90.0)
            for channel in range(min(4, layers[1].unit_count))
        )
        writer.add_families([Family(uid=f"{layers[1].uid}!first", name="first four", members=members)])
        return writer.finish()


def _every_form(
    layers: Sequence[Layer], kernels: np.ndarray, offset: tuple[int, int], rng: np.random.Generator
) -> list[NewBlock]:
    first, up, down = layers[1], layers[-2], layers[-1]
    half = down.unit_count // 2
    diagonal = rng.normal(size=(down.unit_count, 2, 2)).astype(np.float32)
    channels = np.arange(down.unit_count, dtype=np.int32) % first.unit_count
    channels[0] = -1
    gross = 1.5 * np.abs(kernels[:half]).sum(axis=(2, 3))
    return [
        NewBlock(up.uid, down.uid, 0, "row block", kernels[:half], offset, (1, 1), gross=gross),
        NewBlock(up.uid, down.uid, half, "row block", kernels[half:, :, 1:2, 1:2].copy(), (0, 0), (1, 1)),
        NewBlock(first.uid, down.uid, 0, "diagonal", diagonal, (0, 0), (1, 1), up_channels=channels),
    ]
