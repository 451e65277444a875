"""Adding directions to a bundle and removing them: a whole new state, put in place of the old one in a moment.

What does not change is linked into the new state, not copied. A change that is killed
leaves the bundle as it was, and a folder ``NAME.circuit.directions`` which the next
change clears away.
"""

from __future__ import annotations

import errno
import io
import json
import os
import shutil
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from filelock import FileLock, Timeout
from numpy.typing import ArrayLike, NDArray

from circuitgraph import __version__
from circuitgraph.bundle import format as fmt
from circuitgraph.bundle.blocks import DirectionBlockInfo
from circuitgraph.bundle.direction_kernels import (
    DirectionWeights,
    Group,
    Held,
    Kinds,
    block_info,
    direction_edges,
    groups_into,
)
from circuitgraph.bundle.direction_state import Layout, check_coefficients, check_names, merge_directions, orient
from circuitgraph.bundle.partial import created_now, finish_swap, swap
from circuitgraph.bundle.read import Bundle
from circuitgraph.errors import (
    BlockTooLargeError,
    BundleError,
    CircuitGraphError,
    DiskFullError,
    NonFiniteError,
    UnknownUnitError,
)
from circuitgraph.ids import UnitId
from circuitgraph.progress import SILENT, Progress
from circuitgraph.records import Layer

__all__ = ["MAX_BLOCK_BYTES", "add_directions", "remove_directions"]

MAX_BLOCK_BYTES = 2 << 30
_WORK = ".directions"
_State = dict[str, Held]


MAX_BLOCK_BYTES = 2 << 30
_WORK = ".directions"
_HELD_CELLS = 1 << 24


def add_directions(
    bundle: Bundle,
    layer: str,
    coefficients: ArrayLike,
    *,
    names: Sequence[str] | None = None,
    source: str = "",
    normalise: bool = False,
    layout: Layout = "auto",
    replace: bool = False,
    max_block_bytes: int = MAX_BLOCK_BYTES,
    progress: Progress = SILENT,
) -> Bundle:
    """Add directions to a layer of a bundle, and their kernels to and from all units they are connected with.

    Parameters
    ----------
    layer
        Uid, name, alias or unambiguous ending.
    coefficients
        (direction, channel), in units of the neurons' activations; held as float32. The transpose is recognised by
        its shape; a square matrix needs `layout`.
    names
        One a direction, ``d0``, ``d1``, ... if not given. The uid is ``network/layer@name``.
    source
        Where they come from, in words: a file's name, "NMF, 12 factors".
    normalise
        Whether each direction is divided by its l2 norm.
    replace
        Whether directions that are there with other coefficients may be replaced. The same again changes nothing.
    max_block_bytes
        Most bytes of the kernels of one pair of layers, from or to directions.

    Returns
    -------
    Bundle
        The bundle as it is now, opened again; `bundle` still reads what it was opened on.

    Raises
    ------
    ShapeError
        The matrix does not fit the layer, or could be read both ways; a direction is zero; names do not fit.
    NonFiniteError
        A coefficient is NaN, or infinite as float32.
    IdError
        A name does not follow the grammar of uids.
    BundleError
        A name is given twice, or is there with other coefficients and `replace` is false.
    BlockTooLargeError
        A block would be larger than `max_block_bytes`; nothing was changed.
    UnknownLayerError, DiskFullError
        There is no such layer, or no room.

    Notes
    -----
    The edge between two directions is ``n1 W n2^T`` at each position, over all stored blocks of the two layers, summed
    in float64 and stored as float32; one-hot coefficients give the neuron's own kernels. The bias is ``n . b``. A
    direction upstream stands for its activation pattern: its edge is what a target gets where the pattern is present
    once. Strong flags do not depend on a direction's length; `l1`, `sum` and `share_in` do.
    """
    home = bundle.layer(layer)
    act = f"adding directions to {home.uid}"
    matrix = check_coefficients(
        orient(coefficients, home.unit_count, layout=layout, act=act), act, names, normalise=normalise
    )
    given = tuple(names) if names is not None else tuple(f"d{place}" for place in range(len(matrix)))
    check_names(given, len(matrix), home, act)
    with _changing(bundle) as now:
        state = _state_of(now)
        changed = merge_directions(state, home.uid, Held(given, (source,) * len(given), matrix), act, replace=replace)
        if not changed:
            return Bundle.open(bundle.path)
        return _write(now, state, home.uid, max_block_bytes, progress)


