"""What pictures cost: seconds, bytes and peak memory of each drawing function, and of the same as PNG.

Each is drawn in a process of its own, from random weights with a seed: ``first`` is the first drawing with all that it
loads, ``again`` the best of some more. ``peak`` is the whole process's memory at its largest while SVG was drawn, ``of
it drawing`` what came on top of Python, numpy and the package. The grids are drawn with matplotlib too, as a user
would without us (an ``imshow`` for each kernel), where it is installed.

The exit code is 1 where a drawing takes longer than a second again, or the same data give other bytes.

    python benchmarks/pictures.py
    python benchmarks/pictures.py --only grid-16x16,circuit-30 --repeats 20
"""

from __future__ import annotations

import argparse
import importlib.util
import io
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from circuitgraph.draw import (
    LayerTile,
    RingMember,
    draw_circuit,
    draw_family,
    draw_grid,
    draw_kernel,
    draw_layer,
    draw_match,
    draw_null,
    draw_rgb,
    draw_unit,
    to_png,
)
from circuitgraph.graph import CircuitEdge, CircuitGraph, CircuitUnit

MOST_S = 1.0
RNG = np.random.default_rng(11)
COLUMNS = ("picture", "first s", "again s", "SVG bytes", "PNG s", "PNG bytes", "peak MB", "of it drawing MB")


def circuit(units: int, edges: int, window: int = 5) -> CircuitGraph:
    """Return units in six layers and edges between neighbours and over one layer."""
    layers = [f"net/layer{place}" for place in range(6)]
    made = [CircuitUnit(f"{layers[place % 6]}:{place // 6}", f"feature {place}", place) for place in range(units)]
    pairs = [(a, b) for a in made for b in made if 1 <= layers.index(b.layer) - layers.index(a.layer) <= 2]
    chosen = sorted(RNG.choice(len(pairs), min(edges, len(pairs)), replace=False).tolist())
    return CircuitGraph(
        layers,
        made,
        [
            CircuitEdge(
                pairs[i][0].uid, pairs[i][1].uid, RNG.normal(size=(window, window)), share_in=float(RNG.random())
            )
            for i in chosen
        ],
    )


def edges_of(count: int, *, upstream: bool) -> list[CircuitEdge]:
    """Return edges into or out of one unit."""
    ends = [(f"net/a:{i}", "net/b:0") if upstream else ("net/b:0", f"net/c:{i}") for i in range(count)]
    return [CircuitEdge(up, down, RNG.normal(size=(5, 5)), share_in=0.1) for up, down in ends]


def grid(size: int, *, turned: bool = False, window: int = 5) -> Callable[[], Any]:
    """Return what draws a grid of that many rows and columns."""
    kernels = RNG.normal(size=(size, size, window, window))
    angles = [360 * place / size for place in range(size)]
    return lambda: draw_grid(kernels, down_angles_deg=angles, up_angles_deg=angles, turned=turned, title="a grid")


def ring() -> list[RingMember]:
    """Return 16 units with kernels and tuning curves."""
    turn = np.radians(np.arange(720) / 2)
    return [
        RingMember(
            f"net/b:{place}",
            f"unit {place}",
            22.5 * place,
            RNG.normal(size=(5, 5)),
            np.maximum(0, np.cos(turn - np.radians(22.5 * place))),
        )
        for place in range(16)
    ]


