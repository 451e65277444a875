"""Serving the explorer until it is interrupted, and cutting off who is too slow."""

from __future__ import annotations

import secrets
import socket
from threading import Thread
from typing import TYPE_CHECKING, Any

from circuitgraph.errors import MissingExtraError, PortTakenError
from circuitgraph.web.explorer import Explorer
from circuitgraph.web.search import warm

if TYPE_CHECKING:
    import uvicorn

__all__ = ["address_at", "listen", "make_served_app", "make_token", "serve", "server_of"]

_CLOSING_S = 2
_BACKLOG = 256


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
        listening = socket.create_server((host, port), family=_family(host), backlog=_BACKLOG)
    except (OSError, UnicodeError) as error:
        said = error.strerror if isinstance(error, OSError) else "it is no name of a host"
        raise PortTakenError(
            f"starting the explorer at {host}:{port}: {said or error}.",
            hint="Give another --port; 0 takes a free one.",
        ) from error
    # connections inherit it: else a page waits 40 ms for the browser to acknowledge its head
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening


def address_at(host: str, listening: socket.socket) -> str:
    """Return the address to type into a browser.

    Examples
    --------
    >>> with listen("127.0.0.1", 0) as listening:
    ...     address_at("::1", listening).startswith("http://[::1]:")
    True
    """
    name = f"[{host}]" if ":" in host else host
    return f"http://{name}:{listening.getsockname()[1]}/"


def serve(explorer: Explorer, listening: socket.socket, *, token: str, hosts: tuple[str, ...] = ()) -> None:
    """Answer browsers until interrupted; then what is being answered has two seconds to end.

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
    KeyboardInterrupt
        Somebody pressed Ctrl-C.
    """
    server = server_of(make_served_app(explorer, token=token, hosts=hosts))
    # the first to search need not wait
    Thread(target=warm, args=(explorer,), daemon=True).start()
    server.run(sockets=[listening])


def make_served_app(explorer: Explorer, *, token: str, hosts: tuple[str, ...] = ()) -> Any:
    """Return the application under the names of the loopback and those given."""
    from circuitgraph.web.app import make_app

    given = tuple(f"[{host}]" if ":" in host else host for host in hosts)
    return make_app(explorer, token=token, hosts=("127.0.0.1", "localhost", "[::1]", *given))


def server_of(app: Any) -> uvicorn.Server:
    """Return the server of an application, which has the limits of `circuitgraph.web.slowness`."""
    try:
        import uvicorn
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"the explorer needs {error.name}, which is not installed.", hint="pip install 'feature-circuitgraph[web]'"
        ) from error
    from circuitgraph.web.slowness import ImpatientProtocol, ImpatientServer, taken_at_once

    config = uvicorn.Config(
        app,
        http=ImpatientProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        # our own faults are said, those of strangers are not: who sends much rubbish would fill the terminal
        log_level="error",
        # an access log would hold the token
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        backlog=taken_at_once(),
        # what is left then are connections that close by themselves
        timeout_graceful_shutdown=_CLOSING_S,
    )
    return ImpatientServer(config)


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET
