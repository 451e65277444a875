"""Writing a bundle: under a temporary name, target by target, renamed when complete.

A killed import leaves ``NAME.circuit.partial``; the same import goes on from the
targets that are finished there. An import that fails leaves nothing.
"""

from __future__ import annotations

import datetime
import errno
import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import pyarrow as pa
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from circuitgraph import __version__
from circuitgraph.bundle import format as fmt
from circuitgraph.bundle.edges import BlockEdges, block_edges, target_edges
from circuitgraph.bundle.read import Bundle
from circuitgraph.errors import (
    BundleError,
    BundleExistsError,
    CircuitGraphError,
    DiskFullError,
    MissingFileError,
    NonFiniteError,
    ShapeError,
)
from circuitgraph.progress import SILENT, Progress
from circuitgraph.records import Family, Layer, NetworkInfo, NewBlock

__all__ = ["BundleWriter"]

_STATE = "state"
_KEY = "key.json"


class BundleWriter:
    """Write a bundle; use it as a context manager.

    ::

        with BundleWriter(path, info, layers) as writer:
            for layer in layers[1:]:
                if not writer.is_done(layer.uid):
                    writer.add_target(layer.uid, bias, blocks)
            bundle = writer.finish()

    Parameters
    ----------
    path
        Where the bundle is to stand, by custom ``NAME.circuit``.
    info, layers
        The network and its layers in topological order. An interrupted import is gone on with
        only where both are what they were.
    replace
        Whether a bundle that is there already may be replaced.

    Raises
    ------
    BundleExistsError
        Something is at `path` and `replace` is false.
    BundleError
        Another process writes the same bundle, or the path cannot be written.
    DiskFullError
        No room on the target; what was begun is removed.
    """

    def __init__(
        self,
        path: str | Path,
        info: NetworkInfo,
        layers: Sequence[Layer],
        *,
        replace: bool = False,
        progress: Progress = SILENT,
    ) -> None:
        self.path = Path(path)
        self.info = info
        self.layers = tuple(layers)
        self._replace = replace
        self._progress = progress
        self._by_uid = {layer.uid: layer for layer in layers}
        _check_name(self.path)
        self._partial = self.path.with_name(self.path.name + ".partial")
        self._lock = FileLock(self.path.with_name(self.path.name + ".lock"), timeout=0)
        self._families: tuple[Family, ...] = ()
        self._check()

    def _check(self) -> None:
        if self.path.exists() and not self._replace:
            raise BundleExistsError(
                f"writing {self.path}: it is already there.",
                hint="Give another path (--out), or replace it (--replace; replace=True).",
            )
        if self.path.exists() and not (self.path / fmt.MANIFEST).exists():
            raise BundleError(
                f"writing {self.path}: what is there is not a bundle, so it is not replaced.",
                hint="Give another --out.",
            )
        if not self.path.parent.is_dir():
            raise MissingFileError(
                f"writing {self.path}: the folder {self.path.parent} does not exist.", hint="Make it first."
            )
        _now()
        networks = {layer.id.network for layer in self.layers}
        if networks != {self.info.network}:
            raise BundleError(f"writing {self.path}: layers of {sorted(networks)} in a bundle of {self.info.network}.")
        if len(self._by_uid) != len(self.layers):
            raise BundleError(f"writing {self.path}: two layers have the same uid.")
        for place, layer in enumerate(self.layers):
            if layer.index != place:
                raise BundleError(f"writing {self.path}: {layer.uid} stands at {place}, its index is {layer.index}.")

    def __enter__(self) -> Self:
        try:
            self._lock.acquire()
        except Timeout:
            raise BundleError(
                f"writing {self.path}: another import is writing it now.",
                hint="Wait for it, or give another --out.",
            ) from None
        except OSError as error:
            # whatever stands there under a temporary name may be another's
            raise self._refusal(error) from error
        try:
            with self._in_context():
                _finish_swap(self.path)
                self._check()
                self._open_partial()
        except BaseException:
            self._release()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # an interrupt or a crash keeps what is finished; a refusal would only be refused again
        if isinstance(error, (CircuitGraphError, OSError)):
            shutil.rmtree(self._partial, ignore_errors=True)
        self._release()

    def _release(self) -> None:
        # unlinked while held: who waits for the old file finds a new one to lock
        Path(self._lock.lock_file).unlink(missing_ok=True)
        self._lock.release()

    @contextmanager
    def _in_context(self) -> Iterator[None]:
        try:
            yield
        except CircuitGraphError:
            raise
        except OSError as error:
            shutil.rmtree(self._partial, ignore_errors=True)
            raise self._refusal(error) from error

    def _refusal(self, error: OSError) -> CircuitGraphError:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            return DiskFullError(
                f"writing {self.path}: no room left on the target ({error.strerror}); what was begun is removed.",
                hint="Free some room, or give another --out.",
            )
        return BundleError(f"writing {self.path}: {error.strerror or error}.", hint="Give another --out.")

    def _open_partial(self) -> None:
        key = {
            "format": fmt.FORMAT_VERSION,
            "software": __version__,
            "info": self.info.model_dump(mode="json"),
            "layers": [layer.model_dump(mode="json") for layer in self.layers],
        }
        key_text = fmt.canonical_json(key)
        key_file = self._partial / _STATE / _KEY
        if key_file.exists() and key_file.read_text(encoding="utf-8") == key_text:
            done = sum(self.is_done(layer.uid) for layer in self.layers)
            if done:
                self._progress.note(
                    f"going on with an interrupted import: {done} of {len(self.layers) - 1} layers done"
                )
            return
        shutil.rmtree(self._partial, ignore_errors=True)
        for name in (_STATE, "kernels", "factors", "edges", "labels"):
            (self._partial / name).mkdir(parents=True)
        key_file.write_text(key_text, encoding="utf-8")

    def _state_file(self, layer: Layer) -> Path:
        return self._partial / _STATE / f"{layer.index:04d}.json"

    def is_done(self, down: str) -> bool:
        """Whether the blocks into layer `down` are there from an interrupted run."""
        return self._state_file(self._by_uid[down]).exists()

    def add_target(self, down: str, bias: NDArray[np.floating[Any]], blocks: Iterable[NewBlock]) -> None:
        """Add the bias of a layer and all kernels into it.

        Parameters
        ----------
        bias
            (unit,), what the pre-activation is where all sources are zero.
        blocks
            Every block whose `down` is this layer.

        Raises
        ------
        ShapeError
            An array does not fit its layers, or two blocks of one source overlap.
        NonFiniteError
            A weight is NaN or infinite.
        """
        layer = self._by_uid[down]
        if bias.shape != (layer.unit_count,):
            raise ShapeError(f"bias of {down}: {bias.shape} given for {layer.unit_count} units.")
        _check_finite(bias, f"bias of {down}")
        with self._in_context():
            self._write_target(layer, bias.astype(np.float32, copy=False), blocks)

    def _write_target(self, layer: Layer, bias: NDArray[np.float32], blocks: Iterable[NewBlock]) -> None:
        rows: list[dict[str, Any]] = []
        files: dict[str, fmt.FileEntry] = {}
        summaries: list[tuple[int, str, BlockEdges]] = []
        covered: dict[str, list[tuple[int, int]]] = {}
        for local, block in enumerate(blocks):
            # numbered by layer, so that a number does not depend on where an import was interrupted
            number = layer.index * fmt.BLOCKS_A_LAYER + local
            span = self._check_block(layer, block)
            for start, stop in covered.setdefault(block.up, []):
                if span[0] < stop and start < span[1]:
                    raise ShapeError(f"{block.up} -> {layer.uid}: rows {span} and {(start, stop)} overlap.")
            covered[block.up].append(span)
            stem = f"{number:08d}"
            edges = block_edges(
                block.kernels,
                form=block.form,
                row_start=block.row_start,
                offset=block.offset,
                up_channels=block.up_channels,
                gross=block.gross,
            )
            _check_finite(edges.scalars["l1"], f"sums of {block.up} -> {layer.uid}")
            summaries.append((number, block.up, edges))
            row = {"block": number, **_block_row(block, span, edges)}
            row["file"] = f"kernels/{stem}.npy"
            files[row["file"]] = fmt.write_npy(self._partial / row["file"], block.kernels)
            if block.up_channels is not None:
                row["up_file"] = f"kernels/{stem}.up.npy"
                files[row["up_file"]] = fmt.write_npy(
                    self._partial / row["up_file"], block.up_channels.astype(np.int32, copy=False)
                )
            for place, factor in enumerate(block.factors):
                name = f"factors/{stem}.{place}.npy"
                row["factor_files"].append(name)
                files[name] = fmt.write_npy(self._partial / name, factor.astype(np.float32, copy=False))
            rows.append(row)
        table, cuts = target_edges(summaries, layer.unit_count)
        for row in rows:
            row["strong_sum_cut"], row["strong_l2_cut"] = cuts[row["up"]]
        state = {
            "bias": [float(value) for value in bias],
            "in_squared": _squared(table, "down", layer.unit_count),
            "out_squared": {
                up: _squared(
                    pa.concat_tables([_of_block(table, n) for n, other, _ in summaries if other == up]),
                    "up",
                    self._by_uid[up].unit_count,
                )
                for up in covered
            },
            "rows": rows,
        }
        edges_name = f"edges/{layer.index:04d}.parquet"
        files[edges_name] = fmt.write_table(self._partial / edges_name, table)
        state["files"] = {name: entry.model_dump() for name, entry in files.items()}
        temporary = self._state_file(layer).with_suffix(".tmp")
        temporary.write_text(fmt.canonical_json(state), encoding="utf-8")
        temporary.replace(self._state_file(layer))

    def _check_block(self, layer: Layer, block: NewBlock) -> tuple[int, int]:
        where = f"{block.up} -> {layer.uid}"
        if block.down != layer.uid:
            raise ShapeError(f"{where}: the block is of {block.down}.")
        if block.up not in self._by_uid or self._by_uid[block.up].index >= layer.index:
            raise ShapeError(f"{where}: the upstream layer is not an earlier layer of the network.")
        shape, up_count = block.kernels.shape, self._by_uid[block.up].unit_count
        if block.kernels.dtype != np.float32:
            raise ShapeError(f"{where}: kernels are {block.kernels.dtype}, float32 is wanted.")
        if block.form == "diagonal":
            fits = len(shape) == 3 and block.up_channels is not None and block.up_channels.shape == shape[:1]
            if fits and block.up_channels is not None and block.up_channels.size:
                fits = int(block.up_channels.max()) < up_count and int(block.up_channels.min()) >= -1
        else:
            fits = len(shape) == 4 and shape[1] == up_count and block.up_channels is None
        if not fits or 0 in shape:
            raise ShapeError(
                f"{where}: kernels of shape {shape} do not fit a {block.form} block of {up_count} sources."
            )
        if block.gross is not None and block.gross.shape != shape[:-2]:
            raise ShapeError(f"{where}: gross has the shape {block.gross.shape}, kernels {shape}.")
        span = (block.row_start, block.row_start + shape[0])
        if span[0] < 0 or span[1] > layer.unit_count:
            raise ShapeError(f"{where}: rows {span[0]} to {span[1] - 1} of {layer.unit_count} units.")
        _check_finite(block.kernels, where)
        return span

    def add_families(self, families: Iterable[Family]) -> None:
        """Add families of units that came with the import.

        Raises
        ------
        UnknownUnitError
            A family names a layer or channel that the network does not have.
        """
        self._families = tuple(families)
        known = {layer.uid: layer for layer in self.layers}
        for family in self._families:
            for member in family.members:
                _check_member(member.unit, known)

    def finish(self) -> Bundle:
        """Write what is about the whole, rename, and open the bundle.

        Raises
        ------
        BundleError
            A target was not added.
        """
        missing = [layer.uid for layer in self.layers[1:] if not self.is_done(layer.uid)]
        if missing:
            raise BundleError(f"writing {self.path}: nothing was added for {', '.join(missing[:3])}.")
        with self._in_context():
            manifest = self._write_whole()
            shutil.rmtree(self._partial / _STATE)
            text = json.dumps(manifest, indent=1, sort_keys=True, ensure_ascii=False)
            (self._partial / fmt.MANIFEST).write_text(text + "\n", encoding="utf-8")
            _swap(self._partial, self.path)
        return Bundle.open(self.path)

    def _write_whole(self) -> dict[str, Any]:
        states = {
            layer.uid: json.loads(self._state_file(layer).read_text(encoding="utf-8")) for layer in self.layers[1:]
        }
        files = {name: fmt.FileEntry(**entry) for state in states.values() for name, entry in state["files"].items()}
        rows = [row for state in states.values() for row in state["rows"]]
        blocks = pa.Table.from_pylist(rows, schema=fmt.BLOCKS_SCHEMA)
        units = self._units_table(states)
        files["layers.parquet"] = fmt.write_table(self._partial / "layers.parquet", self._layers_table())
        files["units.parquet"] = fmt.write_table(self._partial / "units.parquet", units)
        files["blocks.parquet"] = fmt.write_table(self._partial / "blocks.parquet", blocks)
        families = [family.model_dump(mode="json") for family in self._families]
        labels = json.dumps(families, indent=1, ensure_ascii=False).encode()
        (self._partial / "labels" / "families.json").write_bytes(labels)
        files["labels/families.json"] = fmt.FileEntry(sha256=sha256(labels).hexdigest(), bytes=len(labels))
        self._remove_strangers(files)
        manifest = fmt.Manifest(
            format_version=fmt.FORMAT_VERSION,
            info=self.info,
            strong_share=fmt.STRONG_SHARE,
            mixes_sum_share=fmt.MIXES_SUM_SHARE,
            counts={
                "layers": len(self.layers),
                "units": units.num_rows,
                "pairs": len({(row["up"], row["down"]) for row in rows}),
                "blocks": blocks.num_rows,
                "edges": sum(row["edge_count"] for row in rows),
                "families": len(families),
            },
            files=dict(sorted(files.items())),
            created=_now(),
            software=f"circuitgraph {__version__}",
            sha256="",
        )
        content = manifest.model_dump(mode="json")
        return {**content, "sha256": fmt.manifest_sha256(content)}

    def _remove_strangers(self, files: Mapping[str, fmt.FileEntry]) -> None:
        # a killed run may have begun a target with more files than it has now
        for name in list(fmt.iter_files(self._partial)):
            if name not in files and not name.startswith(f"{_STATE}/"):
                (self._partial / name).unlink()

    def _layers_table(self) -> pa.Table:
        rows = []
        for layer in self.layers:
            row: dict[str, Any] = {"uid": layer.uid, "index": layer.index, "kind": layer.kind}
            row["unit_count"] = layer.unit_count
            for name in ("size", "stride", "receptive_field"):
                row[f"{name}_row"], row[f"{name}_col"] = getattr(layer, name)
            rows.append({**row, "aliases": list(layer.aliases)})
        return pa.Table.from_pylist(rows, schema=fmt.LAYERS_SCHEMA)

    def _units_table(self, states: dict[str, Any]) -> pa.Table:
        out_squared = {layer.uid: np.zeros(layer.unit_count) for layer in self.layers}
        feeds = set()
        for state in states.values():
            for up, values in state["out_squared"].items():
                out_squared[up] += values
                feeds.add(up)
        columns: dict[str, list[Any]] = {name: [] for name in fmt.UNITS_SCHEMA.names}
        for layer in self.layers:
            state = states.get(layer.uid)
            out_norm = np.sqrt(out_squared[layer.uid])
            in_norm = np.sqrt(state["in_squared"]) if state else np.zeros(layer.unit_count)
            dead = (in_norm == 0) if state else np.zeros(layer.unit_count, dtype=bool)
            if layer.uid in feeds:
                dead = dead | (out_norm == 0)
            columns["uid"] += [str(layer.unit(channel)) for channel in range(layer.unit_count)]
            columns["layer"] += [layer.uid] * layer.unit_count
            columns["channel"] += range(layer.unit_count)
            columns["kind"] += ["neuron"] * layer.unit_count
            columns["bias"] += state["bias"] if state else [0.0] * layer.unit_count
            columns["in_norm"] += in_norm.tolist()
            columns["out_norm"] += out_norm.tolist()
            columns["is_dead"] += dead.tolist()
        return pa.table(columns, schema=fmt.UNITS_SCHEMA)


