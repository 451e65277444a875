"""The format of a bundle: names of its files, columns of its tables, its manifest.

::

    NAME.circuit/
      manifest.json      version, network, every approximation, sha256 and size of each file
      layers.parquet     one row a layer
      units.parquet      one row a unit
      blocks.parquet     one row a block of kernels
      kernels/B.npy      block B, float32: (down, up, row, col); diagonal (down, row, col)
      kernels/B.up.npy   for a diagonal block: the upstream channel of each target, -1 for none
      factors/B.I.npy    the folded maps around a bottleneck that was multiplied out, downstream first
      edges/L.parquet    one row an edge into layer number L, sorted by block, up, down
      labels/families.json  families of units that came with the import

Directions are added later and change nothing of what is above but `units.parquet`,
where they follow the neurons::

      directions.npz              for layer number L: L.coefficients (direction, channel), L.names, L.sources
      directions/blocks.parquet   one row a block that leads to or from directions
      directions/kernels/B.npy    block B, float32: (down, up, row, col)
      directions/edges/L.parquet  one row an edge to or from directions, into layer number L; none for kernels of zeros
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, field_validator, model_serializer

from circuitgraph.kernels import SCALARS
from circuitgraph.records import Fidelity, NetworkInfo, RefusedPair

__all__ = [
    "BLOCKS_A_LAYER",
    "BLOCKS_SCHEMA",
    "DIRECTIONS_FILE",
    "DIRECTIONS_FOLDER",
    "DIRECTION_BLOCKS_SCHEMA",
    "DIRECTION_EDGES_SCHEMA",
    "EDGES_SCHEMA",
    "FIRST_DIRECTION_BLOCK",
    "FORMAT_VERSION",
    "LAYERS_SCHEMA",
    "MANIFEST",
    "MIXES_SUM_SHARE",
    "ROW_GROUP",
    "STRONG_SHARE",
    "UNITS_SCHEMA",
    "DirectionsEntry",
    "FileEntry",
    "Manifest",
    "NpyRows",
    "TableWriter",
    "canonical_json",
    "file_sha256",
    "iter_files",
    "manifest_sha256",
    "with_fidelity",
    "write_npy",
    "write_table",
]

FORMAT_VERSION = 2
"""Format 2 came with directions, fidelity and refused pairs in the manifest, whose hash leaves out `created`."""
DIRECTIONS_FILE = "directions.npz"
DIRECTIONS_FOLDER = "directions"
BLOCKS_A_LAYER = 10_000
"""A block's number is this times its target layer's index, plus its place among the blocks into that layer."""
FIRST_DIRECTION_BLOCK = 1_000_000_000
"""Blocks of directions are numbered from here, in each layer from this plus `BLOCKS_A_LAYER` times its index."""
MANIFEST = "manifest.json"

ROW_GROUP = 1 << 17
"""About how many rows of a table are packed together."""
STRONG_SHARE = 0.02
"""The share of a layer pair's edges, by |sum| or by l2, that counts as strong."""
MIXES_SUM_SHARE = 0.2
"""A strong edge by l2 mixes when its |sum| is below this share of its l1."""

_PAIR = ("row", "col")
_COUNTS = ("layers", "units", "pairs", "blocks", "edges", "families")


def _pair_fields(name: str) -> list[tuple[str, pa.DataType]]:
    return [(f"{name}_{axis}", pa.int32()) for axis in _PAIR]