def remove_directions(
    bundle: Bundle, layer: str, names: Sequence[str] | None = None, *, progress: Progress = SILENT
) -> Bundle:
    """Remove directions from a layer, all of them where no names are given.

    A bundle whose last direction is removed is what it was before the first was added.

    Raises
    ------
    UnknownUnitError
        The layer has no such direction, or none at all; nothing was changed.
    """
    home = bundle.layer(layer)
    with _changing(bundle) as now:
        state = _state_of(now)
        own = now.directions.names(home.uid)
        if not own:
            raise UnknownUnitError(
                f"removing directions of {home.uid}: it has none.",
                hint=f"`circuitgraph direction list {bundle.path}` lists them.",
            )
        gone = {now.directions.place(UnitId.parse(f"{home.uid}@{name}")) for name in (own if names is None else names)}
        kept = [place for place in range(len(own)) if place not in gone]
        if kept:
            state[home.uid] = state[home.uid].take(kept)
        else:
            del state[home.uid]
        return _write(now, state, home.uid, None, progress)


def _state_of(bundle: Bundle) -> _State:
    shelf = bundle.directions
    return {uid: Held(shelf.names(uid), shelf.sources(uid), shelf.coefficients(uid)) for uid in shelf.layers}


@contextmanager
def _changing(bundle: Bundle) -> Iterator[Bundle]:
    """Hold the bundle's lock and give the bundle as it is now; what goes wrong is said as ours."""
    path = bundle.path.resolve()
    act = f"changing the directions of {bundle.path}"
    lock = FileLock(path.with_name(path.name + ".lock"), timeout=0)
    work = path.with_name(path.name + _WORK)
    try:
        lock.acquire()
    except Timeout:
        raise BundleError(f"{act}: another process writes it now.", hint="Wait for it.") from None
    except OSError as error:
        raise BundleError(
            f"{act}: {error.strerror or error}.", hint="Copy the bundle to where you may write."
        ) from error
    try:
        finish_swap(path)
        shutil.rmtree(work, ignore_errors=True)
        with Bundle.open(path) as now:
            if now.sha256 != bundle.sha256:
                raise BundleError(f"{act}: the network was imported again meanwhile.", hint="Open it again.")
            yield now
    except CircuitGraphError:
        raise
    except MemoryError as error:
        raise BlockTooLargeError(
            f"{act}: the machine has no memory left for it; nothing was changed.", hint="Add fewer directions at once."
        ) from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise DiskFullError(
                f"{act}: no room left on the target ({error.strerror}); nothing was changed.", hint="Free some room."
            ) from error
        raise BundleError(
            f"{act}: {error.strerror or error}; nothing was changed.", hint="Mend it, then again."
        ) from error
    finally:
        shutil.rmtree(work, ignore_errors=True)
        # unlinked while held: who waits for the old file finds a new one to lock
        Path(lock.lock_file).unlink(missing_ok=True)
        lock.release()


def _write(bundle: Bundle, state: _State, changed: str, max_block_bytes: int | None, progress: Progress) -> Bundle:
    work = bundle.path.with_name(bundle.path.name + _WORK)
    _NewState(bundle, state, changed, work, max_block_bytes, progress).write()
    swap(work, bundle.path)
    return Bundle.open(bundle.path)


