"""``circuitgraph draw``: kernels, units, families, circuits, motifs and layers as pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from circuitgraph.cli.catalogue.opening import open_if_any
from circuitgraph.cli.options import catalogue_option, quiet_option, store_option, strongest_options
from circuitgraph.cli.output import say, show_progress
from circuitgraph.errors import MotifError
from circuitgraph.settings import read_settings

if TYPE_CHECKING:
    from circuitgraph.bundle import Bundle
    from circuitgraph.draw import Picture

__all__ = ["draw"]

_PLACES = ("sum", "top", "bottom", "left", "right", "centre")

_Command = Callable[..., Any]

_BUNDLE = click.argument("bundle", type=click.Path(path_type=Path))
_SCALE = click.option("--scale", type=float, help="The weight that has the full colour. [the largest one]")
_TITLE = click.option("--title", default="", help="What stands above the picture.")
_MAX_EDGES = click.option(
    "--max-edges", type=click.IntRange(1), default=60, show_default=True, help="Most edges to draw, by l1."
)


def _out_option(command: _Command) -> _Command:
    """Add what every picture takes: ``--out``, ``--title``, ``--catalogue`` and ``--quiet``."""
    out = click.option(
        "-o",
        "--out",
        required=True,
        type=click.Path(path_type=Path, allow_dash=True),
        help="The file to write, .svg, .png or .html; - writes SVG to standard output.",
    )
    return quiet_option(catalogue_option(_TITLE(out(command))))


@click.group()
def draw() -> None:
    """Draw kernels, units, families, circuits, motifs and layers as SVG, PNG or HTML.

    Red and plus excite, blue and minus inhibit, white is zero. Names come from the catalogue, if there is one.
    """


@draw.command(epilog="Example: circuitgraph draw kernel handwritten.circuit mixed4b:37 mixed4c:41 -o window.svg")
@_BUNDLE
@click.argument("up")
@click.argument("down")
@_SCALE
@_out_option
def kernel(
    bundle: Path, up: str, down: str, scale: float | None, title: str, catalogue: str | None, out: Path, quiet: bool
) -> None:
    """Draw the kernel from unit UP to unit DOWN; kernel_figure in Python."""
    from circuitgraph.figures import kernel_figure

    with ExitStack() as stack:
        opened, known = _open(stack, bundle), _catalogue(stack, catalogue)
        picture = kernel_figure(opened, up, down, catalogue=known, scale=scale, title=title)
        ends = [str(opened.unit(name).layer_id) for name in (up, down)]
        _write(picture, out, quiet=quiet, notes=_notes(opened, [(ends[0], ends[1])]))


@draw.command(
    epilog="Example: circuitgraph draw grid handwritten.circuit --up 'mixed3a!early-curves' --down 'mixed3b!curves' "
    "--turned -o curves.svg"
)
@_BUNDLE
@click.option(
    "--up",
    "up_units",
    required=True,
    metavar="UNITS",
    help="Upstream: a family (mixed3b!curves), units with commas between (mixed3b:3,5,7), or a layer.",
)
@click.option("--down", "down_units", required=True, metavar="UNITS", help="Downstream: the same.")
@click.option("--turned", is_flag=True, help="Turn each kernel back by its downstream unit's angle.")
@click.option(
    "--limit", type=click.IntRange(1), default=24, show_default=True, help="Most rows, and most columns, to draw."
)
@_SCALE
@_out_option
def grid(
    bundle: Path,
    up_units: str,
    down_units: str,
    turned: bool,
    limit: int,
    scale: float | None,
    title: str,
    catalogue: str | None,
    out: Path,
    quiet: bool,
) -> None:
    """Draw all kernels between two families, in their order; grid_figure in Python."""
    from circuitgraph.figures import grid_figure
    from circuitgraph.figures.selection import select_units

    with ExitStack() as stack:
        opened, known = _open(stack, bundle), _catalogue(stack, catalogue)
        picture = grid_figure(
            opened, up_units, down_units, catalogue=known, turned=turned, scale=scale, limit=limit, title=title
        )
        up, down = (select_units(opened, each, catalogue=known).layer for each in (up_units, down_units))
        _write(picture, out, quiet=quiet, notes=_notes(opened, [(up, down)]))


@draw.command(epilog="Example: circuitgraph draw unit handwritten.circuit mixed4c:41 -o car.svg")
@_BUNDLE
@click.argument("unit")
@click.option(
    "--top", type=click.IntRange(0, 24), default=8, show_default=True, help="Kernels to draw upstream and downstream."
)
@click.option(
    "--by",
    type=click.Choice(["l2", "l1", "share_in", *_PLACES, *(f"-{place}" for place in _PLACES)]),
    default="l2",
    show_default=True,
    help="What is strongest: top shows what excites most at the top, -top what inhibits.",
)
@_out_option
def unit(bundle: Path, unit: str, top: int, by: Any, title: str, catalogue: str | None, out: Path, quiet: bool) -> None:
    """Draw a unit with its strongest kernels, and the pictures that claims about it carry; unit_figure in Python."""
    from circuitgraph.figures import unit_figure

    with ExitStack() as stack:
        opened, known = _open(stack, bundle), _catalogue(stack, catalogue)
        picture = unit_figure(opened, unit, catalogue=known, top=top, by=by, title=title)
        _write(picture, out, quiet=quiet, notes=opened.view(unit, top=top, by=by).notes)


@draw.command(
    epilog="Example: circuitgraph draw circuit --around mixed4c:41 --bundle handwritten.circuit --hops 1 --top 4 "
    "-o car.svg"
)
@click.argument("name", metavar="[ID|FILE]", required=False)
@click.option(
    "--bundle",
    "bundles",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Bundle of a network of the circuit; may be given several times.",
)
@click.option("--around", metavar="UNIT", help="Draw a unit and its strongest neighbours, of the bundle or the store.")
@click.option("--hops", type=click.IntRange(0), default=1, show_default=True, help="Steps upstream and downstream.")
@click.option("--top", type=click.IntRange(1), default=8, show_default=True, help="Edges to follow at each unit.")
@strongest_options
@click.option("--anyway", is_flag=True, help="Draw what there is even where the weights have changed; it is said.")
@_MAX_EDGES
@_SCALE
@store_option
@_out_option
def circuit(
    name: str | None,
    bundles: tuple[Path, ...],
    around: str | None,
    hops: int,
    top: int,
    min_share: float,
    by: Any,
    anyway: bool,
    max_edges: int,
    scale: float | None,
    store: str | None,
    user: str | None,
    title: str,
    catalogue: str | None,
    out: Path,
    quiet: bool,
) -> None:
    """Draw a circuit in layers with its kernels; circuit_figure in Python.

    ID is a circuit of the catalogue, FILE its JSON file, or a graph that `circuit around` wrote (.json, .graphml,
    .gexf). A circuit of the catalogue takes its kernels from --bundle.
    """
    from circuitgraph.bundle.approximations import notes_between
    from circuitgraph.catalogue.subgraph import circuit_around
    from circuitgraph.figures import circuit_figure
    from circuitgraph.figures.circuit import read_circuit_file

    if (name is None) == (around is None):
        raise click.UsageError("give a circuit (ID or FILE), or --around UNIT.")
    if around is not None and len(bundles) + (store is not None) > 1:
        raise click.UsageError("--around takes one --bundle, or --store.")
    with ExitStack() as stack:
        known, opened = _catalogue(stack, catalogue), [_open(stack, path) for path in bundles]
        drawn: Any
        if around is not None:
            source: Any = opened[0] if opened else _store(stack, store, user, quiet=quiet)
            drawn = circuit_around(source, around, hops=hops, top=top, min_share=min_share, by=by)
        else:
            drawn = read_circuit_file(known, str(name))
        options: dict[str, Any] = {"anyway": anyway, "scale": scale, "max_edges": max_edges, "title": title}
        picture = circuit_figure(drawn, *opened, catalogue=known, **options)
        ends = [(edge.up, edge.down) for edge in drawn.edges]
        notes = [note for each in opened for note in notes_between(each, ends)]
        left_out = getattr(drawn, "attributes", {}).get("left_out", [])
        what = f"{len(drawn.units)} units, {len(drawn.edges)} edges"
        _write(picture, out, quiet=quiet, what=what, notes=[*left_out, *notes])


@draw.command(epilog="Example: circuitgraph draw family handwritten.circuit 'mixed3b!curves' -o ring.svg")
@_BUNDLE
@click.argument("family")
@click.option("--up", metavar="UNIT", help="Draw the kernels from this unit. [from the strongest one of each member]")
@click.option("--limit", type=click.IntRange(1, 32), default=32, show_default=True, help="Most units on the ring.")
@_out_option
def family(
    bundle: Path,
    family: str,
    up: str | None,
    limit: int,
    title: str,
    catalogue: str | None,
    out: Path,
    quiet: bool,
) -> None:
    """Draw a family around a ring, with tuning curves where the catalogue has them; family_figure in Python."""
    from circuitgraph.figures import family_figure
    from circuitgraph.figures.families import find_family
    from circuitgraph.figures.tuning import tuning_of

    with ExitStack() as stack:
        opened, known = _open(stack, bundle), _catalogue(stack, catalogue)
        picture = family_figure(family, opened, catalogue=known, up=up, limit=limit, title=title)
        found = find_family(family, opened, known)
        pairs = [pair for pair in opened.pairs if pair[1] == found.layer]
        _write(picture, out, quiet=quiet, notes=[*tuning_of(known, found.uid)[1], *_notes(opened, pairs)])


@draw.command(epilog="Example: circuitgraph draw motif handwritten.circuit 1 --from found.json -o motif.svg")
@_BUNDLE
@click.argument("match", metavar="[ID|NUMBER]", default="1")
@click.option(
    "--from",
    "found",
    type=click.Path(path_type=Path),
    help="What `circuitgraph motifs ... --json` wrote. [motifs that were saved in the store]",
)
@click.option("--top", type=click.IntRange(1), default=8, show_default=True, help="Most edges into each unit.")
@_MAX_EDGES
@_SCALE
@store_option
@_out_option
def motif(
    bundle: Path,
    match: str,
    found: Path | None,
    top: int,
    max_edges: int,
    scale: float | None,
    store: str | None,
    user: str | None,
    title: str,
    catalogue: str | None,
    out: Path,
    quiet: bool,
) -> None:
    """Draw a match of a motif with its roles, beside its scores under the null; motif_figure in Python.

    ID is the match's (motif:...), or the beginning of it; NUMBER counts matches from 1, best first.
    """
    from circuitgraph.bundle.approximations import notes_between
    from circuitgraph.figures import motif_figure
    from circuitgraph.figures.motif import saved_matches
    from queries.circuits import read_saved_result

    with ExitStack() as stack:
        opened, known = _open(stack, bundle), _catalogue(stack, catalogue)
        if found is not None:
            result = read_saved_result(found)
        else:
            result = saved_matches(_store(stack, store, user, quiet=quiet), opened.network)
        chosen = _choose(result["matches"], match, str(found or "the store"))
        picture = motif_figure(
            chosen,
            opened,
            result=result,
            catalogue=known,
            top=top,
            scale=scale,
            max_edges=max_edges,
            title=title,
        )
        units = [str(binding[-1]) for binding in chosen.get("bindings") or ()]
        _write(picture, out, quiet=quiet, what=str(chosen.get("id", "")), notes=notes_between(opened, [units]))


@draw.command(epilog="Example: circuitgraph draw layer handwritten.circuit mixed3b -o layer.svg")
@_BUNDLE
@click.argument("layer")
@click.option("--limit", type=click.IntRange(1), default=48, show_default=True, help="Most units to draw.")
@click.option("--first", type=click.IntRange(0), default=0, show_default=True, help="Channel to begin with.")
@_out_option
def layer(
    bundle: Path, layer: str, limit: int, first: int, title: str, catalogue: str | None, out: Path, quiet: bool
) -> None:
    """Draw the units of a layer at a glance, those that read an image in colour; layer_figure in Python."""
    from circuitgraph.figures import layer_figure

    with ExitStack() as stack:
        opened, known = _open(stack, bundle), _catalogue(stack, catalogue)
        picture = layer_figure(opened, layer, catalogue=known, limit=limit, first=first, title=title)
        uid = opened.layer(layer).uid
        _write(picture, out, quiet=quiet, notes=_notes(opened, [pair for pair in opened.pairs if pair[1] == uid]))


def _open(stack: ExitStack, path: Path) -> Bundle:
    from circuitgraph.bundle import Bundle

    return stack.enter_context(Bundle.open(path))


def _catalogue(stack: ExitStack, folder: str | None) -> Any:
    found = open_if_any(folder)
    return None if found is None else stack.enter_context(found)


def _store(stack: ExitStack, store: str | None, user: str | None, *, quiet: bool) -> Any:
    from circuitgraph.store import Store

    settings = read_settings(store=store, user=user).settings
    return stack.enter_context(Store.open(settings=settings, progress=show_progress(quiet=quiet)))


def _notes(bundle: Bundle, pairs: Sequence[tuple[str, str]]) -> list[str]:
    from circuitgraph.bundle.approximations import approximation_notes

    return approximation_notes(bundle, pairs)


def _choose(matches: Sequence[dict[str, Any]], wanted: str, where: str) -> dict[str, Any]:
    """Return the match with an id or its beginning, or a number from 1."""
    hint = "Count them from 1, best first, or give the beginning of an id, as in motif:1f0c2a9b."
    if wanted.isascii() and wanted.isdigit():
        if not 1 <= int(wanted) <= len(matches):
            raise MotifError(f"drawing match {wanted}: {where} has {len(matches)}.", hint=hint)
        return matches[int(wanted) - 1]
    uid = wanted if wanted.startswith("motif:") else f"motif:{wanted}"
    found = [match for match in matches if str(match.get("id", "")).startswith(uid)]
    if len(found) != 1:
        raise MotifError(
            f"drawing match {wanted[:80]!r}: {len(found)} of the {len(matches)} in {where} are called so.", hint=hint
        )
    return found[0]


def _write(picture: Picture, out: Path, *, quiet: bool, what: str = "", notes: Iterable[str] = ()) -> None:
    """Write the picture, and say what it leaves out and what lies under its numbers."""
    from circuitgraph.figures.limits import limits_of

    if str(out) == "-":
        click.echo(picture.svg, nl=False)
    else:
        picture.save(out)
    if quiet:
        return
    if str(out) != "-":
        say(f"{out}: {what or f'{picture.width:g} x {picture.height:g} pixels'}.")
    for note in (*limits_of(picture), *notes):
        say(note)
