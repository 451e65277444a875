"""What is known of a stored block of kernels without opening it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, TypeVar

import pyarrow.parquet as pq

from circuitgraph.errors import BundleError
from circuitgraph.kernels import anchor_of, union_window
from circuitgraph.records import Form

__all__ = ["BlockInfo", "DirectionBlockInfo", "UnitKind", "common_window", "read_blocks", "slides"]

UnitKind = Literal["neuron", "direction"]


@dataclass(frozen=True, slots=True)
class BlockInfo:
    """One row of ``blocks.parquet``: where a stored block of kernels lies and what it is."""

    block: int
    up: str
    down: str
    row_start: int
    row_stop: int
    form: Form
    window: tuple[int, int]
    offset: tuple[int, int]
    stride: tuple[int, int]
    approximations: tuple[str, ...]
    edge_count: int
    zero_count: int
    l1: float
    squared: float
    cancellation_median: float | None
    cancellation_p90: float | None
    strong_sum_cut: float
    strong_l2_cut: float
    file: str
    up_file: str | None
    factor_files: tuple[str, ...]
    ignored_activations: int | None = None

    @property
    def anchor(self) -> tuple[float, float]:
        """The (row, col) of a kernel that sits on the downstream unit's own position."""
        return anchor_of(self.form, self.offset, self.window)


@dataclass(frozen=True, slots=True)
class DirectionBlockInfo(BlockInfo):
    """One row of ``directions/blocks.parquet``: a block with directions at one end or both.

    Attributes
    ----------
    up_kind, down_kind
        What the block's columns and rows are: all neurons of the layer, or all its directions, in their order.
    edge_count, zero_count
        Kernels that are not zero everywhere, and those that are, which are no edges.
    strong_sum_cut, strong_l2_cut
        Those of the layers' neurons; for an edge they are multiplied by the l2 norm of each direction at its ends.
    """

    up_kind: UnitKind = "neuron"
    down_kind: UnitKind = "neuron"


_Info = TypeVar("_Info", bound=BlockInfo)
_LATER = ("ignored_activations",)


def read_blocks(path: Path, kind: type[_Info]) -> tuple[_Info, ...]:
    """Read a table of blocks."""
    # the pairs are two columns each
    names = [each.name for each in fields(kind) if each.name not in ("window", "offset", "stride")]
    return tuple(_block_info(row, names, kind) for row in pq.read_table(path).to_pylist())


def _block_info(row: dict[str, Any], names: Sequence[str], kind: type[_Info]) -> _Info:
    # a bundle of earlier software lacks the last columns
    cells = {name: row[name] for name in names if name in row or name not in _LATER}
    values: dict[str, Any] = {name: tuple(cell) if isinstance(cell, list) else cell for name, cell in cells.items()}
    values |= {name: (row[f"{name}_row"], row[f"{name}_col"]) for name in ("offset", "stride")}
    return kind(**values, window=(row["kh"], row["kw"]))


def common_window(parts: Sequence[BlockInfo]) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return (offset, window) of the smallest window that holds all blocks of a pair.

    Raises
    ------
    BundleError
        They slide differently.
    """
    first = parts[0]
    if any(part.stride != first.stride or slides(part) != slides(first) for part in parts):
        kinds = ", ".join(f"{part.form} with stride {part.stride}" for part in parts)
        raise BundleError(
            f"block {first.up} -> {first.down}: it is stored as {kinds}, which no one array holds.",
            hint="Read each with Bundle.blocks and Bundle.stored.",
        )
    return union_window([part.offset for part in parts], [part.window for part in parts])


def slides(part: BlockInfo) -> str:
    """Say how a block's kernels meet the upstream map: "window", "global" or "spatial"."""
    return part.form if part.form in ("global", "spatial") else "window"
