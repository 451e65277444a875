"""``circuitgraph rebuild``: a new database from bundles and a catalogue, beside the live one."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import click

from circuitgraph.cli.catalogue.opening import open_if_any
from circuitgraph.cli.options import catalogue_option, quiet_option, setting_option
from circuitgraph.cli.output import say, show_progress
from circuitgraph.settings import read_settings

__all__ = ["rebuild"]


@click.command(epilog="Example: circuitgraph rebuild resnet20.circuit --catalogue claims")
@click.argument("bundles", metavar="[BUNDLE]...", nargs=-1, type=click.Path(path_type=Path))
@catalogue_option
@setting_option("--store", setting="store", help="'local', the managed server; no other can be rebuilt.")
@click.option("--edges", help="auto, all, or top:K, of the named bundles; as the old database has them if not given.")
@click.option("--keep", is_flag=True, help="Leave the old database on the disk, and say where.")
@click.option("--lose", is_flag=True, help="Go on where the old database has what no bundle or catalogue brings back.")
@quiet_option
def rebuild(
    bundles: tuple[Path, ...],
    catalogue: str | None,
    store: str | None,
    edges: str | None,
    keep: bool,
    lose: bool,
    quiet: bool,
) -> None:
    """Make a new database beside the live one, check it, and put it in its place; rebuild_store in Python.

    Without BUNDLE, of the bundles that are loaded. What only the database has of a catalogue goes to its folder first.
    The live database serves until the new one has passed its check; killed at any moment, one of the two is there,
    whole, and the same command begins anew.
    """
    from circuitgraph.catalogue.store_rebuild import rebuild_store
    from circuitgraph.store import Store
    from circuitgraph.store.server import ManagedServer

    progress = show_progress(quiet=quiet)
    settings = read_settings(store=store).settings
    with ExitStack() as stack:
        folder = open_if_any(catalogue)
        if folder is not None:
            stack.enter_context(folder)
        # not opened, since a database that is damaged may not start
        server = ManagedServer(settings, progress) if settings.store == "local" else None
        opened = stack.enter_context(Store(settings, server=server))
        report = rebuild_store(
            opened, bundles, catalogue=folder, edges=edges, keep_old=keep, lose=lose, progress=progress
        )
    check = report.check
    click.echo(f"rebuilt: {', '.join(check.networks)}, {check.edge_count:,} edges, {check.claim_count:,} claims")
    if report.taken_out:
        say(f"{report.taken_out:,} things that only the old database had are in the catalogue now.")
    if report.motifs_kept or report.motifs_dropped:
        say(f"{report.motifs_kept:,} saved motifs were kept, {report.motifs_dropped:,} of other bundles were dropped.")
    for each in report.lost:
        say(f"lost: {each}")
    if report.old_home is not None:
        say(f"the old database is in {report.old_home}; remove the folder when it is no longer wanted.")
    if not quiet:
        say(f"{report.seconds:.1f} s. Next: circuitgraph check")
