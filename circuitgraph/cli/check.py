"""``circuitgraph check``: whether the database holds what bundles and a catalogue say."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import click

from circuitgraph.cli.catalogue.opening import open_if_any
from circuitgraph.cli.options import catalogue_option, format_option, quiet_option, store_option
from circuitgraph.cli.output import say, show_json, show_progress, show_rows
from circuitgraph.errors import LoadError
from circuitgraph.settings import read_settings

__all__ = ["check"]


@click.command(epilog="Example: circuitgraph check resnet20.circuit --catalogue claims")
@click.argument("bundles", metavar="[BUNDLE]...", nargs=-1, type=click.Path(path_type=Path))
@catalogue_option
@store_option
@click.option("--deep", is_flag=True, help="Compare every edge and every claim by itself, not counts and sums.")
@click.option("--repair", is_flag=True, help="Load again what differs, sync the catalogue, and check once more.")
@click.option("--most", type=click.IntRange(1), default=20, show_default=True, help="Most differences to name.")
@format_option
@quiet_option
def check(
    bundles: tuple[Path, ...],
    catalogue: str | None,
    store: str | None,
    user: str | None,
    deep: bool,
    repair: bool,
    most: int,
    form: str,
    quiet: bool,
) -> None:
    """Say whether the database holds what bundles and the catalogue say; check_store, repair_store in Python.

    Networks that are loaded but not named are compared with the bundles that they were loaded from. Exit code 1 where
    something differs.
    """
    from circuitgraph.catalogue.store_check import check_store
    from circuitgraph.catalogue.store_repair import repair_store
    from circuitgraph.store import Store

    progress = show_progress(quiet=quiet)
    settings = read_settings(store=store, user=user).settings
    with ExitStack() as stack:
        folder = open_if_any(catalogue)
        if folder is not None:
            stack.enter_context(folder)
        opened = stack.enter_context(Store.open(settings=settings, progress=progress))
        if repair:
            report = repair_store(opened, bundles, catalogue=folder, deep=deep, progress=progress)
            found = report.after
            if not quiet and not report.before.is_equal:
                again = ", ".join(report.reloaded) or "no network"
                say(f"{report.before.difference_count:,} differences were found; loaded again: {again}.")
        else:
            found = check_store(opened, bundles, catalogue=folder, deep=deep, most=most, progress=progress)
    said = found.as_dict()
    if form == "json":
        show_json(said, name="check")
    elif found.differences:
        show_rows(["network", "place", "what", "expected", "found"], said["differences"], form, name="check")
    if not quiet:
        if found.difference_count > len(found.differences):
            say(f"... and {found.difference_count - len(found.differences):,} more; --most names more.")
        for note in found.notes:
            say(f"note: {note}.")
        say(f"{found.statement} {found.seconds:.1f} s.")
    if not found.is_equal:
        hint = "Put it right with: circuitgraph check --repair"
        if repair:
            hint = "What is left is no network's and no catalogue's; `circuitgraph rebuild --lose` leaves it out."
        raise LoadError(f"checking the database: {found.difference_count:,} differences.", hint=hint)
