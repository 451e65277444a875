"""Reading the directions of a bundle: their coefficients, kernels and edges.

A direction is a row vector n over the neurons of one layer. Its weight to or from
another unit is ``n1 W n2^T`` at each position of the window, where W are the kernels
between all neurons of the two layers and n of a neuron has a single 1.
"""

from __future__ import annotations

import difflib
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from circuitgraph.bundle import format as fmt
from circuitgraph.bundle.arrays import read_arrays
from circuitgraph.bundle.blocks import DirectionBlockInfo, UnitKind, common_window, read_blocks
from circuitgraph.errors import UnknownUnitError
from circuitgraph.ids import UnitId

if TYPE_CHECKING:
    from circuitgraph.bundle.read import Bundle

__all__ = ["Directions"]


class Directions:
    """All directions of a bundle; empty where none were added (`circuitgraph.bundle.add_directions`)."""

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle

    @cached_property
    def _arrays(self) -> dict[str, NDArray[Any]]:
        if fmt.DIRECTIONS_FILE not in self._bundle.manifest.files:
            return {}
        with self._bundle._reading(fmt.DIRECTIONS_FILE) as path:
            return read_arrays(path)

    @cached_property
    def _places(self) -> dict[str, dict[str, int]]:
        return {uid: {name: place for place, name in enumerate(self.names(uid))} for uid in self.layers}

    @property
    def layers(self) -> tuple[str, ...]:
        """Uids of the layers that have directions, in the network's order."""
        have = {name.partition(".")[0] for name in self._arrays}
        return tuple(layer.uid for layer in self._bundle.layers if f"{layer.index:04d}" in have)

    def names(self, layer: str) -> tuple[str, ...]:
        """Return the names of a layer's directions, in order of their places."""
        return tuple(str(name) for name in self._array(layer, "names", np.zeros(0, dtype="U1")))

    def sources(self, layer: str) -> tuple[str, ...]:
        """Return what was said of where each direction of a layer came from."""
        return tuple(str(name) for name in self._array(layer, "sources", np.zeros(0, dtype="U1")))

    def coefficients(self, layer: str) -> NDArray[np.float32]:
        """Return the (direction, channel) coefficients of a layer's directions."""
        width = self._bundle.layer(layer).unit_count
        return self._array(layer, "coefficients", np.zeros((0, width), dtype=np.float32))

    def _array(self, layer: str, what: str, empty: NDArray[Any]) -> NDArray[Any]:
        return self._arrays.get(f"{self._bundle.layer(layer).index:04d}.{what}", empty)

    def uids(self, layer: str) -> list[str]:
        """Return the uids of a layer's directions, in order of their places."""
        uid = self._bundle.layer(layer).uid
        return [f"{uid}@{name}" for name in self.names(uid)]

    @property
    def count(self) -> int:
        """How many directions there are."""
        return sum(len(self.names(uid)) for uid in self.layers)

    def place(self, unit: UnitId) -> int:
        """Return the place of a direction among those of its layer.

        Raises
        ------
        UnknownUnitError
            The layer has no such direction.
        """
        layer, name = str(unit.layer_id), unit.direction or ""
        places = self._places.get(layer, {})
        if name not in places:
            close = difflib.get_close_matches(name, list(places), n=3)
            raise UnknownUnitError(
                f"unit '{unit}' does not exist: {unit.layer} has {len(places)} directions.",
                hint=f"Did you mean {' or '.join(close)}?"
                if close
                else f"`circuitgraph direction list {self._bundle.path}` lists them.",
            )
        return places[name]

    @cached_property
    def blocks(self) -> tuple[DirectionBlockInfo, ...]:
        """Every stored block with directions at one end or both, by target layer."""
        name = f"{fmt.DIRECTIONS_FOLDER}/blocks.parquet"
        if name not in self._bundle.manifest.files:
            return ()
        with self._bundle._reading(name) as path:
            return read_blocks(path, DirectionBlockInfo)

    def edges(self, down: str) -> pa.Table:
        """Return one row for each edge to or from directions into layer `down`, without kernels.

        The columns are those of `Bundle.edges` and the uids at both ends. Where an end is a direction, `up` or `down`
        is its place. `share_in` is of all the weights (l1) that lead from neurons to the target, as for edges between
        neurons; an edge is strong where it would be strong between neurons of the two layers, after division by the
        l2 norms of its directions. `cancellation` is 0: it is not measured.
        """
        name = f"{fmt.DIRECTIONS_FOLDER}/edges/{self._bundle.layer(down).index:04d}.parquet"
        if name not in self._bundle.manifest.files:
            return fmt.DIRECTION_EDGES_SCHEMA.empty_table()
        return self._bundle._table(name, fmt.DIRECTION_EDGES_SCHEMA)

    def end(self, unit: UnitId) -> tuple[UnitKind, int]:
        """Say whether a unit is a neuron or a direction, and its channel or place."""
        return ("neuron", unit.channel) if unit.channel is not None else ("direction", self.place(unit))

    def kernel(self, up: UnitId, down: UnitId) -> NDArray[np.float32]:
        """Return the (row, col) kernel between two units of which at least one is a direction.

        It lies on the window of the whole pair of layers, as `Bundle.kernel` between their neurons.

        Raises
        ------
        BundleError
            The pair of layers is stored in blocks that slide differently.
        """
        (up_kind, column), (down_kind, row) = self.end(up), self.end(down)
        ends = (str(up.layer_id), str(down.layer_id), up_kind, down_kind)
        parts = [part for part in self.blocks if (part.up, part.down, part.up_kind, part.down_kind) == ends]
        common_window(parts)
        return np.array(self._bundle.stored(parts[0])[row, column])