def drawings() -> dict[str, Callable[[], Callable[[], Any]]]:
    """Return for each name what prepares its data and returns what draws it."""
    return {
        "kernel-5x5": lambda: (lambda kernel: lambda: draw_kernel(kernel, title="a kernel"))(RNG.normal(size=(5, 5))),
        "kernel-128x128": lambda: (lambda kernel: lambda: draw_kernel(kernel))(RNG.normal(size=(128, 128))),
        "grid-8x8": lambda: grid(8),
        "grid-16x16": lambda: grid(16),
        "grid-16x16-turned": lambda: grid(16, turned=True),
        "grid-limit": lambda: grid(60, window=11),
        "rgb-96": lambda: (lambda kernels: lambda: draw_rgb(kernels))(RNG.normal(size=(96, 3, 7, 7))),
        "layer-60": lambda: (lambda tiles: lambda: draw_layer(tiles, unit_count=2048))(
            [LayerTile(f"net/a:{i}", f"feature {i}", RNG.normal(size=(5, 5)), "from b:3") for i in range(60)]
        ),
        "unit-16": lambda: (
            lambda ups, downs: (
                lambda: draw_unit(
                    CircuitUnit("net/b:0", "car"), ups, downs, labels={}, upstream_count=5000, downstream_count=900
                )
            )
        )(edges_of(8, upstream=True), edges_of(8, upstream=False)),
        "family-16": lambda: (lambda members: lambda: draw_family(members, title="a family"))(ring()),
        "null-1000": lambda: (lambda scores: lambda: draw_null(3.0, scores, name="shuffle"))(RNG.normal(size=1000)),
        "match-6": lambda: (
            lambda graph, scores: (
                lambda: draw_match(
                    graph,
                    roles={unit.uid: "role" for unit in graph.units},
                    score=3.0,
                    null_scores=scores,
                    null_name="shuffle",
                )
            )
        )(circuit(6, 8), RNG.normal(size=1000)),
        "circuit-10": lambda: (lambda graph: lambda: draw_circuit(graph))(circuit(10, 20)),
        "circuit-30": lambda: (lambda graph: lambda: draw_circuit(graph))(circuit(30, 60)),
        "circuit-30-most": lambda: (lambda graph: lambda: draw_circuit(graph))(circuit(30, 225)),
    }


def with_matplotlib(size: int, window: int = 5) -> Callable[[], bytes]:
    """Return what draws the same grid as a user would: an image for each kernel, saved as SVG."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    kernels = RNG.normal(size=(size, size, window, window))
    largest = float(np.abs(kernels).max())

    def draw() -> bytes:
        figure, axes = pyplot.subplots(size, size, figsize=(7.5, 7.5))
        for row in range(size):
            for col in range(size):
                axes[row, col].imshow(kernels[row, col], cmap="RdBu_r", vmin=-largest, vmax=largest)
                axes[row, col].set_xticks([])
                axes[row, col].set_yticks([])
        out = io.BytesIO()
        figure.savefig(out, format="svg")
        pyplot.close(figure)
        return out.getvalue()

    return draw


def megabytes() -> float:
    """Return the peak memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def timed(draw: Callable[[], Any]) -> tuple[Any, float]:
    """Return what it draws and the seconds."""
    start = time.perf_counter()
    drawn = draw()
    return drawn, time.perf_counter() - start


def measure(name: str, repeats: int) -> dict[str, Any]:
    """Draw one picture in this process, some times."""
    if name.startswith("matplotlib"):
        draw: Callable[[], Any] = with_matplotlib(int(name.rpartition("x")[2]))
    else:
        draw = drawings()[name]()
    before = megabytes()
    picture, first = timed(draw)
    runs = [timed(draw) for _ in range(repeats)]
    row: dict[str, Any] = {"picture": name, "first s": round(first, 3), "again s": round(min(s for _, s in runs), 3)}
    row["peak MB"], row["of it drawing MB"] = round(megabytes()), round(megabytes() - before)
    if isinstance(picture, bytes):
        return row | {"SVG bytes": len(picture), "same": True}
    png, png_s = timed(lambda: to_png(picture))
    return row | {
        "SVG bytes": len(picture.svg.encode()),
        "PNG s": round(png_s, 3),
        "PNG bytes": len(png),
        "same": all(again.svg == picture.svg for again, _ in runs),
    }


def main() -> int:
    """Measure each picture in a process of its own and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="names of pictures, by commas")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--one", default="", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(options.one, options.repeats)))
        return 0
    names = options.only.split(",") if options.only else list(drawings())
    if not options.only and importlib.util.find_spec("matplotlib"):
        names += ["matplotlib-8x8", "matplotlib-16x16"]
    print(f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}", flush=True)
    wrong = []
    for name in names:
        command = [sys.executable, __file__, "--one", name, "--repeats", str(options.repeats)]
        row = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        cells = [
            f"{row[column]:,}" if isinstance(row.get(column), int) else str(row.get(column, "")) for column in COLUMNS
        ]
        print(f"| {' | '.join(cells)} |", flush=True)
        if not row["same"]:
            wrong.append(f"{name}: the same data gave other bytes")
        if row["again s"] > MOST_S and not name.startswith("matplotlib"):
            wrong.append(f"{name}: {row['again s']} s, at most {MOST_S} s is asked for")
    print("\n".join(wrong), file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
