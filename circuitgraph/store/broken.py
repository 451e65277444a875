"""A managed server that cannot go on: its disk is full, or it says that it must be started again.

Neo4j refuses every statement from then on, also when there is room again, until it is started anew. So it is ended
here; the next command starts it, and recovers what was acknowledged.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from circuitgraph.errors import CircuitGraphError, DiskFullError, StoreUnavailableError

if TYPE_CHECKING:
    from circuitgraph.store.server import ManagedServer

__all__ = ["broken_error"]

_ROOM_BYTES = 32 << 20
_MUST_RESTART = "needs to be restarted"


def broken_error(act: str, error: Exception, server: ManagedServer | None) -> CircuitGraphError | None:
    """Return what to raise if an error of the driver means that the server cannot go on, and end it.

    Parameters
    ----------
    act
        What was done.
    error
        What is not the fault of a statement.
    server
        None for a server that is not ours, which is left to its owner.

    Returns
    -------
    None if the error has another reason.
    """
    if server is None:
        return None
    folder = server.settings.data_dir.expanduser()
    free = shutil.disk_usage(folder).free
    if free < _ROOM_BYTES:
        server.kill()
        return DiskFullError(
            f"{act}: no room is left in {folder} ({free:,} bytes); the server was ended, what it acknowledged is kept.",
            hint="Make room, and run the same command again; it starts the server.",
        )
    if _MUST_RESTART in str(error):
        server.kill()
        return StoreUnavailableError(
            f"{act}: the database had met a critical error, such as a full disk, and could not go on; it was ended.",
            hint="Run the same command again; it starts the server. `circuitgraph server status` names its home.",
        )
    return None
