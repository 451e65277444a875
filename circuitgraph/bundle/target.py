"""Writing one layer of a bundle: its blocks of kernels, and the table of the edges into it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from circuitgraph.bundle import format as fmt
from circuitgraph.bundle.edges import BlockEdges, TargetEdges
from circuitgraph.errors import NonFiniteError, ShapeError
from circuitgraph.records import Layer, NewBlock

__all__ = ["check_finite", "write_target"]


def write_target(
    folder: Path,
    layer: Layer,
    bias: NDArray[np.float32] | None,
    blocks: Iterable[NewBlock],
    layers: Mapping[str, Layer],
) -> dict[str, Any]:
    """Write all kernels into a layer, and the table of their edges.

    Kernels are written and hashed, and edges encoded, on a second thread while the next sums are made; which thread
    does what changes no byte.

    Parameters
    ----------
    folder
        The bundle's, with the folders for its files in it.
    bias
        (unit,); None where it is not known.
    layers
        All layers by uid.

    Returns
    -------
    dict
        What the tables of the whole bundle need of this layer; plain enough for JSON.

    Raises
    ------
    ShapeError
        An array does not fit its layers, or two blocks of one source overlap.
    NonFiniteError
        A weight is NaN or infinite.
    """
    files: dict[str, Future[fmt.FileEntry]] = {}
    rows: list[dict[str, Any]] = []
    edges: list[BlockEdges] = []
    covered: dict[str, list[tuple[int, int]]] = {}
    out_squared: dict[str, NDArray[np.float64]] = {}
    with ThreadPoolExecutor(1, thread_name_prefix="bundle") as second:
        for local, block in enumerate(blocks):
            # numbered by layer, so that a number does not depend on where an import was interrupted
            number = layer.index * fmt.BLOCKS_A_LAYER + local
            span = _check_block(layer, block, layers)
            for start, stop in covered.setdefault(block.up, []):
                if span[0] < stop and start < span[1]:
                    raise ShapeError(f"{block.up} -> {layer.uid}: rows {span} and {(start, stop)} overlap.")
            covered[block.up].append(span)
            arrays = _arrays(block, f"{number:08d}")
            for name, array in arrays.items():
                files[name] = second.submit(fmt.write_npy, folder / name, array)
            edges.append(_edges(block, number, layer))
            squared = np.zeros(layers[block.up].unit_count)
            edges[-1].add_up("l2", "up", squared, squared=True)
            out_squared[block.up] = squared + out_squared.get(block.up, 0)
            rows.append(_block_row(block, number, span, edges[-1], list(arrays)) | {"squared": float(squared.sum())})
        target = TargetEdges(edges, layer.unit_count)
        for row in rows:
            row["strong_sum_cut"], row["strong_l2_cut"] = target.cuts[row["up"]]
        name = f"edges/{layer.index:04d}.parquet"
        table = fmt.TableWriter(folder / name, fmt.EDGES_SCHEMA)
        with table:
            last: Future[None] | None = None
            for part in target.iter_slices():
                if last is not None:
                    last.result()
                last = second.submit(table.write, part)
            if last is not None:
                last.result()
        entries = {**{name: future.result() for name, future in files.items()}, name: table.entry}
    in_squared = np.zeros(layer.unit_count)
    for own in edges:
        own.add_up("l2", "down", in_squared, squared=True)
    return {
        "bias": [None] * layer.unit_count if bias is None else bias.tolist(),
        "in_squared": in_squared.tolist(),
        "out_squared": {up: squared.tolist() for up, squared in out_squared.items()},
        "rows": rows,
        "files": {name: entry.model_dump() for name, entry in entries.items()},
    }


def _edges(block: NewBlock, number: int, layer: Layer) -> BlockEdges:
    where = f"{block.up} -> {layer.uid}"
    edges = BlockEdges(
        block.kernels,
        form=block.form,
        row_start=block.row_start,
        offset=block.offset,
        up_channels=block.up_channels,
        gross=block.gross,
        number=number,
        source=block.up,
    )
    # a sum of magnitudes is finite where every weight is, but for one beyond float32
    if block.form == "diagonal" or not _is_finite(edges.magnitudes["l1"]):
        check_finite(block.kernels, where)
    check_finite(edges.magnitudes["l1"], f"sums of {where}")
    return edges


def _arrays(block: NewBlock, stem: str) -> dict[str, NDArray[Any]]:
    """Return the arrays of a block by the name of their file, the kernels first."""
    arrays: dict[str, NDArray[Any]] = {f"kernels/{stem}.npy": block.kernels}
    if block.up_channels is not None:
        arrays[f"kernels/{stem}.up.npy"] = block.up_channels.astype(np.int32, copy=False)
    for place, factor in enumerate(block.factors):
        arrays[f"factors/{stem}.{place}.npy"] = factor.astype(np.float32, copy=False)
    return arrays


def _check_block(layer: Layer, block: NewBlock, layers: Mapping[str, Layer]) -> tuple[int, int]:
    where = f"{block.up} -> {layer.uid}"
    if block.down != layer.uid:
        raise ShapeError(f"{where}: the block is of {block.down}.")
    if block.up not in layers or layers[block.up].index >= layer.index:
        raise ShapeError(f"{where}: the upstream layer is not an earlier layer of the network.")
    shape, up_count = block.kernels.shape, layers[block.up].unit_count
    if block.kernels.dtype != np.float32:
        raise ShapeError(f"{where}: kernels are {block.kernels.dtype}, float32 is wanted.")
    if block.form == "diagonal":
        fits = len(shape) == 3 and block.up_channels is not None and block.up_channels.shape == shape[:1]
        if fits and block.up_channels is not None and block.up_channels.size:
            fits = int(block.up_channels.max()) < up_count and int(block.up_channels.min()) >= -1
    else:
        fits = len(shape) == 4 and shape[1] == up_count and block.up_channels is None
    if not fits or 0 in shape:
        raise ShapeError(f"{where}: kernels of shape {shape} do not fit a {block.form} block of {up_count} sources.")
    if block.gross is not None and block.gross.shape != shape[:-2]:
        raise ShapeError(f"{where}: gross has the shape {block.gross.shape}, kernels {shape}.")
    span = (block.row_start, block.row_start + shape[0])
    if span[0] < 0 or span[1] > layer.unit_count:
        raise ShapeError(f"{where}: rows {span[0]} to {span[1] - 1} of {layer.unit_count} units.")
    return span


def _block_row(
    block: NewBlock, number: int, span: tuple[int, int], edges: BlockEdges, files: list[str]
) -> dict[str, Any]:
    middle: tuple[float | None, float | None] = (None, None)
    if edges.cancellation is not None and edges.count > 0:
        found = np.quantile(edges.cancellation, [0.5, 0.9])
        middle = (float(found[0]), float(found[1]))
    return {
        "block": number,
        "up": block.up,
        "down": block.down,
        "row_start": span[0],
        "row_stop": span[1],
        "form": block.form,
        "kh": block.kernels.shape[-2],
        "kw": block.kernels.shape[-1],
        "offset_row": block.offset[0],
        "offset_col": block.offset[1],
        "stride_row": block.stride[0],
        "stride_col": block.stride[1],
        "approximations": list(block.approximations),
        "edge_count": edges.count,
        "zero_count": edges.count - int(np.count_nonzero(edges.magnitudes["l1"])),
        "l1": float(edges.magnitudes["l1"].sum(dtype=np.float64)),
        "cancellation_median": middle[0],
        "cancellation_p90": middle[1],
        "file": files[0],
        "up_file": files[1] if block.up_channels is not None else None,
        "factor_files": [name for name in files if name.startswith("factors/")],
        "ignored_activations": block.ignored_activations,
    }


def _is_finite(array: NDArray[Any]) -> bool:
    # a sum is finite exactly when every term is (but for overflow), and needs no mask the size of the array
    with np.errstate(invalid="ignore", over="ignore"):
        return array.size == 0 or bool(np.isfinite(array.sum(dtype=np.float64)))


def check_finite(array: NDArray[Any], where: str) -> None:
    """Refuse an array with a value that is NaN or infinite, and say where.

    Raises
    ------
    NonFiniteError
        There is one.
    """
    if _is_finite(array):
        return
    bad = np.argwhere(~np.isfinite(array))
    if len(bad):
        place = tuple(int(index) for index in bad[0])
        raise NonFiniteError(
            f"{where}: {len(bad)} of {array.size} values are NaN or infinite, the first at {place}.",
            hint="The weights file is damaged or training diverged; nothing was written.",
        )
