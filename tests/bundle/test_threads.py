"""Many threads read one bundle at once, as those of the explorer do."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from circuitgraph.testing.bundles import write_synthetic_bundle


class Garbage:
    """Is collected in the midst of what another piece of code does, and lets other threads go on there."""

    def __init__(self) -> None:
        self.own = self

    def __del__(self) -> None:
        for _ in range(20):
            pass


@pytest.fixture
def restless() -> Iterator[None]:
    """Threads take turns, and garbage is collected, as often as can be."""
    interval, thresholds = sys.getswitchinterval(), gc.get_threshold()
    sys.setswitchinterval(1e-6)
    gc.set_threshold(20, 1, 1)
    yield
    sys.setswitchinterval(interval)
    gc.set_threshold(*thresholds)


def test_each_gets_the_kernels(tmp_path: Path, restless: None) -> None:
    bundle = write_synthetic_bundle(tmp_path / "net.circuit", network="net", with_every_form=True)
    expected = {part.block: np.array(bundle.stored(part)) for part in bundle.blocks}

    def read(seed: int) -> int:
        equal = 0
        for turn in range(200):
            Garbage()
            part = bundle.blocks[(turn + seed) % len(bundle.blocks)]
            equal += np.array_equal(bundle.stored(part), expected[part.block])
        return equal

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(read, range(8))) == [200] * 8
