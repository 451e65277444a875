"""One search of a motif in a process of its own, so that pages answer while it runs: ``python -m`` this module.

It reads what is wanted as JSON from standard input, writes the result to the file that is named there, and says its
progress on standard output, a JSON object on a line.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from circuitgraph.bundle import Bundle
from circuitgraph.errors import CircuitGraphError
from queries.registry import get_motif
from queries.result_files import write_result

__all__ = ["main", "search"]

_EVERY_S = 0.3
_NICER = 5


class _Said:
    """Progress as lines of JSON."""

    def __init__(self) -> None:
        self._at = 0.0

    @contextmanager
    def task(self, title: str, total: float | None = None, unit: str = "") -> Iterator[_Task]:
        yield _Task(self, title, total, unit)

    def note(self, text: str) -> None:
        self.say({"note": text})

    def say(self, what: dict[str, Any], *, often: bool = False) -> None:
        now = time.monotonic()
        if often and now - self._at < _EVERY_S:
            return
        self._at = now
        sys.stdout.write(json.dumps(what) + "\n")
        sys.stdout.flush()


class _Task:
    def __init__(self, said: _Said, title: str, total: float | None, unit: str) -> None:
        self._said, self._title, self._total, self._unit = said, title, total, unit
        self._done = 0.0
        self._text = ""
        self._tell(often=False)

    def advance(self, amount: float = 1) -> None:
        self._done += amount
        self._tell(often=True)

    def describe(self, text: str) -> None:
        self._text = text
        self._tell(often=True)

    def _tell(self, *, often: bool) -> None:
        what = {"title": self._title, "done": self._done, "total": self._total, "unit": self._unit, "text": self._text}
        self._said.say(what, often=often)


def search(wanted: dict[str, Any], *, progress: Any) -> dict[str, Any]:
    """Search, and return the result, with ``why_not`` beside it where units were given to explain."""
    motif = get_motif(wanted["motif"])
    with Bundle.open(wanted["bundle"]) as bundle:
        result = motif.find(bundle, progress=progress, **wanted["options"])
        said = result.to_dict()
        # which weights were searched is told where the search itself does not
        said["network"] = said["network"] or bundle.network
        said["weights_sha256"] = said["weights_sha256"] or bundle.info.weights_sha256
        if wanted["why"]:
            said["why_not"] = {"units": wanted["why"], "text": result.why_not(*wanted["why"])}
    return said


def main() -> int:
    """Do what standard input asks for; 1 where it cannot be done, and why on standard output."""
    with contextlib.suppress(OSError):
        os.nice(_NICER)
    said = _Said()
    wanted = json.load(sys.stdin)
    try:
        result = search(wanted, progress=said)
        about = {name: wanted[name] for name in ("about",)}
        write_result({**result, "search": about["about"]}, Path(wanted["out"]))
    except CircuitGraphError as error:
        said.say({"error": error.message, "hint": error.hint})
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
