"""``circuitgraph config``: what the settings are and where each came from."""

from __future__ import annotations

import re

import click
from pydantic import SecretStr

from circuitgraph.cli.options import format_option
from circuitgraph.cli.output import show_rows
from circuitgraph.settings import Settings, read_settings

__all__ = ["config"]

_USER_INFO = re.compile(r"//[^/]*@")


@click.group()
def config() -> None:
    """Look at the settings."""


@config.command(epilog="Example: circuitgraph config show")
@format_option
def show(form: str) -> None:
    """Show each setting, its value and where it came from; secrets as set or unset."""
    report = read_settings()
    rows = []
    for name, field in Settings.model_fields.items():
        value = getattr(report.settings, name)
        if isinstance(value, SecretStr) or name == "password":
            value = "set" if value is not None else "unset"
        shown = None if value is None else _USER_INFO.sub("//...@", str(value))
        rows.append({"setting": name, "value": shown, "from": report.origins[name], "meaning": field.description})
    show_rows(list(rows[0]), rows, form, name="settings")
