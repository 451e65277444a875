"""Every command explains itself, its example parses, and the pages made from the code are up to date."""

from __future__ import annotations

import importlib.util
import re
import shlex
from collections import Counter
from pathlib import Path
from types import ModuleType

import click
import pytest

from circuitgraph.cli.main import cli
from circuitgraph.settings import Settings, environment_name
from circuitgraph.store.meanings import EXAMPLES, MEANINGS, meaning_of
from circuitgraph.store.schema import NODES, RELATIONSHIPS

ROOT = Path(__file__).resolve().parents[1]


def reference() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_reference", ROOT / "scripts" / "make_reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


REFERENCE = reference()
COMMANDS = {" ".join(words): command for words, command in REFERENCE.commands(cli, ("circuitgraph",))}


@pytest.fixture(params=COMMANDS)
def words(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_every_command_of_the_issue_is_there() -> None:
    wanted = "import torch|import kernels|inspect|bundle verify|server start|server stop|server status|load|query|demo"
    assert {f"circuitgraph {words}" for words in wanted.split("|")} <= set(COMMANDS)


def test_a_command_says_in_one_line_what_it_does(words: str) -> None:
    text = COMMANDS[words].help or ""
    assert re.match(r"[A-Z][^\n]+[.;]", text), f"{words}: {text!r}"


def test_every_option_says_what_it_is_for(words: str) -> None:
    for option in COMMANDS[words].params:
        if isinstance(option, click.Option):
            assert option.help, f"{words}: {option.opts}"


def test_the_example_of_a_command_is_taken_by_it(words: str) -> None:
    command = COMMANDS[words]
    example = (command.epilog or "").removeprefix("Example: ")
    assert example.startswith(words), f"{words}: {command.epilog!r}"
    arguments = shlex.split(example.partition(" | ")[0])[len(words.split()) :]
    command.make_context(words, arguments).close()


def test_every_command_is_on_the_page_of_commands(words: str) -> None:
    page = (ROOT / "docs" / "reference" / "cli.md").read_text(encoding="utf-8")
    assert f"## {words}\n" in page


@pytest.mark.parametrize("page", REFERENCE.PAGES)
def test_the_page_is_what_the_code_makes(page: str) -> None:
    written = (ROOT / "docs" / "reference" / page).read_text(encoding="utf-8")
    assert written == REFERENCE.PAGES[page](), "run: python scripts/make_reference.py"


def test_every_property_of_the_graph_has_a_meaning_and_every_kind_an_example() -> None:
    kinds = {**NODES, **RELATIONSHIPS}
    unexplained = [f"{kind}.{name}" for kind in kinds for name in kinds[kind].properties if not meaning_of(kind, name)]
    assert unexplained == []
    used = {name for kind in kinds.values() for name in kind.properties}
    own = {f"{kind}.{name}" for kind in kinds for name in kinds[kind].properties}
    assert set(MEANINGS) <= used | own, "a meaning of a property that is not there"
    assert set(EXAMPLES) == set(kinds)


def test_one_variable_stands_for_one_thing() -> None:
    settings = {environment_name(name) for name in Settings.model_fields}
    shared = {"CIRCUITGRAPH_FORMAT", "CIRCUITGRAPH_QUIET"}
    taken = Counter(
        variable
        for words, command in COMMANDS.items()
        for option in command.params
        if (variable := REFERENCE.variable_of(tuple(words.split()), option)) and variable not in settings | shared
    )
    assert [variable for variable, count in taken.items() if count > 1] == []
    # these have a meaning of their own
    assert not {"CIRCUITGRAPH_CONFIG", "CIRCUITGRAPH_DEBUG", "CIRCUITGRAPH_TEST_DATA"} & set(taken)


def test_an_option_that_overrides_a_setting_names_it() -> None:
    for words, command in COMMANDS.items():
        for option in command.params:
            if option.name in Settings.model_fields:
                assert isinstance(option, click.Option)
                assert f"[setting: {option.name}, {environment_name(option.name)}]" in (option.help or ""), words
