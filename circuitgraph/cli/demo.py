"""``circuitgraph demo``: the main job on a fresh machine, in one command."""

from __future__ import annotations

import time

import click

from circuitgraph.cli.options import quiet_option
from circuitgraph.cli.output import say, show_progress, show_rows
from circuitgraph.settings import read_settings

__all__ = ["demo"]


@click.command(epilog="Example: circuitgraph demo --stop")
@click.option("--stop", is_flag=True, help="Stop the server at the end.")
@quiet_option
def demo(stop: bool, quiet: bool) -> None:
    """Build the handwritten network, load it into a Neo4j of your own, and ask it four questions.

    Needs no file, and no network beyond package registries.
    """
    from circuitgraph.demo import ask, make_bundle
    from circuitgraph.store import Store
    from circuitgraph.store.server import ManagedServer

    began = time.monotonic()
    progress = show_progress(quiet=quiet)
    settings = read_settings(store="local").settings
    bundle = make_bundle(settings.data_dir / "bundles", progress=progress)
    counts = bundle.manifest.counts
    click.echo(
        f"The handwritten network: {counts['layers']} layers, {counts['units']:,} units, {counts['edges']:,} kernels"
    )
    click.echo(f"bundle: {bundle.path}")
    with Store.open(settings=settings, progress=progress) as store:
        for loaded in store.load(bundle, replace=True, progress=progress).loaded:
            click.echo(f"database: {loaded.edge_count:,} edges, {loaded.way}\n")
        for number, answer in enumerate(ask(store), start=1):
            click.echo(click.style(f"{number}. {answer.question.words}", bold=True))
            click.echo("\n".join(f"   {line}" for line in answer.query.cypher.splitlines()))
            values = ", ".join(f"${name} = {value!r}" for name, value in answer.result.parameters.items())
            click.echo(f"   with {values}\n")
            show_rows(answer.result.columns, answer.result.rows, "table")
            click.echo()
    if stop:
        ManagedServer(settings, progress).stop()
        say("the server is stopped; `circuitgraph server start` starts it again.")
    else:
        say("the server goes on running; `circuitgraph server stop` stops it.")
    say(f"{time.monotonic() - began:.0f} s. Next, type:")
    windows = "MATCH (u)-[e:MIXES]->(:Unit {uid: 'handwritten/mixed4c:41'}) RETURN u.uid, e.top, e.bottom"
    say(f'  circuitgraph query "{windows}"')
    say(f"  circuitgraph inspect {bundle.path} --unit mixed4c:41")
    say("  circuitgraph import torch YOUR_MODULE:FACTORY --weights YOUR.pth --input 3x224x224")
