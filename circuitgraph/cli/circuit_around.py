"""``circuitgraph circuit around``: a unit and its strongest neighbours as a graph with kernels, in a file or shown."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click

from circuitgraph.cli.options import format_option, quiet_option, store_option, strongest_options
from circuitgraph.cli.output import say, show_progress, show_tables
from circuitgraph.settings import read_settings

__all__ = ["around"]

_UNIT_COLUMNS = ("unit", "role", "bias", "in_norm", "out_norm")
_EDGE_COLUMNS = ("up", "down", "sum", "l1", "share_in", "shape", "offset", "stride")


@click.command(
    epilog="Example: circuitgraph circuit around mixed4c:41 --bundle handwritten.circuit --top 4 -o car.graphml"
)
@click.argument("unit")
@click.option("--bundle", type=click.Path(path_type=Path), help="Take it from this bundle, not from the store.")
@click.option("--hops", type=click.IntRange(0), default=2, show_default=True, help="Steps upstream and downstream.")
@click.option("--top", type=click.IntRange(1), default=8, show_default=True, help="Edges to follow at each unit.")
@strongest_options
@click.option(
    "-o", "--out", type=click.Path(path_type=Path), help="Write it to a file that ends in .graphml, .gexf or .json."
)
@click.option("--table", "table_name", type=click.Choice(["units", "edges"]), help="Show only this table.")
@store_option
@format_option
@quiet_option
def around(
    unit: str,
    bundle: Path | None,
    hops: int,
    top: int,
    min_share: float,
    by: Any,
    out: Path | None,
    table_name: str | None,
    store: str | None,
    user: str | None,
    form: str,
    quiet: bool,
) -> None:
    """Take a unit, its strongest neighbours and theirs as a graph with its kernels; circuit_around in Python.

    Without --out its units and edges are shown. What is written can be read back without loss, by read_circuit.
    """
    from circuitgraph.bundle import Bundle
    from circuitgraph.bundle.describe import Description
    from circuitgraph.catalogue.subgraph import circuit_around
    from circuitgraph.export import write_circuit

    if bundle is not None and store is not None:
        raise click.UsageError("give --bundle or --store, not both.")
    with ExitStack() as stack:
        source: Any
        if bundle is not None:
            source = stack.enter_context(Bundle.open(bundle))
        else:
            from circuitgraph.store import Store

            settings = read_settings(store=store, user=user).settings
            source = stack.enter_context(Store.open(settings=settings, progress=show_progress(quiet=quiet)))
        graph = circuit_around(source, unit, hops=hops, top=top, min_share=min_share, by=by)
    notes = list(graph.attributes["left_out"])
    if out is not None:
        write_circuit(graph, out)
        if not quiet:
            say(f"{out}: {len(graph.units)} units, {len(graph.edges)} edges.")
        for note in notes:
            say(f"note: {note}")
        return
    units = [{"unit": each.uid, **each.attributes} for each in graph.units]
    edges = [
        {
            "up": each.up,
            "down": each.down,
            "sum": each.sum,
            "l1": each.l1,
            "share_in": each.share_in,
            "shape": list(each.kernel.shape),
            "offset": each.attributes["offset"],
            "stride": each.attributes["stride"],
        }
        for each in graph.edges
    ]
    tables = [
        Description("units", f"units around {graph.attributes['around']['unit']}", _UNIT_COLUMNS, units, []),
        Description("edges", "edges", _EDGE_COLUMNS, edges, [f"note: {note}" for note in notes]),
    ]
    shown = [table for table in tables if table_name in (None, table.name)]
    show_tables(shown, form, name="circuit-around", about={"around": graph.attributes["around"]})
