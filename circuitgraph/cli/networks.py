"""``circuitgraph networks``: what is loaded, and taking one out."""

from __future__ import annotations

import click

from circuitgraph.cli.options import format_option, quiet_option, store_option
from circuitgraph.cli.output import show_progress, show_rows
from circuitgraph.errors import UnknownNetworkError
from circuitgraph.settings import read_settings

__all__ = ["networks"]

_COLUMNS = ("network", "edges", "edges in bundle", "rule", "directions", "complete", "bundle")


@click.group()
def networks() -> None:
    """List the networks in the database, and take one out."""


@networks.command(name="list", epilog="Example: circuitgraph networks list --json")
@store_option
@format_option
def list_(store: str | None, user: str | None, form: str) -> None:
    """List what is loaded; Store.networks in Python."""
    from circuitgraph.store import Store

    with Store.open(settings=read_settings(store=store, user=user).settings) as opened:
        rows = [
            {
                "network": meta["network"],
                "edges": meta.get("edge_count"),
                "edges in bundle": meta.get("edges_in_bundle"),
                "rule": meta.get("edges_rule"),
                "directions": meta.get("direction_count", 0),
                "complete": bool(meta.get("is_complete")),
                "bundle": meta.get("bundle_path"),
            }
            for meta in opened.networks()
        ]
    show_rows(list(_COLUMNS), rows, form, name="networks")


@networks.command(epilog="Example: circuitgraph networks remove resnet20 --yes")
@click.argument("network")
@click.option("--yes", is_flag=True, allow_from_autoenv=False, help="Do not ask.")
@store_option
@quiet_option
def remove(network: str, yes: bool, store: str | None, user: str | None, quiet: bool) -> None:
    """Take one network out of the database; take_network_out in Python.

    Its bundle stays, and so do claims about it; its saved motifs go.
    """
    from circuitgraph.store import Store
    from circuitgraph.store.repair import take_network_out

    progress = show_progress(quiet=quiet)
    with Store.open(settings=read_settings(store=store, user=user).settings, progress=progress) as opened:
        present = [str(meta["network"]) for meta in opened.networks()]
        if network not in present:
            raise UnknownNetworkError(
                f"removing {network}: it is not in the database, which has {', '.join(present) or 'none'}.",
                hint="List them: circuitgraph networks list",
            )
        if not yes:
            click.confirm(f"Take {network} out of the database, with its saved motifs?", abort=True, err=True)
        take_network_out(opened, network, progress=progress)
    click.echo(f"{network}: removed.")
