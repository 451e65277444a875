"""Reading a bundle: layers, blocks and kernels, memory-mapped."""

from __future__ import annotations

import difflib
import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from filelock import FileLock, Timeout
from numpy.typing import NDArray
from pydantic import ValidationError

from circuitgraph.bundle import format as fmt
from circuitgraph.bundle.arrays import map_array
from circuitgraph.bundle.blocks import BlockInfo, common_window, read_blocks
from circuitgraph.bundle.directions import Directions
from circuitgraph.bundle.partial import finish_swap
from circuitgraph.errors import (
    BundleCorruptError,
    BundleError,
    CircuitGraphError,
    IdError,
    MissingFileError,
    ShapeError,
    UnknownLayerError,
    UnknownNetworkError,
    UnknownPairError,
    UnknownUnitError,
)
from circuitgraph.ids import UnitId
from circuitgraph.kernels import anchor_of, lay_on_window
from circuitgraph.records import Family, Fidelity, Form, Layer, NetworkInfo, RefusedPair

if TYPE_CHECKING:
    from circuitgraph.bundle.unit_view import Strength, UnitView
    from circuitgraph.draw import Picture

__all__ = ["Block", "BlockInfo", "Bundle", "check_channel"]

_AGAIN = "Import the network again."
_PATIENCE_S = 10
_CHANNEL = re.compile("0|[1-9][0-9]{0,8}")


@dataclass(frozen=True, eq=False)
class Block:
    """All kernels between two layers.

    Attributes
    ----------
    up, down
        The layers.
    kernels
        (down, up, row, col) float32; memory-mapped where the pair is stored as one dense block, else put
        together on the smallest window that holds all stored blocks, zero where nothing is stored.
    offset, stride
        (row, col) in cells of the upstream layer: ``T[o, p] = bias[o] + sum K[o, i, u] S[i, stride * p + offset + u]``
        over u and all upstream layers, far from the borders of the map.
    bias
        (down,); it belongs to the target, once, not to each of its blocks.
    approximations
        Everything linearised between the two layers.
    """

    up: Layer
    down: Layer
    kernels: NDArray[np.float32]
    offset: tuple[int, int]
    stride: tuple[int, int]
    bias: NDArray[np.float32]
    parts: tuple[BlockInfo, ...]

    @property
    def approximations(self) -> tuple[str, ...]:
        """Everything linearised between the two layers."""
        return tuple(dict.fromkeys(word for part in self.parts for word in part.approximations))

    @property
    def form(self) -> Form:
        """The form of the pair; "row block" where it is stored in several."""
        return self.parts[0].form if len(self.parts) == 1 else "row block"

    @property
    def anchor(self) -> tuple[float, float]:
        """The (row, col) of a kernel that sits on the downstream unit's own position."""
        return anchor_of(self.form, self.offset, (self.kernels.shape[2], self.kernels.shape[3]))

    def picture(self, *, limit: int = 16, scale: float | None = None, title: str = "") -> Picture:
        """Draw the first kernels as a grid, rows downstream; the picture says of how many units it shows how many.

        Raises
        ------
        ShapeError
            The kernels' window has more than 128 rows or columns, or `limit` or `scale` is not above 0.
        """
        from circuitgraph.draw.grid import draw_grid

        names = [[f"{layer.name}:{channel}" for channel in range(layer.unit_count)] for layer in (self.down, self.up)]
        return draw_grid(
            # no other kernel is read
            np.array(self.kernels[: max(1, limit), : max(1, limit)]),
            down_names=names[0],
            up_names=names[1],
            title=title or f"{self.up.name} → {self.down.name}",
            scale=scale,
            anchor=self.anchor,
            limit=limit,
        )

    def _repr_svg_(self) -> str | None:
        try:
            return self.picture().svg
        except ShapeError:
            # of a window as large as a whole map no grid is drawn
            return None

    def __repr__(self) -> str:
        shape = "x".join(str(size) for size in self.kernels.shape)
        return f"<Block {self.up.uid} -> {self.down.uid}: {shape}, offset {self.offset}, stride {self.stride}>"


