"""Bundles written by earlier versions still read.

`tests/data/format-N.circuit` was written once, by ``tests/bundle/planted.py``, with the first software of format N;
it is never written again. A new format adds a folder and a line to `KERNEL_SUMS`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from circuitgraph import Bundle
from circuitgraph.bundle import format as fmt
from circuitgraph.bundle.verify import verify_bundle

DATA = Path(__file__).parent / "data"
OLD = sorted(DATA.glob("format-*.circuit"))

# (up, down) -> sum of all kernels: numbers of the day the format was made
KERNEL_SUMS = {
    ("planted/input", "planted/stem.conv"): -16.845844,
    ("planted/stem.conv", "planted/mixed4c"): -15.712598,
    ("planted/mixed4c", "planted/mixed4d"): -0.357929,
    ("planted/mixed4d", "planted/head"): -6.419778,
    ("planted/mixed4c", "planted/head"): -35.219543,
}


def test_a_bundle_of_each_past_format_is_kept() -> None:
    assert [path.name for path in OLD] == [f"format-{number}.circuit" for number in range(1, fmt.FORMAT_VERSION + 1)]


@pytest.mark.parametrize("path", OLD, ids=lambda path: path.stem)
def test_an_old_bundle_reads_and_verifies(path: Path) -> None:
    with Bundle.open(path) as bundle:
        assert f"format-{bundle.manifest.format_version}" == path.stem
        assert verify_bundle(bundle).differences == ()
        assert [layer.name for layer in bundle.layers] == ["input", "stem.conv", "mixed4c", "mixed4d", "head"]
        assert bundle.layer("features.2").name == "mixed4c"
        assert [len(family.members) for family in bundle.families] == [2]
        assert bundle.pairs == tuple(KERNEL_SUMS)
        for pair, expected in KERNEL_SUMS.items():
            assert bundle.block(*pair).kernels.sum(dtype=np.float64) == pytest.approx(expected, rel=1e-6)
        ragged = bundle.block("stem.conv", "mixed4c")
        assert (ragged.offset, ragged.stride, ragged.kernels.shape) == ((-1, -1), (1, 1), (6, 4, 3, 3))
        assert len(bundle.factors(ragged.parts[1])) == 2
