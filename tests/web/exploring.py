"""The explorer as a user starts it: ``circuitgraph explore`` in a process of its own."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from circuitgraph.bundle import Bundle
from circuitgraph.catalogue.circuit_making import make_circuit
from circuitgraph.catalogue.circuits import CircuitRecord
from circuitgraph.catalogue.claims import Author
from importers.handwritten_truth import handwritten_truth
from tests.cli.running import COMMAND, environment


@dataclass(frozen=True)
class Explored:
    """A running explorer."""

    entrance: str
    """The address that was printed, with the token that lets one write."""
    catalogue: Path
    pid: int

    @property
    def origin(self) -> str:
        parts = urlsplit(self.entrance)
        return f"{parts.scheme}://{parts.netloc}"

    def at(self, path: str) -> str:
        return f"{self.origin}{path}"


@contextlib.contextmanager
def exploring(*bundles: Path, catalogue: Path, folder: Path, options: tuple[str, ...] = ()) -> Iterator[Explored]:
    """Run ``circuitgraph explore`` as Ada on a free port, until the block ends."""
    command = [str(COMMAND), "explore", *map(str, bundles), "--port", "0", "--catalogue", str(catalogue), *options]
    variables = environment(folder, CIRCUITGRAPH_AUTHOR="Ada Example")
    with (
        (folder / "explorer.log").open("w+") as log,
        subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, stderr=log, text=True) as process,
    ):
        try:
            assert process.stdout is not None
            printed = process.stdout.readline().strip()
            log.seek(0)
            assert printed.startswith("http://127.0.0.1:"), f"{printed}\n{log.read()}"
            yield Explored(printed, catalogue, process.pid)
        finally:
            process.terminate()
            process.wait(20)


def dog_head(bundle: Bundle, *, author: Author, date: str) -> CircuitRecord:
    """Make the circuit of the dog head that does not care which way the dog looks."""
    ladder = handwritten_truth().ladder
    roles = {unit: side for rung in ladder.rungs for unit, side in zip(rung, ("left", "right"), strict=True)}
    return make_circuit(
        bundle,
        {**roles, ladder.u: "head"},
        title="Dog head, either way",
        top=2,
        author=author,
        date=date,
        description="Two pathways, one for each way a dog looks, inhibit each other and unite in one head.",
        slug="dog-head",
    )
