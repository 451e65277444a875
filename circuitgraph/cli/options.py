"""Switches that several commands share, each written once."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import click

from circuitgraph.cli.output import FORMATS
from circuitgraph.settings import environment_name

__all__ = [
    "ask_options",
    "author_options",
    "catalogue_option",
    "format_option",
    "quiet_option",
    "setting_option",
    "split_parameter",
    "store_option",
    "strongest_options",
]

_Command = Callable[..., Any]


def format_option(command: _Command, *, more: Sequence[str] = ()) -> _Command:
    """Add ``--format`` and its short form ``--json``; `more` are formats that this command alone has."""
    command = click.option(
        "--json", "form", flag_value="json", help="Short for --format json.", allow_from_autoenv=False
    )(command)
    return click.option(
        "--format",
        "form",
        type=click.Choice([*FORMATS, *more]),
        default="table",
        show_default=True,
        envvar="CIRCUITGRAPH_FORMAT",
        allow_from_autoenv=False,
        help="How to write the answer.",
    )(command)


def quiet_option(command: _Command) -> _Command:
    """Add ``--quiet``."""
    return click.option(
        "-q",
        "--quiet",
        is_flag=True,
        envvar="CIRCUITGRAPH_QUIET",
        allow_from_autoenv=False,
        help="Say nothing but the result and errors.",
    )(command)


def setting_option(*names: str, setting: str, help: str, **attributes: Any) -> Callable[[_Command], _Command]:
    """Return an option that overrides a setting, whose variable and place in the settings file it names.

    The variable is read with the settings, so that ``config show`` can tell where a value came from.
    """
    text = f"{help} [setting: {setting}, {environment_name(setting)}]"
    return click.option(*names, setting, help=text, allow_from_autoenv=False, **attributes)


def store_option(command: _Command) -> _Command:
    """Add ``--store`` and ``--user``; a password comes from the settings, never from a command line."""
    command = setting_option("--user", setting="user", help="User name at a store given by URI.")(command)
    where = "'local' for the managed server, or a bolt:// or neo4j:// URI."
    return setting_option("--store", setting="store", help=where)(command)


def ask_options(command: _Command) -> _Command:
    """Add what every question takes: ``--param``, ``--limit`` and ``--timeout``."""
    for option in (
        setting_option(
            "--timeout",
            setting="query_timeout_s",
            type=click.FloatRange(0, min_open=True),
            help="Seconds the query may run.",
        ),
        setting_option("--limit", setting="row_limit", type=click.IntRange(1), help="Most rows to give."),
        click.option(
            "-p",
            "--param",
            "params",
            multiple=True,
            allow_from_autoenv=False,
            help="A parameter, name=value; several may be given.",
        ),
    ):
        command = option(command)
    return command


def strongest_options(command: _Command) -> _Command:
    """Add ``--min-share`` and ``--by``: which edges at a unit are the strongest."""
    command = click.option(
        "--by", type=click.Choice(["l1", "l2", "share_in"]), default="l2", show_default=True, help="What is strongest."
    )(command)
    return click.option(
        "--min-share",
        type=click.FloatRange(0, 1),
        default=0.0,
        show_default=True,
        help="Least share of its target's total l1 that an edge must have.",
    )(command)


def catalogue_option(command: _Command) -> _Command:
    """Add ``--catalogue``."""
    return setting_option("--catalogue", setting="catalogue", help="Folder of the catalogue.", metavar="DIR")(command)


def author_options(command: _Command) -> _Command:
    """Add ``--author`` and ``--orcid``."""
    command = setting_option("--orcid", setting="orcid", help="Your ORCID.")(command)
    return setting_option("--author", setting="author", help="Your name.")(command)


def split_parameter(text: str) -> tuple[str, Any]:
    """Read ``name=value``; the value is JSON where it can be read as such, else text.

    Raises
    ------
    click.BadParameter
        There is no ``=`` or no name.
    """
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier():
        raise click.BadParameter(f"{text!r} is not name=value, as in -p unit=net/layer:3", param_hint="-p")
    try:
        return name, json.loads(value)
    except (ValueError, RecursionError):
        return name, value
