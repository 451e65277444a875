"""A server that waits for nobody long: uvicorn has a limit for idle connections, and none for slow ones.

A client that sends its headers or its form a byte a minute, or does not read what it asked for, would hold a
connection for ever, and a thousand of them all that a process may have open. Here each has a time in all, however
often it sends a byte, and when there are too many connections, the one that has waited longest with nothing to answer
goes first: an honest browser sends its headers in a millisecond.
"""

from __future__ import annotations

import asyncio
import socket
import time
from functools import cache
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

__all__ = ["ImpatientProtocol", "ImpatientServer", "most_connections", "taken_at_once"]

_HEADERS_S = 10.0
_FORM_S = 20.0
_READING_S = 30.0
_GRACE_S = 2.0
_MOST_CONNECTIONS = 600


@cache
def most_connections() -> int:
    """Return how many clients may be connected: as many as leave the process half of the files that it may open.

    Many more than are taken at a time (`taken_at_once`): else one that has just come could be cut off for others that
    came with it, before what it sent was looked at.
    """
    try:
        import resource
    except ModuleNotFoundError:
        # not on Windows, which has no such limit
        return _MOST_CONNECTIONS
    return max(32, min(_MOST_CONNECTIONS, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2))


def taken_at_once() -> int:
    """Return how many clients that wait to be connected are taken before any of them is looked at."""
    return most_connections() // 3


class ImpatientProtocol(H11Protocol):
    """One connection, which knows since when it is waited for."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._began = time.monotonic()
        self._stuck_since: float | None = None
        self._is_cut_off = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a new client, in the place of the one that keeps us waiting longest where there are too many."""
        super().connection_made(transport)
        # who was cut off stays among the connections for a turn of the loop
        there = [each for each in self.connections if isinstance(each, ImpatientProtocol) and not each._is_cut_off]
        if len(there) > most_connections():
            min((each for each in there if each.is_idle), key=lambda each: each._began, default=self).cut_off()

    def data_received(self, data: bytes) -> None:
        """Note when a request begins: what came before it was another one's time."""
        was_idle = self.is_idle
        super().data_received(data)
        if was_idle and not self.is_idle:
            self._began = time.monotonic()

    def on_response_complete(self) -> None:
        """Note when the next request may begin."""
        self._began = time.monotonic()
        super().on_response_complete()

    def pause_writing(self) -> None:
        """Note since when the client does not read."""
        self._stuck_since = time.monotonic()
        super().pause_writing()

    def resume_writing(self) -> None:
        """Note that the client reads on."""
        self._stuck_since = None
        super().resume_writing()

    @property
    def is_idle(self) -> bool:
        """Whether no request is being answered."""
        return self.cycle is None or self.cycle.response_complete

    @property
    def is_stuck(self) -> bool:
        """Whether the client does not read what was sent."""
        return self._stuck_since is not None

    def is_late(self, now: float) -> bool:
        """Tell whether the client has had its time."""
        if self._stuck_since is not None:
            return now - self._stuck_since > _READING_S
        if self.is_idle:
            return now - self._began > _HEADERS_S
        return self.cycle.more_body and now - self._began > _FORM_S

    def cut_off(self) -> None:
        """End the connection at once."""
        self._is_cut_off = True
        self.transport.abort()


class ImpatientServer(uvicorn.Server):
    """Looks once a second for clients that have had their time."""

    async def on_tick(self, counter: int) -> bool:
        """Do what uvicorn does ten times a second."""
        if counter % 10 == 0:
            now = time.monotonic()
            for connection in list(self.server_state.connections):
                if isinstance(connection, ImpatientProtocol) and connection.is_late(now):
                    connection.cut_off()
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End: what is being answered has a little time, then it is given up, and who waits for it is told."""
        for server in self.servers:
            server.close()
        if self.server_state.tasks:
            _, late = await asyncio.wait(set(self.server_state.tasks), timeout=_GRACE_S)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        for connection in list(self.server_state.connections):
            if isinstance(connection, ImpatientProtocol) and connection.is_stuck:
                connection.cut_off()
        await super().shutdown(sockets)
