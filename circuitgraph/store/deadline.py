"""The last limit of a query: what the server neither ends nor survives.

Neo4j looks at its limits of time and memory between rows. Within one expression (``all(x IN range(1, 20000000000)
WHERE x > 0)``, a text doubled thirty times) it looks at neither: the first runs on, the second takes the whole heap,
upon which the process ends itself. Both need no more than reading, and no list of what is refused can be complete.
So a managed server that has not answered well after a query's time is ended, and one that ran out of memory is
found out; either is started again. The database is safe in both (`tests/store/test_interrupt.py`); other queries of
that moment fail, and a load under way has to be run again, which goes on from where it was.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

import psutil

from circuitgraph.errors import CircuitGraphError, QueryLimitError, StoreUnavailableError

if TYPE_CHECKING:
    from circuitgraph.store.server import ManagedServer

__all__ = ["GRACE_S", "within_limits"]

GRACE_S = 10.0
"""How much longer than its time a query of the managed server may go unanswered."""

_T = TypeVar("_T")
_OUT_OF_MEMORY = "java.lang.OutOfMemoryError"


def within_limits(server: ManagedServer | None, timeout_s: float, ask: Callable[[], _T]) -> _T:
    """Return what `ask` does, or start a managed server again that it has stuck or ended.

    Parameters
    ----------
    server
        None for a server that is not ours, which is left to its owner.

    Raises
    ------
    QueryLimitError
        The server had to be started again.
    StoreUnavailableError
        It was lost for another reason.
    """
    if server is None:
        return ask()
    is_over = threading.Event()

    def end() -> None:
        is_over.set()
        # a stop would wait for the query; what is asked then fails, and says so
        with suppress(CircuitGraphError, psutil.Error):
            pid = server.status().pid
            if pid is not None:
                psutil.Process(pid).kill()

    watch = threading.Timer(timeout_s + GRACE_S, end)
    watch.daemon = True
    watch.start()
    try:
        return ask()
    except StoreUnavailableError as error:
        if is_over.is_set():
            fact = "it took longer than is allowed and could not be ended by itself"
        elif _ran_out_of_memory(server):
            fact = "it, or another at the same time, needed more memory than the server has"
        else:
            raise
        watch.join()
        server.start()
        raise QueryLimitError(
            f"running the query: {fact}; the server was started again.",
            hint="Narrow it: lists and texts made within one expression count too.",
        ) from error
    finally:
        watch.cancel()


def _ran_out_of_memory(server: ManagedServer) -> bool:
    home = server.home
    if home is None or server.status().is_running:
        return False
    with suppress(OSError):
        return _OUT_OF_MEMORY in home.console.read_text("utf-8", "replace")
    return False