class _NewState:
    """A bundle with other directions, on its way into a folder of its own."""

    def __init__(
        self,
        bundle: Bundle,
        state: _State,
        changed: str,
        work: Path,
        max_block_bytes: int | None,
        progress: Progress,
    ) -> None:
        self.bundle, self.state, self.changed, self.work = bundle, state, changed, work
        self.progress = progress
        self.weights = DirectionWeights(bundle, state)
        self.groups = [group for layer in bundle.layers[1:] for group in groups_into(bundle, layer)]
        self.files: dict[str, fmt.FileEntry] = {}
        self.rows: list[dict[str, Any]] = []
        self.in_squared = {uid: np.zeros(len(held.names)) for uid, held in state.items()}
        self.out_squared = {uid: np.zeros(len(held.names)) for uid, held in state.items()}
        if max_block_bytes is not None:
            self._check_budget(max_block_bytes)

    def _is_changed(self, group: Group, kinds: Kinds) -> bool:
        ends = zip((group.up, group.down), kinds, strict=True)
        return any(layer.uid == self.changed and kind == "direction" for layer, kind in ends)

    def _check_budget(self, limit: int) -> None:
        for group in self.groups:
            for up, down in self.weights.kinds_of(group):
                rows, columns = self.weights.count(group.down, down), self.weights.count(group.up, up)
                size = 4 * rows * columns * group.window[0] * group.window[1]
                if size > limit and self._is_changed(group, (up, down)):
                    window = f"{group.window[0]}x{group.window[1]}"
                    raise BlockTooLargeError(
                        f"adding directions to {self.changed}: {rows} {down}s of {group.down.uid} x {columns} {up}s of "
                        f"{group.up.uid}, kernels of {window}, take {size:,} bytes, the limit is {limit:,}; "
                        "nothing was changed.",
                        hint=f"Add fewer directions, or allow more with --max-block {size}.",
                    )

    def write(self) -> None:
        for name in ("", *{str(Path(name).parent) for name in self.bundle.manifest.files}):
            (self.work / name).mkdir(parents=True, exist_ok=True)
        for name, entry in self.bundle.manifest.files.items():
            is_own = name == fmt.DIRECTIONS_FILE or name.startswith(f"{fmt.DIRECTIONS_FOLDER}/")
            if not is_own and name != "units.parquet":
                self._link(name, entry)
        if self.state:
            for name in ("kernels", "edges"):
                (self.work / fmt.DIRECTIONS_FOLDER / name).mkdir(parents=True, exist_ok=True)
            self._write_kernels()
            self._write_edges()
            blocks = pa.Table.from_pylist(self.rows, schema=fmt.DIRECTION_BLOCKS_SCHEMA)
            name = f"{fmt.DIRECTIONS_FOLDER}/blocks.parquet"
            self.files[name] = fmt.write_table(self.work / name, blocks)
            self._write_coefficients()
        else:
            shutil.rmtree(self.work / fmt.DIRECTIONS_FOLDER, ignore_errors=True)
        self.files["units.parquet"] = fmt.write_table(self.work / "units.parquet", self._units())
        self._write_manifest()

    def _link(self, name: str, entry: fmt.FileEntry) -> None:
        source, target = self.bundle.path / name, self.work / name
        try:
            os.link(source, target)
        except OSError:
            # another file system's own reasons; a copy is as good
            shutil.copyfile(source, target)
        self.files[name] = entry

    def _kernel_file(self, group: Group, kinds: Kinds) -> str:
        return f"{fmt.DIRECTIONS_FOLDER}/kernels/{group.block_number(kinds):010d}.npy"

    def _write_kernels(self) -> None:
        wanted = [
            (group, kinds, self._is_changed(group, kinds))
            for group in self.groups
            for kinds in self.weights.kinds_of(group)
        ]
        cells = sum(self.weights.cells(group, kinds) for group, kinds, is_new in wanted if is_new)
        with self.progress.task("making kernels of directions", 4 * cells, "bytes") as task:
            for group in self.groups:
                own = [(kinds, is_new) for each, kinds, is_new in wanted if each is group]
                for kinds, is_new in own:
                    if not is_new:
                        name = self._kernel_file(group, kinds)
                        self._link(name, self.bundle.manifest.files[name])
                new = [kinds for kinds, is_new in own if is_new]
                task.describe(f"{group.up.uid} -> {group.down.uid}")
                with ExitStack() as stack:
                    files = {kinds: stack.enter_context(self._rows(group, kinds)) for kinds in new}
                    for kinds, rows in self.weights.iter_rows(group, new):
                        files[kinds].write(rows)
                        task.advance(4 * rows.size)

    @contextmanager
    def _rows(self, group: Group, kinds: Kinds) -> Iterator[fmt.NpyRows]:
        shape = (self.weights.count(group.down, kinds[1]), self.weights.count(group.up, kinds[0]), *group.window)
        name = self._kernel_file(group, kinds)
        with fmt.NpyRows(self.work / name, shape) as rows:
            yield rows
        self.files[name] = rows.entry

    def _write_edges(self) -> None:
        with self.progress.task("edges of directions", len(self.bundle.layers) - 1, "layer") as task:
            for layer in self.bundle.layers[1:]:
                own = [(g, kinds) for g in self.groups if g.down.uid == layer.uid for kinds in self.weights.kinds_of(g)]
                if own:
                    task.describe(layer.uid)
                    self._write_edges_into(layer, own)
                task.advance()

    def _write_edges_into(self, layer: Layer, own: Sequence[tuple[Group, Kinds]]) -> None:
        into = [self._kernels(group, kinds) for group, kinds in own if kinds == ("neuron", "direction")]
        totals = self.weights.totals(layer, into)
        name = f"{fmt.DIRECTIONS_FOLDER}/edges/{layer.index:04d}.parquet"
        path = self.work / name
        with pq.ParquetWriter(path, fmt.DIRECTION_EDGES_SCHEMA, compression="zstd") as writer:
            for group, kinds in own:
                self._write_block_edges(group, kinds, totals[kinds[1]], writer)
        self.files[name] = fmt.FileEntry(sha256=fmt.file_sha256(path), bytes=path.stat().st_size)

    def _kernels(self, group: Group, kinds: Kinds) -> NDArray[np.float32]:
        return np.load(self.work / self._kernel_file(group, kinds), mmap_mode="r", allow_pickle=False)  # type: ignore[no-any-return]

    def _write_block_edges(
        self, group: Group, kinds: Kinds, totals: NDArray[np.float64], writer: pq.ParquetWriter
    ) -> None:
        kernels = self._kernels(group, kinds)
        part = block_info(group, kinds, len(kernels), self._kernel_file(group, kinds))
        count, l1, squared = 0, 0.0, 0.0
        for table in direction_edges(part, kernels, self.weights.ends(group, kinds, totals)):
            _check_finite(table, part)
            own = np.square(table["l2"].to_numpy().astype(np.float64))
            if kinds == ("neuron", "direction"):
                self.in_squared[group.down.uid] += np.bincount(
                    table["down"].to_numpy(), weights=own, minlength=len(kernels)
                )
            elif kinds == ("direction", "neuron"):
                self.out_squared[group.up.uid] += np.bincount(
                    table["up"].to_numpy(), weights=own, minlength=kernels.shape[1]
                )
            count, squared = count + table.num_rows, squared + float(own.sum())
            l1 += float(table["l1"].to_numpy().astype(np.float64).sum())
            writer.write_table(table)
        zero_count = kernels.shape[0] * kernels.shape[1] - count
        self.rows.append(_row(replace(part, edge_count=count, zero_count=zero_count, l1=l1, squared=squared)))

    def _write_coefficients(self) -> None:
        path = self.work / fmt.DIRECTIONS_FILE
        with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
            for layer in self.bundle.layers:
                if layer.uid not in self.state:
                    continue
                held = self.state[layer.uid]
                arrays: Mapping[str, NDArray[Any]] = {
                    "coefficients": held.coefficients,
                    "names": np.array(held.names),
                    "sources": np.array(held.sources),
                }
                for name, array in arrays.items():
                    buffer = io.BytesIO()
                    np.lib.format.write_array(buffer, array, version=(1, 0), allow_pickle=False)
                    # a member without a moment of its own, so that equal directions give equal bytes
                    member = zipfile.ZipInfo(f"{layer.index:04d}.{name}.npy", (1980, 1, 1, 0, 0, 0))
                    archive.writestr(member, buffer.getvalue())
        self.files[fmt.DIRECTIONS_FILE] = fmt.FileEntry(sha256=fmt.file_sha256(path), bytes=path.stat().st_size)

    def _units(self) -> pa.Table:
        units = self.bundle.units
        tables = [units.filter(pc.equal(units["kind"], "neuron")).cast(fmt.UNITS_SCHEMA)]
        feeds = {group.up.uid for group in self.groups}
        for layer in self.bundle.layers:
            if layer.uid not in self.state:
                continue
            held = self.state[layer.uid]
            in_norm, out_norm = np.sqrt(self.in_squared[layer.uid]), np.sqrt(self.out_squared[layer.uid])
            dead = (in_norm == 0) if layer.index else np.zeros(len(held.names), dtype=bool)
            dead = dead | (out_norm == 0) if layer.uid in feeds else dead
            columns = {
                "uid": [f"{layer.uid}@{name}" for name in held.names],
                "layer": [layer.uid] * len(held.names),
                "channel": [None] * len(held.names),
                "kind": ["direction"] * len(held.names),
                "bias": (self.weights.coefficients(layer) @ self.bundle.bias(layer.uid).astype(np.float64)).tolist(),
                "in_norm": in_norm.tolist(),
                "out_norm": out_norm.tolist(),
                "is_dead": dead.tolist(),
            }
            tables.append(pa.table(columns, schema=fmt.UNITS_SCHEMA))
        return pa.concat_tables(tables).combine_chunks()

    def _write_manifest(self) -> None:
        old = self.bundle.manifest
        counts = {name: count for name, count in old.counts.items() if not name.startswith("direction")}
        entry = None
        bare = old.format_version if old.directions is None else old.directions.bundle_format
        if self.state:
            counts["directions"] = sum(len(held.names) for held in self.state.values())
            counts["direction_blocks"] = len(self.rows)
            counts["direction_edges"] = sum(row["edge_count"] for row in self.rows)
            software = f"circuitgraph {__version__}"
            entry = fmt.DirectionsEntry(bundle_sha256=self.bundle.sha256, bundle_format=bare, software=software)
        manifest = old.model_copy(
            update={
                "format_version": fmt.FORMAT_VERSION if self.state else bare,
                "counts": counts,
                "files": dict(sorted(self.files.items())),
                "created": created_now(),
                "directions": entry,
            }
        )
        content = manifest.model_dump(mode="json")
        content["sha256"] = fmt.manifest_sha256(content)
        text = json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False)
        (self.work / fmt.MANIFEST).write_text(text + "\n", encoding="utf-8")


def _check_finite(table: pa.Table, part: DirectionBlockInfo) -> None:
    if not np.isfinite(table["l1"].to_numpy()).all():
        raise NonFiniteError(
            f"directions of {part.up} -> {part.down}: a kernel is beyond float32.",
            hint="Normalise them: --normalise (normalise=True).",
        )


def _row(part: DirectionBlockInfo) -> dict[str, Any]:
    row: dict[str, Any] = {"kh": part.window[0], "kw": part.window[1]}
    for name in ("offset", "stride"):
        row[f"{name}_row"], row[f"{name}_col"] = getattr(part, name)
    for name in fmt.DIRECTION_BLOCKS_SCHEMA.names:
        if name not in row:
            value = getattr(part, name)
            row[name] = list(value) if isinstance(value, tuple) else value
    return row