def _block_row(block: NewBlock, span: tuple[int, int], edges: BlockEdges) -> dict[str, Any]:
    l1, l2 = edges.scalars["l1"].astype(np.float64), edges.scalars["l2"].astype(np.float64)
    has_gross = block.gross is not None and edges.count > 0
    return {
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
        "zero_count": int((l1 == 0).sum()),
        "l1": float(l1.sum()),
        "squared": float(np.square(l2).sum()),
        "cancellation_median": float(np.median(edges.cancellation)) if has_gross else None,
        "cancellation_p90": float(np.quantile(edges.cancellation, 0.9)) if has_gross else None,
        "up_file": None,
        "factor_files": [],
    }


def _of_block(table: pa.Table, number: int) -> pa.Table:
    import pyarrow.compute as pc

    return table.filter(pc.equal(table["block"], number))


def _squared(table: pa.Table, axis: str, count: int) -> list[float]:
    weights = np.square(table["l2"].to_numpy().astype(np.float64))
    return np.bincount(table[axis].to_numpy(), weights=weights, minlength=count).tolist()  # type: ignore[no-any-return]


def _check_finite(array: NDArray[Any], where: str) -> None:
    # a sum is finite exactly when every term is (but for overflow), and needs no mask the size of the array
    with np.errstate(invalid="ignore", over="ignore"):
        if array.size == 0 or np.isfinite(array.sum(dtype=np.float64)):
            return
    bad = np.argwhere(~np.isfinite(array))
    if len(bad):
        place = tuple(int(index) for index in bad[0])
        raise NonFiniteError(
            f"{where}: {len(bad)} of {array.size} values are NaN or infinite, the first at {place}.",
            hint="The weights file is damaged or training diverged; nothing was written.",
        )


