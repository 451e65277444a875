"""Switches that several commands share, each written once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from circuitgraph.cli.output import FORMATS

__all__ = ["format_option", "quiet_option", "split_parameter", "store_option"]

_Command = Callable[..., Any]


def format_option(command: _Command) -> _Command:
    """Add ``--format`` and its short form ``--json``."""
    command = click.option("--json", "form", flag_value="json", help="Short for --format json.")(command)
    return click.option(
        "--format",
        "form",
        type=click.Choice(FORMATS),
        default="table",
        show_default=True,
        help="How to write the answer.",
    )(command)


def quiet_option(command: _Command) -> _Command:
    """Add ``--quiet``."""
    return click.option("-q", "--quiet", is_flag=True, help="Say nothing but the result and errors.")(command)


def store_option(command: _Command) -> _Command:
    """Add ``--store`` and ``--user``; a password comes from the settings, never from a command line."""
    command = click.option("--user", help="User name at a store given by URI.")(command)
    return click.option(
        "--store", help="'local' for the managed server, or a bolt:// or neo4j:// URI. [setting: store]"
    )(command)


def split_parameter(text: str) -> tuple[str, Any]:
    """Read ``name=value``; the value is JSON where it can be read as such, else text.

    Raises
    ------
    click.BadParameter
        There is no ``=`` or no name.
    """
    import json

    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier():
        raise click.BadParameter(f"{text!r} is not name=value, as in -p unit=net/layer:3", param_hint="-p")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value
