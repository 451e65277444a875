"""Uids and names in lines of Cypher, Python and the shell, so that no name becomes a part of the line."""

from __future__ import annotations

import shlex

from circuitgraph.bundle import Bundle

__all__ = ["OPEN_CATALOGUE", "bundle_name", "cypher_text", "python_text", "shell_text"]

OPEN_CATALOGUE = (
    "from circuitgraph.catalogue import Catalogue\n"
    "from circuitgraph.settings import read_settings\n"
    "catalogue = Catalogue.open(read_settings().settings.catalogue_folder)\n"
)
"""Python that opens the catalogue of the settings as ``catalogue``."""


def bundle_name(bundle: Bundle) -> str:
    """Return what a bundle's folder is called, without where it lies."""
    return bundle.path.name


def cypher_text(value: str) -> str:
    r"""Return a literal of Cypher.

    Examples
    --------
    >>> print(cypher_text("a'b"))
    'a\'b'
    """
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def python_text(value: str) -> str:
    """Return a literal of Python."""
    return repr(value)


def shell_text(value: str) -> str:
    """Return a word of a POSIX shell."""
    return shlex.quote(value)
