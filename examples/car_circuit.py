"""Draw the car circuit of the handwritten network: ``python examples/car_circuit.py car.svg``."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from circuitgraph.draw import draw_circuit
from circuitgraph.graph import CircuitEdge, CircuitGraph, CircuitUnit
from importers.handwritten import import_handwritten

PARTS = {"windows": "mixed4b:37", "car body": "mixed4b:74", "wheels": "mixed4b:15"}
CAR = "mixed4c:41"
DOGS = ("mixed4d:21", "mixed4d:29", "mixed4d:73", "mixed4d:14")


def main(out: Path) -> None:
    with tempfile.TemporaryDirectory() as folder, import_handwritten(Path(folder) / "handwritten.circuit") as bundle:
        labels = {**{uid: name for name, uid in PARTS.items()}, CAR: "car", **dict.fromkeys(DOGS, "dog")}
        units = [
            CircuitUnit(str(bundle.unit(short)), label=label, order=place)
            for place, (short, label) in enumerate(labels.items())
        ]
        edges = []
        for up, down in [*((part, CAR) for part in PARTS.values()), *((CAR, dog) for dog in DOGS)]:
            u, d = bundle.unit(up), bundle.unit(down)
            block = bundle.block(str(u.layer_id), str(d.layer_id))
            share = next(
                row["share_in"]
                for row in bundle.edges(str(d.layer_id)).to_pylist()
                if (row["up"], row["down"]) == (u.channel, d.channel)
            )
            edges.append(CircuitEdge(str(u), str(d), bundle.kernel(up, down), anchor=block.anchor, share_in=share))
        layers = [bundle.layer(name).uid for name in ("mixed4b", "mixed4c", "mixed4d")]
        draw_circuit(CircuitGraph(layers, units, edges), title="The car circuit of the handwritten network").save(out)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "car.svg"))
