"""A small network with every stored form, whose arrays the tests hold in their hands; also run as a killed import."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from circuitgraph.bundle import Bundle, BundleWriter
from circuitgraph.records import Family, Layer, Member, NetworkInfo, NewBlock

UNIT_COUNTS = {"input": 3, "stem.conv": 4, "mixed4c": 6, "mixed4d": 5, "head": 2}


def layers(network: str = "planted") -> list[Layer]:
    return [
        Layer(
            uid=f"{network}/{name}",
            index=index,
            kind="activation" if index else "input",
            unit_count=count,
            size=(4, 6),
            stride=(1, 1),
            receptive_field=(3, 3),
            aliases=("features.2", "features.2.relu#1") if name == "mixed4c" else (),
        )
        for index, (name, count) in enumerate(UNIT_COUNTS.items())
    ]


def info(**changed: Any) -> NetworkInfo:
    given: dict[str, Any] = {
        "network": "planted",
        "architecture": "by hand",
        "weights_sha256": "ab" * 32,
        "source": "planted.py",
        "input_shape": (3, 4, 6),
        "importer": "test",
        "options": {"units": "auto"},
    }
    return NetworkInfo(**{**given, **changed})


def arrays() -> dict[str, Any]:
    rng = np.random.default_rng(7)

    def normal(*shape: int) -> Any:
        return rng.normal(size=shape).astype(np.float32)

    return {
        "stem": normal(4, 3, 3, 3),
        "one": normal(2, 4, 1, 1),
        "three": normal(3, 4, 3, 3),
        "diagonal": normal(5, 2, 2),
        "up_channels": np.array([3, -1, 0, 0, 5], dtype=np.int32),
        "global": normal(2, 5, 1, 1),
        "spatial": normal(2, 6, 4, 6),
        "reduce": normal(3, 4, 1, 1),
        "conv": normal(3, 3, 3, 3),
        "bias": [normal(count) for count in UNIT_COUNTS.values()],
    }


def blocks() -> dict[str, list[NewBlock]]:
    a = arrays()
    names = {name: f"planted/{name}" for name in UNIT_COUNTS}
    origin, unit = (0, 0), (1, 1)
    stem, mixed4c, mixed4d, head = list(names.values())[1:]
    return {
        stem: [NewBlock(names["input"], stem, 0, "dense", a["stem"], (-1, -1), (2, 2))],
        # rows 0 to 1 and 2 to 4; nothing leads from the stem to unit 5
        mixed4c: [
            NewBlock(stem, mixed4c, 0, "row block", a["one"], origin, unit),
            NewBlock(
                stem,
                mixed4c,
                2,
                "row block",
                a["three"],
                (-1, -1),
                unit,
                gross=2 * np.abs(a["three"]).sum(axis=(2, 3)),
                approximations=("border",),
                factors=(a["conv"], a["reduce"]),
            ),
        ],
        mixed4d: [NewBlock(mixed4c, mixed4d, 0, "diagonal", a["diagonal"], origin, unit, a["up_channels"])],
        head: [
            NewBlock(mixed4d, head, 0, "global", a["global"], origin, origin),
            NewBlock(mixed4c, head, 0, "spatial", a["spatial"], origin, origin),
        ],
    }


FAMILY = Family(
    uid="planted/mixed4c!pair",
    name="pair",
    members=(
        Member(unit="planted/mixed4c:0", position=0, angle_deg=15.0),
        Member(unit="planted/mixed4c:4", position=1),
    ),
)


def write(
    path: Path, *, replace: bool = False, changed: Sequence[tuple[str, Any]] = (), kill_after: int | None = None
) -> Bundle:
    """Write the planted network; `kill_after` ends the process by SIGKILL once so many targets are done."""
    bias = dict(zip((layer.uid for layer in layers()), arrays()["bias"], strict=True))
    with BundleWriter(path, info(**dict(changed)), layers(), replace=replace) as writer:
        for done, (down, own) in enumerate(blocks().items()):
            if done == kill_after:
                os.kill(os.getpid(), signal.SIGKILL)
            if not writer.is_done(down):
                writer.add_target(down, bias[down], own)
        writer.add_families([FAMILY])
        if kill_after == len(blocks()):
            os.kill(os.getpid(), signal.SIGKILL)
        return writer.finish()


if __name__ == "__main__":
    write(Path(sys.argv[1]), kill_after=int(sys.argv[2]))
