"""Make docs/reference/*.md from the code; a test says when they are out of date.

Usage: python scripts/make_reference.py
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from circuitgraph import errors
from circuitgraph.cli.main import cli
from circuitgraph.settings import Settings, environment_name
from circuitgraph.store.meanings import EXAMPLES, meaning_of
from circuitgraph.store.schema import INDEXES, NODES, RELATIONSHIPS, SCHEMA_VERSION, Kind

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "reference"
MADE = "<!-- made by scripts/make_reference.py; change the code, then run it -->"


def cell(text: str) -> str:
    """Write text into a cell of a table."""
    return text.replace("|", "\\|").replace("\n", " ")


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> list[str]:
    """Return the lines of a table."""
    lines = [head, tuple("---" for _ in head), *rows]
    return [*(f"| {' | '.join(cell(text) for text in line)} |" for line in lines), ""]


def settings_page() -> str:
    """Every setting: variable, default and meaning."""
    rows = []
    for name, field in Settings.model_fields.items():
        made = field.default_factory is not None
        default = "the user's data folder" if made else "none" if field.default is None else f"`{field.default}`"
        rows.append((f"`{name}`", f"`{environment_name(name)}`", default, str(field.description)))
    lines = [
        "# Settings",
        "",
        MADE,
        "",
        "An option of a command beats the environment, that beats the settings file, that beats the default.",
        "`circuitgraph config show` tells each value and where it came from; a password is shown as set or unset.",
        "",
        "The settings file is TOML, one `name = value` a line, in the user's configuration folder "
        "(`~/.config/circuitgraph/config.toml` on Linux); `CIRCUITGRAPH_CONFIG` names another. A variable that is set "
        "to nothing counts as not set.",
        "",
        *table(("setting", "variable", "default", "meaning"), rows),
        "Three more variables are no settings: `CIRCUITGRAPH_FORMAT` and `CIRCUITGRAPH_QUIET` stand for `--format` and "
        "`--quiet` of every command that has them, `CIRCUITGRAPH_DEBUG` for `--debug`. Every other option has the "
        "variable that [cli.md](cli.md) names.",
    ]
    return "\n".join(lines) + "\n"


def commands(command: click.Command, words: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Yield every command that does something, with the words that call it."""
    if not isinstance(command, click.Group):
        yield words, command
        return
    context = click.Context(command)
    for name in command.list_commands(context):
        own = command.get_command(context, name)
        if own is not None:
            yield from commands(own, (*words, name))


def variable_of(words: tuple[str, ...], option: click.Parameter) -> str:
    """Return the variable of the environment that stands for an option, empty where there is none."""
    if isinstance(option.envvar, str):
        return option.envvar
    found = re.search(r"\[setting: \w+, (\w+)\]", getattr(option, "help", None) or "")
    if found:
        return found[1]
    if not isinstance(option, click.Option) or not option.allow_from_autoenv or option.name is None:
        return ""
    return "_".join(["CIRCUITGRAPH", *words[1:], option.name]).replace("-", "_").upper()


def meaning_of_option(option: click.Option) -> str:
    """Return the help of an option, its choices and its default; the same whatever click prints."""
    text = re.sub(r"\[setting: (\w+), \w+\]", r"[setting: \1]", option.help or "")
    if isinstance(option.type, click.Choice):
        text += f" One of {', '.join(f'`{choice}`' for choice in option.type.choices)}."
    return f"{text} [default: {option.default}]" if option.show_default else text


