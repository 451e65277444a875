"""What weights are by name, whether they are finite, and their hash; numpy only."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from circuitgraph.errors import NonFiniteError

__all__ = ["MAX_BYTES", "Tensors", "check_finite", "weights_sha256"]

Tensors = dict[str, NDArray[Any]]

MAX_BYTES = 32 * 1024**3
"""The most that the tensors of a file may take."""


def check_finite(tensors: Mapping[str, NDArray[Any]], where: str) -> None:
    """Refuse NaN and infinity.

    Raises
    ------
    NonFiniteError
        Names the tensor, the first position and how many there are.
    """
    for name, values in tensors.items():
        if values.dtype.kind != "f":
            continue
        bad = ~np.isfinite(values)
        if bad.any():
            first = tuple(int(place) for place in np.argwhere(bad)[0])
            raise NonFiniteError(
                f"importing {where}: {name} has {values[first]} at {list(first)}; "
                f"{int(bad.sum())} of its {values.size} values are not finite.",
                hint="Take a checkpoint from before the training went wrong.",
            )


def weights_sha256(tensors: Mapping[str, NDArray[Any]]) -> str:
    """Hash names, shapes and values, so that the same weights in another file have the same hash.

    Values count as little-endian float32; the counters of batch norms are left out.
    """
    digest = hashlib.sha256()
    for name in sorted(tensors):
        if name.endswith("num_batches_tracked"):
            continue
        values = np.ascontiguousarray(tensors[name], dtype="<f4")
        digest.update(f"{name}\0{','.join(map(str, tensors[name].shape))}\0".encode())
        digest.update(values.data if values.size else b"")
    return digest.hexdigest()
