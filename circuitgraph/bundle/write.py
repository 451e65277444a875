"""Writing a bundle: under a temporary name, target by target, renamed when complete.

A killed import leaves ``NAME.circuit.partial``; the same import goes on from the
targets that are finished there. An import that fails leaves nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from circuitgraph import __version__
from circuitgraph.bundle import format as fmt
from circuitgraph.bundle.partial import PartialBundle, created_now
from circuitgraph.bundle.read import Bundle
from circuitgraph.bundle.target import check_finite, write_target
from circuitgraph.errors import BundleError, CircuitGraphError, ShapeError
from circuitgraph.progress import SILENT, Progress
from circuitgraph.records import Family, Fidelity, Layer, NetworkInfo, NewBlock, RefusedPair

__all__ = ["BundleWriter"]


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
    fingerprint
        What else the blocks follow from: an interrupted import with another one is not gone on with.
    refused
        Pairs that are left out, for the manifest. Nothing need be added for their targets, whose biases are then not
        known (NaN).

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
        fingerprint: str = "",
        refused: Sequence[RefusedPair] = (),
        progress: Progress = SILENT,
    ) -> None:
        self.path = Path(path)
        self.info = info
        self.layers = tuple(layers)
        self._fingerprint = fingerprint
        self.refused = tuple(refused)
        self._left_out = {pair.down for pair in refused}
        self._progress = progress
        self._by_uid = {layer.uid: layer for layer in layers}
        self._families: tuple[Family, ...] = ()
        self._partial = PartialBundle(self.path, replace=replace)
        created_now()
        self._check_layers()

    def _check_layers(self) -> None:
        networks = {layer.id.network for layer in self.layers}
        if networks != {self.info.network}:
            raise BundleError(f"writing {self.path}: layers of {sorted(networks)} in a bundle of {self.info.network}.")
        if len(self._by_uid) != len(self.layers):
            raise BundleError(f"writing {self.path}: two layers have the same uid.")
        for place, layer in enumerate(self.layers):
            if layer.index != place:
                raise BundleError(f"writing {self.path}: {layer.uid} stands at {place}, its index is {layer.index}.")

    def __enter__(self) -> Self:
        info = self.info.model_dump(mode="json")
        key = {
            "weights": info.pop("weights_sha256"),
            "options": info.pop("options"),
            "info": info,
            "layers": [layer.model_dump(mode="json") for layer in self.layers],
            "network": self._fingerprint,
            "refused": [pair.model_dump(mode="json") for pair in self.refused],
            "format": fmt.FORMAT_VERSION,
            "software": __version__,
        }
        self._partial.open(key, self._progress)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # an interrupt or a crash keeps what is finished; a refusal would only be refused again
        if isinstance(error, (CircuitGraphError, OSError)):
            self._partial.discard()
        self._partial.release()

    def is_done(self, down: str) -> bool:
        """Whether the blocks into layer `down` are there from an interrupted run."""
        return self._partial.has_state(self._by_uid[down].index)

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
        check_finite(bias, f"bias of {down}")
        with self._partial.writing():
            own = bias.astype(np.float32, copy=False)
            self._partial.write_state(layer.index, write_target(self._partial.folder, layer, own, blocks, self._by_uid))

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

    def finish(self, *, measure: Callable[[Bundle], Fidelity | None] | None = None) -> Bundle:
        """Write what is about the whole, rename, and open the bundle.

        Parameters
        ----------
        measure
            Called with the bundle before it is renamed; says how well its weights predict the network.

        Raises
        ------
        BundleError
            A target was not added.
        """
        missing = [layer.uid for layer in self._targets() if not self.is_done(layer.uid)]
        if missing:
            raise BundleError(f"writing {self.path}: nothing was added for {', '.join(missing[:3])}.")
        with self._partial.writing():
            for layer in self.layers[1:]:
                if layer.uid in self._left_out and not self.is_done(layer.uid):
                    nothing = write_target(self._partial.folder, layer, None, [], self._by_uid)
                    self._partial.write_state(layer.index, nothing)
            manifest = self._write_whole()
            if measure is not None:
                fidelity = measure(Bundle(self._partial.folder, fmt.Manifest(**manifest)))
                manifest = fmt.with_fidelity(manifest, fidelity)
            self._partial.complete(manifest)
        return Bundle.open(self.path)

    def _targets(self) -> list[Layer]:
        return [layer for layer in self.layers[1:] if layer.uid not in self._left_out]

    def _write_whole(self) -> dict[str, Any]:
        folder = self._partial.folder
        states = {layer.uid: self._partial.read_state(layer.index) for layer in self.layers[1:]}
        files = {name: fmt.FileEntry(**entry) for state in states.values() for name, entry in state["files"].items()}
        rows = [row for state in states.values() for row in state["rows"]]
        blocks = pa.Table.from_pylist(rows, schema=fmt.BLOCKS_SCHEMA)
        units = self._units_table(states)
        files["layers.parquet"] = fmt.write_table(folder / "layers.parquet", self._layers_table())
        files["units.parquet"] = fmt.write_table(folder / "units.parquet", units)
        files["blocks.parquet"] = fmt.write_table(folder / "blocks.parquet", blocks)
        families = [family.model_dump(mode="json") for family in self._families]
        labels = json.dumps(families, indent=1, ensure_ascii=False).encode()
        (folder / "labels" / "families.json").write_bytes(labels)
        files["labels/families.json"] = fmt.FileEntry(sha256=sha256(labels).hexdigest(), bytes=len(labels))
        self._partial.remove_strangers(files)
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
            created=created_now(),
            software=f"circuitgraph {__version__}",
            sha256="",
            refused=self.refused,
        )
        content = manifest.model_dump(mode="json")
        return {**content, "sha256": fmt.manifest_sha256(content)}

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
            is_known = layer.index > 0 and layer.uid not in self._left_out
            dead = (in_norm == 0) if is_known else np.zeros(layer.unit_count, dtype=bool)
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


def _check_member(unit: str, layers: dict[str, Layer]) -> None:
    from circuitgraph.bundle.read import check_channel
    from circuitgraph.errors import UnknownLayerError
    from circuitgraph.ids import UnitId

    uid = UnitId.parse(unit)
    layer = layers.get(str(uid.layer_id))
    if layer is None:
        raise UnknownLayerError(f"family member {unit}: there is no layer {uid.layer_id}.")
    check_channel(uid, layer)
