"""The command ``circuitgraph``: its groups, its errors and its exit codes.

Exit codes: 0 done, 1 an error of ours, 2 wrong usage, 130 interrupted.
"""

from __future__ import annotations

import sys
from importlib import import_module

import click

from circuitgraph import __version__
from circuitgraph.cli.output import say
from circuitgraph.errors import CircuitGraphError

__all__ = ["cli", "main"]

# command -> (module, attribute); loaded when used, so that --help needs no extra
_COMMANDS = {
    "bundle": ("circuitgraph.cli.bundle", "bundle"),
    "config": ("circuitgraph.cli.config", "config"),
    "demo": ("circuitgraph.cli.demo", "demo"),
    "import": ("circuitgraph.cli.importing", "import_"),
    "inspect": ("circuitgraph.cli.bundle", "inspect"),
    "load": ("circuitgraph.cli.query", "load"),
    "query": ("circuitgraph.cli.query", "query"),
    "server": ("circuitgraph.cli.server", "server"),
}


class _LazyGroup(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in _COMMANDS:
            return None
        module, attribute = _COMMANDS[cmd_name]
        command = getattr(import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command


@click.group(
    cls=_LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "auto_envvar_prefix": "CIRCUITGRAPH"},
    epilog="Begin with: circuitgraph demo",
)
@click.version_option(__version__, prog_name="circuitgraph")
@click.option("--debug", is_flag=True, help="Show where in the code an error came from.")
def cli(debug: bool) -> None:  # noqa: ARG001
    """Features and circuits of neural networks in one graph: import weights, load them, ask in Cypher."""


def main() -> None:
    """Run the command line and leave with its exit code."""
    debug = "--debug" in sys.argv[1:]
    try:
        cli.main(standalone_mode=False)
    except click.exceptions.Abort:
        say("interrupted; the same command goes on where it was.")
        sys.exit(130)
    except click.exceptions.Exit as leave:
        sys.exit(leave.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        say("interrupted; the same command goes on where it was.")
        sys.exit(130)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)
    except CircuitGraphError as error:
        if debug:
            raise
        say(f"error: {error}")
        for note in getattr(error, "__notes__", ()):
            say(f"  {note}")
        sys.exit(1)