LAYERS_SCHEMA = pa.schema(
    [
        ("uid", pa.string()),
        ("index", pa.int32()),
        ("kind", pa.string()),
        ("unit_count", pa.int32()),
        *_pair_fields("size"),
        *_pair_fields("stride"),
        *_pair_fields("receptive_field"),
        ("aliases", pa.list_(pa.string())),
    ]
)
UNITS_SCHEMA = pa.schema(
    [
        ("uid", pa.string()),
        ("layer", pa.string()),
        ("channel", pa.int32()),
        ("kind", pa.string()),
        ("bias", pa.float32()),
        ("in_norm", pa.float32()),
        ("out_norm", pa.float32()),
        ("is_dead", pa.bool_()),
    ]
)
BLOCKS_SCHEMA = pa.schema(
    [
        ("block", pa.int32()),
        ("up", pa.string()),
        ("down", pa.string()),
        ("row_start", pa.int32()),
        ("row_stop", pa.int32()),
        ("form", pa.string()),
        ("kh", pa.int32()),
        ("kw", pa.int32()),
        *_pair_fields("offset"),
        *_pair_fields("stride"),
        ("approximations", pa.list_(pa.string())),
        ("edge_count", pa.int64()),
        ("zero_count", pa.int64()),
        ("l1", pa.float64()),
        ("squared", pa.float64()),
        ("cancellation_median", pa.float32()),
        ("cancellation_p90", pa.float32()),
        ("strong_sum_cut", pa.float32()),
        ("strong_l2_cut", pa.float32()),
        ("file", pa.string()),
        ("up_file", pa.string()),
        ("factor_files", pa.list_(pa.string())),
        ("ignored_activations", pa.int32()),
    ]
)
EDGES_SCHEMA = pa.schema(
    [
        ("block", pa.int32()),
        ("up", pa.int32()),
        ("down", pa.int32()),
        *((name, pa.int32() if name.startswith("peak_") else pa.float32()) for name in SCALARS),
        ("cancellation", pa.float32()),
        ("share_in", pa.float32()),
        ("excites", pa.bool_()),
        ("inhibits", pa.bool_()),
        ("mixes", pa.bool_()),
    ]
)
DIRECTION_BLOCKS_SCHEMA = pa.schema([*BLOCKS_SCHEMA, ("up_kind", pa.string()), ("down_kind", pa.string())])
_UID = pa.dictionary(pa.int32(), pa.string())
# up and down: the channel of a neuron, the place of a direction among its layer's; the uids say it without looking
DIRECTION_EDGES_SCHEMA = pa.schema([*EDGES_SCHEMA, ("up_uid", _UID), ("down_uid", _UID)])


class FileEntry(BaseModel):
    """What the manifest says of one file."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    sha256: str
    bytes: int


class DirectionsEntry(BaseModel):
    """What the manifest says of directions that were added: hash and format without them, and by what software."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    bundle_sha256: str
    bundle_format: int
    software: str


class Manifest(BaseModel):
    """What ``manifest.json`` holds; `sha256` is of what is in it (`manifest_sha256`).

    `refused` are the pairs of layers that an import with ``--skip-refused`` left out.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    format_version: int
    info: NetworkInfo
    strong_share: float
    mixes_sum_share: float
    counts: dict[str, int]
    files: dict[str, FileEntry]
    created: str
    software: str
    sha256: str
    directions: DirectionsEntry | None = None
    fidelity: Fidelity | None = None
    refused: tuple[RefusedPair, ...] = ()

    @model_serializer(mode="wrap")
    def _without_what_is_not_there(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        content: dict[str, Any] = handler(self)
        optional = ("directions", "fidelity", "refused")
        return {name: value for name, value in content.items() if name not in optional or value}

    @field_validator("counts")
    @classmethod
    def _counts_are_complete(cls, counts: dict[str, int]) -> dict[str, int]:
        missing = [name for name in _COUNTS if name not in counts]
        if missing:
            raise ValueError(f"no count of {', '.join(missing)}")
        return counts


def canonical_json(value: Any) -> str:
    """Write `value` so that equal values give equal bytes."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def manifest_sha256(content: Mapping[str, Any]) -> str:
    """Hash the content of a manifest, all but its own `sha256` and the moment it was made.

    In format 1 that moment was hashed too.
    """
    left_out = ("sha256",) if content.get("format_version") == 1 else ("sha256", "created")
    body = {name: value for name, value in content.items() if name not in left_out}
    return hashlib.sha256(canonical_json(body).encode()).hexdigest()