def _check_member(unit: str, layers: dict[str, Layer]) -> None:
    from circuitgraph.bundle.read import check_channel
    from circuitgraph.errors import UnknownLayerError
    from circuitgraph.ids import UnitId

    uid = UnitId.parse(unit)
    layer = layers.get(str(uid.layer_id))
    if layer is None:
        raise UnknownLayerError(f"family member {unit}: there is no layer {uid.layer_id}.")
    check_channel(uid, layer)


def _check_name(path: Path) -> None:
    """Refuse a path that cannot name a folder, before anything is made of it."""
    try:
        if not path.name:
            raise ValueError("it has no name of its own")
        path.with_name(path.name + ".partial").lstat()
    except FileNotFoundError:
        return
    except (OSError, ValueError) as error:
        if isinstance(error, NotADirectoryError):
            return
        fact = error.strerror if isinstance(error, OSError) else error
        raise BundleError(
            f"writing {str(path)[:120]!r}: no bundle can have that path ({fact}).",
            hint="Give another --out, as in --out NAME.circuit.",
        ) from error


def _old(path: Path) -> Path:
    return path.with_name(path.name + ".old")


def _finish_swap(path: Path) -> None:
    """Put a bundle back that a run killed in the middle of `_swap` had moved away."""
    old = _old(path)
    if old.exists() and not path.exists():
        old.replace(path)


def _swap(new: Path, path: Path) -> None:
    old = _old(path)
    shutil.rmtree(old, ignore_errors=True)
    if path.exists():
        path.replace(old)
    new.replace(path)
    shutil.rmtree(old, ignore_errors=True)


def _now() -> str:
    fixed = os.environ.get("SOURCE_DATE_EPOCH", "")
    if fixed and not re.fullmatch("[0-9]{1,11}", fixed):
        raise BundleError(f"SOURCE_DATE_EPOCH is {fixed!r}, a count of seconds is wanted.", hint="Unset it.")
    moment = datetime.datetime.fromtimestamp(int(fixed), datetime.UTC) if fixed else datetime.datetime.now(datetime.UTC)
    return moment.replace(microsecond=0).isoformat()
