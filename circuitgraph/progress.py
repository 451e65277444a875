"""What long work tells of itself while it runs.

The library calls a `Progress`; it is silent unless given one. The command line
gives one that draws bars (`circuitgraph.cli.output`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

__all__ = ["SILENT", "Progress", "Task"]


class Task(Protocol):
    """One piece of work under way."""

    def advance(self, amount: float = 1) -> None:
        """Say that `amount` more of the total is done."""

    def describe(self, text: str) -> None:
        """Say what is being done now."""


class Progress(Protocol):
    """Receives the progress of long work."""

    def task(self, title: str, total: float | None = None, unit: str = "") -> AbstractContextManager[Task]:
        """Open a piece of work; `total` in `unit` ("block", "bytes", "edge"), None where unknown."""

    def note(self, text: str) -> None:
        """Say one thing that should stay readable afterwards."""


class _SilentTask:
    def advance(self, amount: float = 1) -> None:
        pass

    def describe(self, text: str) -> None:
        pass


class _Silent:
    @contextmanager
    def task(self, title: str, total: float | None = None, unit: str = "") -> Iterator[Task]:  # noqa: ARG002
        yield _SilentTask()

    def note(self, text: str) -> None:
        pass


SILENT: Progress = _Silent()
"""The progress that says nothing."""
