"""What only moves entries, read off the entries' own numbers.

Slices, chunks, shuffles, padding, permutations and reshapes are run on a tensor that
holds the flat number of each entry, -1 for zero; what comes out says where each
entry is from, and so which step it is, whatever way it was written.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import fx

from circuitgraph.errors import UnsupportedOperationError
from importers.linear_ops import Flatten, Gather, MapShape, Node
from importers.moved_entries import as_gather
from importers.torch_steps import Traced, is_channels_last

__all__ = ["is_whole", "map_shape", "moved_step", "replay", "traced_in"]


def replay(run: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    """Run an operation that only moves entries on the entries' own numbers.

    Raises
    ------
    UnsupportedOperationError
        It reads several tensors, or mixes the batch with other axes.
    """
    found = traced_in((args, kwargs))
    if len(found) != 1:
        raise UnsupportedOperationError("it moves entries of several tensors at once")
    source = found[0]
    index = source.index
    if index is None:
        index = torch.arange(int(np.prod(source.shape))).reshape(source.shape)
    on_index = _swap((args, kwargs), lambda _: index[None])
    moved = run(*on_index[0], **on_index[1])

    def wrap(part: torch.Tensor) -> Traced:
        if part.ndim < 1 or part.shape[0] != 1:
            raise UnsupportedOperationError("it mixes the batch with other axes")
        return Traced(source.base, tuple(part.shape[1:]), part[0], steps=source.steps)

    return tuple(wrap(part) for part in moved) if isinstance(moved, (tuple, list)) else wrap(moved)


def moved_step(x: Traced, base: Node) -> Flatten | Gather | None:
    """Return the step from `base` to a tensor that holds moved entries of it; None where they are the same.

    Raises
    ------
    UnsupportedOperationError
        The entries are moved in a way that is no slice, padding, choice of channels or flattening.
    """
    if x.index is None:
        return None
    if len(x.shape) not in (1, 3):
        raise UnsupportedOperationError(f"its input has the shape {x.shape} without the batch")
    index = x.index.numpy().astype(np.int64)
    is_same = index.size == int(np.prod(base.shape)) and np.array_equal(index.ravel(), np.arange(index.size))
    if is_same and map_shape(x.shape) == base.shape:
        return None
    if len(x.shape) == 1 and base.shape[1:] != (1, 1):
        return Flatten(index)
    return as_gather(index.reshape(map_shape(x.shape)), base.shape)


def is_whole(x: Traced, base: Node) -> bool:
    """Whether a vector or map holds each entry of its base once."""
    if x.index is None or is_channels_last(x):
        return True
    if len(x.shape) not in (1, 3) or (len(x.shape) == 3 and map_shape(x.shape) != base.shape):
        return False
    flat = x.index.reshape(-1)
    if flat.numel() != int(np.prod(base.shape)):
        return False
    order = flat if len(x.shape) != 1 or base.shape[1:] == (1, 1) else flat.sort().values
    return bool(torch.equal(order, torch.arange(flat.numel())))


def map_shape(shape: tuple[int, ...]) -> MapShape:
    """Return a shape without the batch as (channel, row, col)."""
    return (shape[0], 1, 1) if len(shape) == 1 else (shape[0], shape[1], shape[2])


def traced_in(value: Any) -> list[Traced]:
    """Return the data among the arguments of an operation."""
    if isinstance(value, Traced):
        return [value]
    if isinstance(value, (tuple, list)):
        return [found for part in value for found in traced_in(part)]
    if isinstance(value, dict):
        return [found for part in value.values() for found in traced_in(part)]
    return []


def _swap(value: Any, change: Callable[[Traced], Any]) -> Any:
    if isinstance(value, Traced):
        return change(value)
    if isinstance(value, (tuple, list)) and type(value) in (tuple, list, fx.immutable_collections.immutable_list):
        parts = [_swap(part, change) for part in value]
        return tuple(parts) if isinstance(value, tuple) else parts
    if isinstance(value, dict):
        return {key: _swap(part, change) for key, part in value.items()}
    return value
