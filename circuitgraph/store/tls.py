"""Encrypted connections: whom to trust, and what to do about a certificate that is not trusted."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

from circuitgraph.errors import SettingsError, StoreUnavailableError

__all__ = ["tls_error", "trusting"]

_VERIFIED = ("neo4j+s://", "bolt+s://")


def trusting(uri: str, ca_file: Path | None) -> tuple[str, dict[str, Any]]:
    """Return the URI and the options of the driver by which the certificates of `ca_file` are trusted too.

    Only ``neo4j+s://`` and ``bolt+s://`` look at certificates; another URI comes back as it is.

    Raises
    ------
    SettingsError
        The file cannot be read, or holds no certificate.
    """
    scheme = next((known for known in _VERIFIED if uri.startswith(known)), None)
    if scheme is None or ca_file is None:
        return uri, {}
    context = ssl.create_default_context()
    try:
        context.load_verify_locations(ca_file)
    except OSError as error:
        fact = "it holds no certificate in PEM" if isinstance(error, ssl.SSLError) else error.strerror
        raise SettingsError(
            f"setting 'ca_file': reading {ca_file}: {fact}.",
            hint="Set CIRCUITGRAPH_CA_FILE to the certificate of the authority that signed the server's, in PEM.",
        ) from error
    # the driver takes a choice of whom to trust only beside the plain scheme
    return scheme.replace("+s", "") + uri.removeprefix(scheme), {"encrypted": True, "ssl_context": context}


def tls_error(act: str, error: BaseException) -> StoreUnavailableError | None:
    """Return what to raise if encryption is why a connection could not be made; None if it is not."""
    reason = _find_reason(error, set())
    if reason is None:
        return None
    if isinstance(reason, ssl.SSLCertVerificationError):
        return StoreUnavailableError(
            f"{act}: its certificate is not trusted ({reason.verify_message}).",
            hint="Trust the authority that signed it: CIRCUITGRAPH_CA_FILE=ca.pem (or SSL_CERT_FILE, instead of the "
            "system's). Or take any certificate, where nobody can come in between: neo4j+ssc:// or bolt+ssc://",
        )
    return StoreUnavailableError(
        f"{act}: no encrypted connection can be made ({reason.reason or reason}).",
        hint="A server without TLS is at bolt:// or neo4j://",
    )


def _find_reason(error: BaseException | None, seen: set[int]) -> ssl.SSLError | None:
    # a routing driver puts the failures of all its tries into a group, at any depth of causes
    if error is None or id(error) in seen:
        return None
    seen.add(id(error))
    if isinstance(error, ssl.SSLError):
        return error
    inner = error.exceptions if isinstance(error, BaseExceptionGroup) else ()
    for cause in (error.__cause__, error.__context__, *inner):
        found = _find_reason(cause, seen)
        if found is not None:
            return found
    return None