class Bundle:
    """A network's expanded weights on disk.

    Open one with `Bundle.open`; it is also a context manager. Layers and units may be named by
    uid (``resnet20/layer1.0:3``), without the network, by an alias, or by an unambiguous ending
    (``4c:447`` for ``inceptionv1/mixed4c:447``).
    """

    def __init__(self, path: Path, manifest: fmt.Manifest) -> None:
        self.path = path
        self.manifest = manifest

    @classmethod
    def open(cls, path: str | Path) -> Bundle:
        """Open the bundle at `path`.

        Raises
        ------
        MissingFileError
            Nothing is there.
        BundleError
            It is not a bundle, or of a later format.
        BundleCorruptError
            A file is missing or has another size than the manifest says (`verify` looks at every byte).
        """
        path = Path(path)
        manifest = _read_manifest(path)
        for name, entry in manifest.files.items():
            file = path / name
            size = file.stat().st_size if file.is_file() else None
            if size != entry.bytes:
                found = "is missing" if size is None else f"has {size} bytes, not {entry.bytes}"
                raise BundleCorruptError(f"opening {path}: {name} {found}.", hint=_AGAIN)
        return cls(path, manifest)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of what was read; memory maps close when no array uses them any more."""
        for name in ("layers", "blocks", "directions", "families", "units", "_called"):
            self.__dict__.pop(name, None)

    @property
    def info(self) -> NetworkInfo:
        """What the bundle says of its network and import."""
        return self.manifest.info

    @property
    def network(self) -> str:
        """The network's id."""
        return self.info.network

    @property
    def fidelity(self) -> Fidelity | None:
        """How well the weights predict the network, as it was measured last; None where it was not."""
        return self.manifest.fidelity

    @property
    def sha256(self) -> str:
        """The hash of everything that was imported; not of when, of directions, or of how well its weights predict."""
        if self.manifest.directions is not None:
            return self.manifest.directions.bundle_sha256
        body = self.manifest.model_dump(mode="json", exclude={"created", "sha256", "fidelity"})
        return hashlib.sha256(fmt.canonical_json(body).encode()).hexdigest()

    @property
    def refused(self) -> tuple[RefusedPair, ...]:
        """Pairs of layers that the import left out, with the reason of each."""
        return self.manifest.refused

    @property
    def directions_sha256(self) -> str:
        """The hash of all directions and their kernels; empty where there are none."""
        own = {name: entry.sha256 for name, entry in self.manifest.files.items() if name.startswith("directions")}
        return hashlib.sha256(fmt.canonical_json(own).encode()).hexdigest() if own else ""

    @cached_property
    def directions(self) -> Directions:
        """Directions that were added to layers, with their coefficients, kernels and edges."""
        return Directions(self)

    @cached_property
    def layers(self) -> tuple[Layer, ...]:
        """The layers in topological order, the input first."""
        with self._reading("layers.parquet") as path:
            return tuple(_layer(row) for row in pq.read_table(path).to_pylist())

    @cached_property
    def units(self) -> pa.Table:
        """One row a unit: uid, layer, channel, kind, bias, in_norm, out_norm, is_dead; directions after all neurons."""
        return self._table("units.parquet", fmt.UNITS_SCHEMA)

    @cached_property
    def blocks(self) -> tuple[BlockInfo, ...]:
        """Every stored block between neurons, by target layer; those of directions are in `directions`."""
        with self._reading("blocks.parquet") as path:
            return read_blocks(path, BlockInfo)

    @cached_property
    def families(self) -> tuple[Family, ...]:
        """Families of units that came with the import."""
        with self._reading("labels/families.json") as path:
            return tuple(Family(**row) for row in json.loads(path.read_text(encoding="utf-8")))

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """(up, down) uids of all layer pairs with kernels between them, in order of the target."""
        return tuple(dict.fromkeys((block.up, block.down) for block in self.blocks))

    @cached_property
    def _called(self) -> dict[str, Layer]:
        # a name that several layers have is the first one's
        return {name: layer for layer in reversed(self.layers) for name in (*layer.aliases, layer.name)}

    def layer(self, name: str) -> Layer:
        """Return the layer called `name`: its uid, its name, an alias, or an unambiguous ending.

        Raises
        ------
        UnknownLayerError
            No layer is called so, or several names end so.
        UnknownNetworkError
            The name is of another network.
        """
        network, _, short = name.rpartition("/")
        if network and network != self.network:
            raise UnknownNetworkError(
                f"layer {name!r}: this bundle holds {self.network}.", hint=f"Ask for {self.network}/{short}."
            )
        if short in self._called:
            return self._called[short]
        ends = [layer for layer in self.layers if len(short) >= 2 and layer.name.endswith(short)]
        if len(ends) == 1:
            return ends[0]
        if ends:
            raise UnknownLayerError(
                f"layer {name!r}: {len(ends)} layers of {self.network} end so: {_some([e.name for e in ends])}.",
                hint=f"Write it out, as in {ends[0].name}.",
            )
        names = [layer.name for layer in self.layers]
        close = difflib.get_close_matches(short, names, n=3)
        raise UnknownLayerError(
            f"layer {name!r} does not exist in {self.network}, which has {len(names)}: {_some(names)}.",
            hint=f"Did you mean {' or '.join(close)}?" if close else f"`circuitgraph inspect {self.path}` lists them.",
        )

    def unit(self, name: str) -> UnitId:
        """Return the id of the neuron or direction called `name` (``net/layer:3``, ``4c:447``, ``net/layer@car-2``).

        Raises
        ------
        UnknownLayerError, UnknownUnitError
            The layer, or the channel or direction in it, does not exist.
        """
        layer_name, at, direction = name.rpartition("@")
        if at and layer_name:
            layer = self.layer(layer_name)
            unit = UnitId.parse(f"{layer.uid}@{direction}")
            self.directions.place(unit)
            return unit
        return self.neuron(name)

    def neuron(self, name: str) -> UnitId:
        """Return the id of the neuron called `name`, as `unit` does; what is read by channel takes no direction.

        Raises
        ------
        UnknownLayerError, UnknownUnitError
            The layer, or the channel in it, does not exist, or it is a direction.
        """
        layer_name, _, channel = name.rpartition(":")
        if not layer_name and "@" in name:
            raise UnknownUnitError(
                f"unit {name[:80]!r} is a direction; a neuron is wanted here.",
                hint=f"Name a neuron by its channel, as in {self.layers[-1].unit(0)}.",
            )
        if not layer_name or not _CHANNEL.fullmatch(channel):
            raise IdError(
                f"{name[:80]!r} is not the uid of a unit.",
                hint=f"It has the form network/layer:channel, as in {self.layers[-1].unit(0)}.",
            )
        layer = self.layer(layer_name)
        return check_channel(layer.unit(int(channel)), layer)

    def block(self, up: str, down: str) -> Block:
        """Return all kernels from layer `up` to layer `down`.

        Raises
        ------
        UnknownLayerError
            There is no such layer.
        UnknownPairError
            No weights lead from `up` to `down` without passing another layer of units.
        BundleError
            The pair is stored in blocks that slide differently, so that no one array holds it.
        """
        upper, lower = self.layer(up), self.layer(down)
        parts = self._parts(upper, lower)
        offset, window = common_window(parts)
        kernels: NDArray[np.float32]
        if len(parts) == 1 and parts[0].up_file is None and self._covers(parts[0], lower):
            kernels = self.stored(parts[0])
        else:
            kernels = np.zeros((lower.unit_count, upper.unit_count, *window), dtype=np.float32)
            for part in parts:
                self._lay(part, kernels, offset, window)
            kernels.flags.writeable = False
        return Block(upper, lower, kernels, offset, parts[0].stride, self.bias(lower.uid), parts)

    def kernel(self, up: str, down: str) -> NDArray[np.float32]:
        """Return the (row, col) kernel from unit `up` to unit `down`: ``block(up, down).kernels[down, up]``.

        It lies on the window of the whole pair, whose offset `block` tells, and reads no more than itself. Either end
        may be a direction (``net/layer@name``).

        Raises
        ------
        UnknownUnitError, UnknownLayerError, UnknownPairError
            The unit, its layer or the pair of layers does not exist.
        """
        u, d = self.unit(up), self.unit(down)
        if u.direction is not None or d.direction is not None:
            self._parts(self.layer(str(u.layer_id)), self.layer(str(d.layer_id)))
            return self.directions.kernel(u, d)
        upper, lower = self.layer(str(u.layer_id)), self.layer(str(d.layer_id))
        offset, window = common_window(self._parts(upper, lower))
        part = self.part_of(upper, lower, d.channel or 0)
        if part is None:
            return np.zeros(window, dtype=np.float32)
        row = (d.channel or 0) - part.row_start
        if part.up_file is None:
            own = self.stored(part)[row, u.channel]
        elif self.up_channels(part)[row] == u.channel:
            own = self.stored(part)[row]
        else:
            own = np.zeros(part.window, dtype=np.float32)
        return np.array(lay_on_window(own, part.offset, offset, window))

    def view(self, unit: str, *, top: int = 8, by: Strength = "l2") -> UnitView:
        """Return a unit with its `top` strongest kernels upstream and as many downstream; a notebook draws it.

        Nothing else of the layers' blocks is read, so that it is quick in large networks.

        Parameters
        ----------
        by
            What "strongest" is measured in: "l2", "l1", or "share_in" (of the target's total l1); or where it acts:
            with "top" what excites most at the top comes first, with "-top" what inhibits most there, and so with
            "bottom", "left", "right", "centre" and "sum".

        Raises
        ------
        UnknownUnitError, UnknownLayerError
            There is no such unit or layer.
        BundleError
            `top` or `by` cannot be used.
        """
        from circuitgraph.bundle.unit_view import view_unit

        return view_unit(self, unit, top=top, by=by)

    def part_of(self, up: Layer, down: Layer, channel: int) -> BlockInfo | None:
        """Return the stored block that holds the kernels from `up` to one unit of `down`, None where it has none.

        Raises
        ------
        UnknownPairError
            No weights lead from `up` to `down`.
        """
        return next((part for part in self._parts(up, down) if part.row_start <= channel < part.row_stop), None)

    def bias(self, layer: str) -> NDArray[np.float32]:
        """Return the (unit,) biases of a layer."""
        start = 0
        wanted = self.layer(layer)
        for other in self.layers[: wanted.index]:
            start += other.unit_count
        return self.units["bias"].slice(start, wanted.unit_count).to_numpy()  # type: ignore[no-any-return]

    def stored(self, part: BlockInfo) -> NDArray[np.float32]:
        """Return a block's kernels as stored: (down, up, row, col), or (down, row, col) if diagonal; memory-mapped."""
        return self._array(part.file)

    def up_channels(self, part: BlockInfo) -> NDArray[np.int32]:
        """Return which upstream channel each target of a diagonal block reads, -1 for none.

        Raises
        ------
        BundleError
            The block is not diagonal.
        """
        if part.up_file is None:
            raise BundleError(f"block {part.block}, {part.up} -> {part.down}, is {part.form}, not diagonal.")
        return self._array(part.up_file)

    def factors(self, part: BlockInfo) -> tuple[NDArray[np.float32], ...]:
        """Return the folded maps around a block's multiplied-out bottleneck, downstream first; empty where none."""
        return tuple(self._array(name) for name in part.factor_files)

    def edges(self, down: str) -> pa.Table:
        """Return one row for each edge between neurons into layer `down`, without kernels (`format.EDGES_SCHEMA`)."""
        layer = self.layer(down)
        name = f"edges/{layer.index:04d}.parquet"
        return self._table(name, fmt.EDGES_SCHEMA) if name in self.manifest.files else fmt.EDGES_SCHEMA.empty_table()

    def iter_edges(self, *, rows: int = 1 << 17) -> Iterator[tuple[BlockInfo, pa.RecordBatch]]:
        """Yield every edge between neurons, in batches of one block each of at most `rows` rows."""
        by_number = {part.block: part for part in self.blocks}
        for layer in self.layers[1:]:
            with (
                self._reading(f"edges/{layer.index:04d}.parquet") as path,
                pq.ParquetFile(path) as file,
            ):
                for batch in file.iter_batches(batch_size=rows):
                    yield from _split_by_block(batch, by_number)

    def _parts(self, up: Layer, down: Layer) -> tuple[BlockInfo, ...]:
        parts = tuple(part for part in self.blocks if part.up == up.uid and part.down == down.uid)
        if not parts:
            raise self._no_pair(up, down)
        return parts

    def _covers(self, part: BlockInfo, layer: Layer) -> bool:
        return (part.row_start, part.row_stop) == (0, layer.unit_count)

    def _lay(
        self, part: BlockInfo, kernels: NDArray[np.float32], offset: tuple[int, int], window: tuple[int, int]
    ) -> None:
        laid = lay_on_window(self.stored(part), part.offset, offset, window)
        if part.up_file is None:
            kernels[part.row_start : part.row_stop] = laid
            return
        sources = self.up_channels(part)
        rows = np.flatnonzero(sources >= 0)
        kernels[rows + part.row_start, sources[rows]] = laid[rows]

    def _no_pair(self, up: Layer, down: Layer) -> UnknownPairError:
        sources = [a for a, b in self.pairs if b == down.uid]
        return UnknownPairError(
            f"no weights lead from {up.uid} to {down.uid} without passing another layer of units.",
            hint=f"Layers with kernels into {down.uid}: {', '.join(sources) or 'none'}.",
        )

    @contextmanager
    def _reading(self, name: str) -> Iterator[Path]:
        """Give the path of a file of the manifest; what goes wrong in reading it is said as ours."""
        if name not in self.manifest.files:
            raise BundleCorruptError(f"reading {self.path}: {name!r} is not in the manifest.", hint=_AGAIN)
        try:
            yield self.path / name
        except CircuitGraphError:
            raise
        except (pa.ArrowException, OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise BundleCorruptError(
                f"reading {self.path / name}: {str(error).splitlines()[0] if str(error) else 'it is damaged'}.",
                hint=_AGAIN,
            ) from error

    def _table(self, name: str, schema: pa.Schema) -> pa.Table:
        with self._reading(name) as path:
            table = pq.read_table(path)
            missing = [column for column in schema.names if column not in table.column_names]
            if missing:
                raise ValueError(f"it has no column {', '.join(missing)}")
            return table

    def _array(self, name: str) -> NDArray[Any]:
        with self._reading(name) as path:
            return map_array(path)

    def __repr__(self) -> str:
        counts = self.manifest.counts
        return f"<Bundle {self.network}: {counts['layers']} layers, {counts['units']} units, {counts['edges']} edges>"


def check_channel(unit: UnitId, layer: Layer) -> UnitId:
    """Return `unit` if its layer has that channel.

    Raises
    ------
    UnknownUnitError
        It does not; the message says how many there are.
    """
    if unit.channel is None or unit.channel >= layer.unit_count:
        raise UnknownUnitError(
            f"unit '{unit}' does not exist: {layer.name} has {layer.unit_count} units, 0 to {layer.unit_count - 1}.",
            hint="Channels count from 0; a source that counts from 1 is one too high.",
        )
    return unit


def _put_back(path: Path) -> None:
    """Put a bundle back that a change killed at its very last step had moved aside."""
    lock = FileLock(path.with_name(path.name + ".lock"), timeout=_PATIENCE_S)
    try:
        with lock:
            # who holds the lock and is still at it has put the new one there meanwhile
            finish_swap(path)
            Path(lock.lock_file).unlink(missing_ok=True)
    except (Timeout, OSError) as error:
        raise BundleError(
            f"opening {path}: a change of it was interrupted, and it cannot be put back ({error}).",
            hint=f"Rename {path.name}.old to {path.name}.",
        ) from error


def _read_manifest(path: Path) -> fmt.Manifest:
    file = path / fmt.MANIFEST
    if not path.exists() and path.name and path.with_name(path.name + ".old").exists():
        _put_back(path)
    if not path.exists():
        raise MissingFileError(f"opening {path}: there is no such bundle.", hint="Make one with `circuitgraph import`.")
    if not path.is_dir():
        raise BundleError(
            f"opening {path}: it is a file; a bundle is a folder.", hint="Make one with `circuitgraph import`."
        )
    if not file.is_file():
        raise BundleError(
            f"opening {path}: it holds no {fmt.MANIFEST}, so it is not a complete bundle.",
            hint="Run the import again; an interrupted one goes on where it was.",
        )
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        version = content.get("format_version") if isinstance(content, dict) else None
        if isinstance(version, int) and version > fmt.FORMAT_VERSION:
            raise BundleError(
                f"opening {path}: format {version}, this software reads up to {fmt.FORMAT_VERSION}.",
                hint="Update feature-circuitgraph.",
            )
        manifest = fmt.Manifest(**content)
        expected = fmt.manifest_sha256(content)
    except (ValidationError, ValueError, TypeError, RecursionError, OSError) as error:
        if isinstance(error, BundleError):
            raise
        raise BundleCorruptError(
            f"opening {path}: {fmt.MANIFEST} cannot be read ({str(error).splitlines()[0]}).",
            hint=_AGAIN,
        ) from error
    for name in manifest.files:
        if not name or "\\" in name or Path(name).is_absolute() or ".." in Path(name).parts:
            raise BundleCorruptError(
                f"opening {path}: the manifest names {name!r}, which does not lie inside the bundle.",
                hint="Do not trust where it came from; import the network again.",
            )
    if manifest.sha256 != expected:
        raise BundleCorruptError(
            f"opening {path}: {fmt.MANIFEST} is not what was written: its sha256 is {expected[:12]}, "
            f"it says {manifest.sha256[:12]}.",
            hint=_AGAIN,
        )
    return manifest


def _layer(row: dict[str, Any]) -> Layer:
    values: dict[str, Any] = {name: row[name] for name in ("uid", "index", "kind", "unit_count")}
    values |= {name: _pair(row, name) for name in ("size", "stride", "receptive_field")}
    return Layer(**values, aliases=tuple(row["aliases"]))


def _pair(row: dict[str, Any], name: str) -> tuple[int, int]:
    return (row[f"{name}_row"], row[f"{name}_col"])


def _some(names: Sequence[str], limit: int = 8) -> str:
    return ", ".join(names[:limit]) + (f", ... and {len(names) - limit} more" if len(names) > limit else "")


def _split_by_block(
    batch: pa.RecordBatch, by_number: dict[int, BlockInfo]
) -> Iterator[tuple[BlockInfo, pa.RecordBatch]]:
    numbers = batch["block"].to_numpy()
    starts = [0, *(np.flatnonzero(np.diff(numbers)) + 1).tolist(), len(numbers)]
    for start, stop in pairwise(starts):
        if stop > start:
            yield by_number[int(numbers[start])], batch.slice(start, stop - start)