def with_fidelity(content: Mapping[str, Any], fidelity: Fidelity | None) -> dict[str, Any]:
    """Return the content of a manifest with how well the weights predict, rounded, and with its hash made again."""
    changed = {name: value for name, value in content.items() if name != "fidelity"}
    if fidelity is not None:
        changed["fidelity"] = fidelity.rounded().model_dump(mode="json")
    return {**changed, "sha256": manifest_sha256(changed)}


class _HashingFile:
    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.digest = hashlib.sha256()
        self.size = 0

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        self._file.write(view)
        self.digest.update(view)
        self.size += len(view)
        return len(view)

    def flush(self) -> None:
        self._file.flush()

    def tell(self) -> int:
        return self.size

    @property
    def closed(self) -> bool:
        return self._file.closed

    @property
    def entry(self) -> FileEntry:
        return FileEntry(sha256=self.digest.hexdigest(), bytes=self.size)


def write_npy(path: Path, array: NDArray[Any]) -> FileEntry:
    """Write `array` as npy, hashing what goes by instead of reading it again."""
    array = np.ascontiguousarray(array)
    with path.open("wb") as raw:
        file = _HashingFile(raw)
        np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(array))
        if array.size:
            file.write(array.reshape(-1).view(np.uint8))
        return file.entry


class NpyRows:
    """An npy file that is written row by row, in order; use it as a context manager."""

    def __init__(self, path: Path, shape: tuple[int, ...]) -> None:
        self._raw = path.open("wb")
        self._file = _HashingFile(self._raw)
        header = {"descr": "<f4", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(self._file, header)

    def write(self, rows: NDArray[np.floating[Any]]) -> None:
        """Append rows, as float32."""
        if rows.size:
            self._file.write(np.ascontiguousarray(rows, dtype="<f4").reshape(-1).view(np.uint8))

    @property
    def entry(self) -> FileEntry:
        """What the manifest says of the file as far as it is written."""
        return self._file.entry

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._raw.close()


class TableWriter:
    """Writes one Parquet file piece by piece, hashing what goes by; a context manager.

    Pieces are put together to row groups of about `ROW_GROUP` rows. Numbers that hardly ever repeat are not looked
    up in a dictionary, and are packed fast rather than tight, so that writing keeps up with the disk. Nothing in the
    file tells when or where it was made.
    """

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._raw = path.open("wb")
        self._file = _HashingFile(self._raw)
        self._waiting: list[pa.Table] = []
        self._writer = pq.ParquetWriter(
            pa.PythonFile(self._file, mode="w"),
            schema,
            compression="lz4",
            use_dictionary=[field.name for field in schema if not pa.types.is_floating(field.type)],
        )

    def write(self, table: pa.Table) -> None:
        """Add rows."""
        self._waiting.append(table)
        if sum(part.num_rows for part in self._waiting) >= ROW_GROUP:
            self._flush()

    def _flush(self) -> None:
        if self._waiting:
            whole = self._waiting[0] if len(self._waiting) == 1 else pa.concat_tables(self._waiting)
            self._waiting = []
            self._writer.write_table(whole, row_group_size=max(ROW_GROUP, whole.num_rows))

    @property
    def entry(self) -> FileEntry:
        """What the manifest says of the file, once it is closed."""
        return self._file.entry

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._raw:
            if error is None:
                self._flush()
            self._writer.close()


def write_table(path: Path, table: pa.Table) -> FileEntry:
    """Write `table` as Parquet, hashing what goes by."""
    writer = TableWriter(path, table.schema)
    with writer:
        for start in range(0, table.num_rows, ROW_GROUP):
            writer.write(table.slice(start, ROW_GROUP))
    return writer.entry


def file_sha256(path: Path) -> str:
    """Hash a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def iter_files(folder: Path) -> Iterator[str]:
    """Yield the relative names of all below `folder` that is no plain folder, sorted, with forward slashes."""
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() or not path.is_dir():
            yield path.relative_to(folder).as_posix()
