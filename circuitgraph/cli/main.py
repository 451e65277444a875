"""The command ``circuitgraph``: its groups, its errors and its exit codes.

Exit codes: 0 done, 1 an error of ours, 2 wrong usage, 130 interrupted.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import click

from circuitgraph import __version__
from circuitgraph.cli.output import say
from circuitgraph.errors import CircuitGraphError

__all__ = ["cli", "main"]

# command -> (module, attribute); loaded when used, so that --help needs no extra
_COMMANDS = {
    "annotate": ("circuitgraph.cli.annotate", "annotate"),
    "bundle": ("circuitgraph.cli.bundle", "bundle"),
    "catalogue": ("circuitgraph.cli.catalogue", "catalogue"),
    "check": ("circuitgraph.cli.check", "check"),
    "circuit": ("circuitgraph.cli.circuit", "circuit"),
    "config": ("circuitgraph.cli.config", "config"),
    "demo": ("circuitgraph.cli.demo", "demo"),
    "direction": ("circuitgraph.cli.direction", "direction"),
    "draw": ("circuitgraph.cli.draw", "draw"),
    "explore": ("circuitgraph.cli.explore", "explore"),
    "import": ("circuitgraph.cli.importing", "import_"),
    "inspect": ("circuitgraph.cli.bundle", "inspect"),
    "load": ("circuitgraph.cli.query", "load"),
    "motifs": ("circuitgraph.cli.motifs", "motifs"),
    "networks": ("circuitgraph.cli.networks", "networks"),
    "query": ("circuitgraph.cli.query", "query"),
    "rebuild": ("circuitgraph.cli.rebuild", "rebuild"),
    "server": ("circuitgraph.cli.server", "server"),
    "sql": ("circuitgraph.cli.sql", "sql"),
}


# commands that leave a state from which they go on
_RESUMABLE = ("check", "demo", "import", "load", "rebuild", "server")


class _LazyGroup(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in _COMMANDS:
            return None
        module, attribute = _COMMANDS[cmd_name]
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        try:
            answer = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:
            # who reads has had enough, as `head` does; nothing is left to be told at exit
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            ctx.exit(0)
        return answer


@click.group(
    cls=_LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "auto_envvar_prefix": "CIRCUITGRAPH"},
    epilog="Begin with: circuitgraph demo",
)
@click.version_option(__version__, prog_name="circuitgraph", allow_from_autoenv=False)
@click.option("--debug", is_flag=True, help="Show where in the code an error came from; may stand anywhere.")
def cli(debug: bool) -> None:
    """Features and circuits of neural networks in one graph: import weights, load them, ask in Cypher."""


def main() -> None:
    """Run the command line and leave with its exit code."""
    args, debug = _without_debug(sys.argv[1:])
    try:
        code = cli.main(args, prog_name="circuitgraph", standalone_mode=False)
    except (click.exceptions.Abort, KeyboardInterrupt):
        is_resumable = next((arg for arg in args if not arg.startswith("-")), "") in _RESUMABLE
        say("interrupted; the same command goes on where it was." if is_resumable else "interrupted.")
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except CircuitGraphError as error:
        if debug:
            raise
        say(f"error: {error}")
        for note in getattr(error, "__notes__", ()):
            say(f"  {note}")
        sys.exit(1)
    except Exception as error:
        if debug:
            raise
        say(f"error: circuitgraph met what it did not expect: {type(error).__name__}: {error}")
        say("  Run it again with --debug and report what it prints.")
        sys.exit(1)
    sys.exit(code if isinstance(code, int) else 0)


def _without_debug(args: Sequence[str]) -> tuple[list[str], bool]:
    stop = args.index("--") if "--" in args else len(args)
    kept = [arg for arg in args[:stop] if arg != "--debug"]
    asked = os.environ.get("CIRCUITGRAPH_DEBUG", "").lower() in ("1", "true", "yes", "on")
    return [*kept, *args[stop:]], asked or len(kept) < stop
