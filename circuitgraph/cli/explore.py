"""``circuitgraph explore``: look at bundles and the catalogue in a browser."""

from __future__ import annotations

import webbrowser
from contextlib import ExitStack
from pathlib import Path

import click

from circuitgraph.cli.catalogue.opening import who_speaks
from circuitgraph.cli.options import author_options, catalogue_option, quiet_option, setting_option
from circuitgraph.cli.output import say, show_progress
from circuitgraph.errors import CatalogueError
from circuitgraph.settings import read_settings

__all__ = ["explore"]

_LOOPBACK = ("127.0.0.1", "localhost", "::1")


@click.command(epilog="Example: circuitgraph explore handwritten.circuit --open")
@click.argument("bundles", nargs=-1, type=click.Path(path_type=Path), metavar="[BUNDLE]...")
@setting_option("--store", setting="store", help="Add a Cypher box on this store: 'local', or a URI.")
@catalogue_option
@author_options
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen at.")
@click.option("--port", type=click.IntRange(0, 65535), default=8470, show_default=True, help="0 takes a free one.")
@click.option("--public", "is_public", is_flag=True, help="Strangers may look: nothing can be written.")
@click.option("--name", "names", multiple=True, help="A name under which strangers reach it, as explorer.example.org.")
@click.option("--open", "is_opened", is_flag=True, help="Open a browser.")
@quiet_option
def explore(
    bundles: tuple[Path, ...],
    store: str | None,
    catalogue: str | None,
    author: str | None,
    orcid: str | None,
    host: str,
    port: int,
    is_public: bool,
    names: tuple[str, ...],
    is_opened: bool,
    quiet: bool,
) -> None:
    """Look at bundles and the catalogue in a browser, and make claims there; make_app in Python.

    Without BUNDLE, those in the folder 'bundles' of the data folder, where the demo's is. The address that is printed
    holds a token, without which nothing can be written. With --store, Cypher is asked through the guard; with --public
    too, within 10 seconds and 200 rows.
    """
    from circuitgraph.web.explorer import Explorer
    from circuitgraph.web.server import address_at, listen, make_token, serve

    settings = read_settings(store=store, catalogue=catalogue).settings
    if not bundles:
        bundles = tuple(sorted((settings.data_dir / "bundles").glob("*.circuit")))
    if host not in _LOOPBACK and not is_public:
        raise click.UsageError(f"--host {host} lets strangers in: add --public, with which nothing can be written.")
    try:
        speaker = who_speaks(author, orcid)
    except CatalogueError:
        # who is not named can look
        if author is not None or orcid is not None:
            raise
        speaker = None
    with ExitStack() as stack:
        opened = None
        if store is not None:
            from circuitgraph.store import Store

            opened = stack.enter_context(Store.open(settings=settings, progress=show_progress(quiet=quiet)))
        explorer = stack.enter_context(
            Explorer.open(
                bundles,
                catalogue=settings.catalogue_folder,
                store=opened,
                author=speaker,
                is_public=is_public,
                searches=settings.data_dir / "searches",
            )
        )
        listening = stack.enter_context(listen(host, port))
        token = make_token()
        address = address_at(host, listening)
        if not is_public:
            address = f"{address}?token={token}"
        click.echo(address)
        if not quiet:
            say(f"exploring {', '.join(explorer.bundles) or 'no bundle'}; Ctrl-C ends it.")
        if is_opened:
            webbrowser.open(address)
        serve(explorer, listening, token=token, hosts=(host, *names))