def cli_page() -> str:
    """Every command: usage, meaning, options, example."""
    lines = [
        "# Commands",
        "",
        MADE,
        "",
        "Data go to stdout, everything else to stderr. Exit codes: 0 done, 1 an error that is explained, 2 wrong "
        "usage, 130 interrupted. `--debug`, anywhere, shows where in the code an error came from.",
        "",
        "On a terminal tables fit its width; elsewhere their lines are as long as they need to be. `json` is one "
        "object with `schema` and `version`; `ndjson` one object a line; in `csv` lists are JSON, and a text that a "
        "spreadsheet would run gets a leading apostrophe.",
        "",
    ]
    for words, command in commands(cli, ("circuitgraph",)):
        context = click.Context(command, info_name=" ".join(words))
        lines += [f"## {' '.join(words)}", "", inspect.cleandoc(command.help or ""), ""]
        lines += ["```text", f"{' '.join(words)} {' '.join(command.collect_usage_pieces(context))}", "```", ""]
        rows = []
        for option in command.params:
            if not isinstance(option, click.Option):
                continue
            names = ", ".join(f"`{name}`" for name in (*option.opts, *option.secondary_opts))
            variable = variable_of(words, option)
            rows.append((names, meaning_of_option(option), f"`{variable}`" if variable else ""))
        lines += table(("option", "meaning", "variable"), rows) if rows else []
        lines += [f"`{(command.epilog or '').removeprefix('Example: ')}`", ""]
    return "\n".join(lines).rstrip() + "\n"


def errors_page() -> str:
    """Every error: its builtin and its meaning."""
    rows = []
    for name in errors.__all__:
        kind: Any = getattr(errors, name)
        all_ = [base for base in kind.__mro__ if base.__module__ == "builtins" and issubclass(base, Exception)]
        bases = [base for base in all_ if not any(base is not other and issubclass(other, base) for other in all_)]
        ours = next((base.__name__ for base in kind.__bases__ if base.__name__ in errors.__all__), "")
        meaning = inspect.getdoc(kind) or ""
        rows.append(
            (
                f"`{name}`",
                f"`{ours}`" if ours else "",
                ", ".join(f"`{base.__name__}`" for base in bases),
                meaning.splitlines()[0],
            )
        )
    lines = [
        "# Errors",
        "",
        MADE,
        "",
        "All errors are in `circuitgraph.errors`. Each is a `CircuitGraphError` and the fitting builtin, so that",
        "either can be caught. `message` says the act, the place and the fact; `hint` the next step.",
        "",
        *table(("error", "is also", "builtin", "meaning"), rows),
    ]
    return "\n".join(lines).rstrip() + "\n"


def kind_section(name: str, kind: Kind) -> list[str]:
    """Describe one label or relationship."""
    title = f"(:{kind.ends[0]})-[:{name}]->(:{kind.ends[1]})" if kind.ends[0] else name
    also = f" Also labelled {', '.join(f'`{label}`' for label in kind.labels)}." if kind.labels else ""
    lines = [f"### {title}", "", f"{kind.meaning[0].upper()}{kind.meaning[1:]}.{also}", ""]
    rows = [(f"`{prop}`", type_, meaning_of(name, prop)) for prop, type_ in kind.properties.items()]
    lines += table(("property", "type", "meaning"), rows) if rows else []
    return [*lines, "```cypher", EXAMPLES[name], "```", ""]


def schema_page() -> str:
    """Every label, relationship, property, constraint and index."""
    lines = [
        "# Schema of the graph",
        "",
        MADE,
        "",
        f"Version {SCHEMA_VERSION}. Pairs are (row, col), row 0 at the top; a positive weight excites. The unit's own "
        "position in a kernel is `-offset`, never the middle of the array. Types are those of the bulk importer; "
        "`float` has 32 bits. The queries run on what `circuitgraph demo` loads.",
        "",
        "## Labels",
        "",
    ]
    for name, kind in NODES.items():
        lines += kind_section(name, kind)
    lines += ["## Relationships", ""]
    for name, kind in RELATIONSHIPS.items():
        lines += kind_section(name, kind)
    lines += ["## Constraints and indexes", ""]
    lines += [f"- `{' '.join(text.removeprefix('CYPHER 5 ').split())}`" for text in INDEXES]
    return "\n".join(lines) + "\n"


PAGES = {"settings.md": settings_page, "cli.md": cli_page, "errors.md": errors_page, "schema.md": schema_page}


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    for page, make in PAGES.items():
        (FOLDER / page).write_text(make(), encoding="utf-8")
