"""The folder of a benchmark, the networks in it, and what was measured of them so far."""

from __future__ import annotations

import json
import os
from functools import cached_property
from pathlib import Path
from typing import Any

import platformdirs
from store_parts.truth import Truth
from store_parts.watching import loop_s

from circuitgraph.bundle import Bundle
from circuitgraph.settings import Settings
from circuitgraph.store import Store
from circuitgraph.store.server import ManagedServer
from circuitgraph.testing.bundles import write_synthetic_bundle

SIZES = {"tiny": (4, 64), "3.1M": (13, 512), "16M": (17, 1000)}
SLICE_UNITS = 512


class Bench:
    """The folder, the network in it, and what was measured of it so far."""

    def __init__(self, folder: Path, size: str, seconds: float) -> None:
        self.folder = folder
        self.size = size
        self.seconds = seconds
        self.settings = Settings(
            data_dir=folder / "data", jars_dir=platformdirs.user_cache_path("circuitgraph") / "jars"
        )
        self._kept = folder / "figures.json"
        self.figures: dict[str, Any] = json.loads(self._kept.read_text()) if self._kept.exists() else {"size": size}

    def keep(self, part: str, figures: dict[str, Any]) -> None:
        """Write down what a part measured, and how busy the machine was."""
        self.figures[part] = {**figures, "load": os.getloadavg()[0], "loop_s": loop_s()}
        self._kept.write_text(json.dumps(self.figures, indent=1))

    def bundle(self, name: str, unit_counts: list[int]) -> Bundle:
        """Open a synthetic network, or make it."""
        path = self.folder / f"{name}.circuit"
        if path.exists():
            return Bundle.open(path)
        return write_synthetic_bundle(path, network=name, unit_counts=unit_counts)

    @cached_property
    def big(self) -> Bundle:
        """The network."""
        layers, units = SIZES[self.size]
        return self.bundle("big", [units] * layers)

    @cached_property
    def slice(self) -> Bundle:
        """What is appended to it."""
        units = min(SLICE_UNITS, 2 * SIZES[self.size][1])
        return self.bundle("slice", [units] * 2)

    @cached_property
    def truth(self) -> Truth:
        """What is true of the network."""
        return Truth(self.big)


def server_of(store: Store) -> ManagedServer:
    if store.server is None:
        raise SystemExit("the managed server is wanted; unset CIRCUITGRAPH_STORE")
    return store.server
