"""Serving the explorer on the loopback, until it is interrupted."""

from __future__ import annotations

import secrets
import socket

from circuitgraph.errors import MissingExtraError, PortTakenError
from circuitgraph.web.explorer import Explorer

__all__ = ["listen", "make_token", "serve"]


def make_token() -> str:
    """Return a token that nobody guesses."""
    return secrets.token_urlsafe(24)


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens; port 0 takes a free one.

    Raises
    ------
    PortTakenError
        Somebody else listens there, or the host is none of this machine.
    """
    try:
        return socket.create_server((host, port), backlog=2048)
    except OSError as error:
        raise PortTakenError(
            f"starting the explorer at {host}:{port}: {error.strerror or error}.",
            hint="Give another --port; 0 takes a free one.",
        ) from error


def serve(explorer: Explorer, listening: socket.socket, *, token: str, hosts: tuple[str, ...] = ()) -> None:
    """Answer browsers until interrupted.

    Parameters
    ----------
    listening
        From `listen`.
    token
        What a browser must show to write.
    hosts
        Names under which the server may be addressed, besides the loopback's.

    Raises
    ------
    MissingExtraError
        The extra ``web`` is not installed.
    """
    try:
        import uvicorn
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"the explorer needs {error.name}, which is not installed.", hint="pip install 'feature-circuitgraph[web]'"
        ) from error
    from circuitgraph.web.app import make_app

    app = make_app(explorer, token=token, hosts=("127.0.0.1", "localhost", "[::1]", *hosts))
    config = uvicorn.Config(app, log_level="warning", server_header=False, date_header=False)
    uvicorn.Server(config).run(sockets=[listening])
