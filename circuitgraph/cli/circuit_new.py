"""``circuitgraph circuit new`` and ``add``: circuits from units, a neighbourhood, a motif, a query, or a file."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click

from circuitgraph.catalogue.circuits import CircuitRecord, get_circuit
from circuitgraph.catalogue.local import Catalogue
from circuitgraph.cli.catalogue.opening import open_catalogue, today, who_speaks
from circuitgraph.cli.options import author_options, catalogue_option, format_option, quiet_option, strongest_options
from circuitgraph.cli.output import say, show_rows
from circuitgraph.errors import CatalogueError, MissingFileError, MotifError

__all__ = ["add", "new"]

_COLUMNS = ("circuit", "title", "units", "edges", "file", "is_new")
_SOURCES = ("--unit", "--around", "--from-motif", "--from-query")


@click.command(
    epilog="Example: circuitgraph circuit new --bundle handwritten.circuit --around mixed4c:41 --title 'The car' "
    "--author 'Ada Example'"
)
@click.option(
    "--bundle",
    "bundles",
    multiple=True,
    required=True,
    type=click.Path(path_type=Path),
    help="Bundle of a network that the circuit has units of; may be given several times.",
)
@click.option("--title", required=True, help="What the circuit is called.")
@click.option(
    "--unit",
    "units",
    multiple=True,
    metavar="UNIT[=ROLE]",
    help="A unit of the circuit, and what it does there; in the order of the picture.",
)
@click.option(
    "--edge",
    "edges",
    multiple=True,
    nargs=2,
    metavar="UP DOWN",
    help="An edge between two of the units; without any, the strongest ones are taken.",
)
@click.option("--around", metavar="UNIT", help="The circuit is this unit and its strongest neighbours.")
@click.option("--up", "hops_up", type=click.IntRange(0), default=1, show_default=True, help="Steps upstream of it.")
@click.option(
    "--down", "hops_down", type=click.IntRange(0), default=1, show_default=True, help="Steps downstream of it."
)
@click.option(
    "--from-motif",
    "motif_file",
    type=click.Path(path_type=Path),
    help="The circuit is a match of a search, from what `circuitgraph motifs ... --json` wrote.",
)
@click.option(
    "--match", "match_number", type=click.IntRange(1), default=1, show_default=True, help="Which one, from 1."
)
@click.option(
    "--from-query",
    "query_file",
    type=click.Path(path_type=Path, allow_dash=True),
    help="The circuit is the edges that a query gave as columns up and down: `circuitgraph query ... --json`; - reads "
    "standard input.",
)
@click.option(
    "--top", type=click.IntRange(1), default=8, show_default=True, help="Edges to keep into (and out of) each unit."
)
@strongest_options
@click.option("--label", "labels", multiple=True, metavar="UNIT=TEXT", help="What to call a unit in a picture.")
@click.option("--slug", default="", help="Name in its uid; made of the title if not given.")
@click.option("--description", default="", help="The circuit in words.")
@click.option("--reference", default="", help="DOI or address.")
@click.option("--supersedes", multiple=True, metavar="ID", help="A circuit that this one takes the place of.")
@click.option("--date", default="", help="Its date, ISO 8601; today if not given.")
@click.option("--dry-run", is_flag=True, help="Show the record as JSON; write nothing.")
@author_options
@catalogue_option
@format_option
@quiet_option
def new(
    bundles: tuple[Path, ...],
    title: str,
    units: tuple[str, ...],
    edges: tuple[tuple[str, str], ...],
    around: str | None,
    hops_up: int,
    hops_down: int,
    motif_file: Path | None,
    match_number: int,
    query_file: Path | None,
    top: int,
    min_share: float,
    by: Any,
    labels: tuple[str, ...],
    slug: str,
    description: str,
    reference: str,
    supersedes: tuple[str, ...],
    date: str,
    dry_run: bool,
    author: str | None,
    orcid: str | None,
    catalogue: str | None,
    form: str,
    quiet: bool,
) -> None:
    """Make a circuit and add it to the catalogue; make_circuit, circuit_around, circuit_from_saved in Python.

    Give one of --unit (several times), --around, --from-motif and --from-query. A circuit that is there already, by the
    same author and of the same date, is not added again.
    """
    from circuitgraph.bundle import Bundle
    from circuitgraph.catalogue.circuit_making import circuit_around, circuit_from_rows, make_circuit

    given = [name for name, value in zip(_SOURCES, (units, around, motif_file, query_file), strict=True) if value]
    if len(given) != 1:
        raise click.UsageError(f"give one of {', '.join(_SOURCES)}; given: {', '.join(given) or 'none'}.")
    if edges and not units:
        raise click.UsageError("--edge goes with --unit.")
    with ExitStack() as stack:
        opened = None if dry_run and not supersedes else stack.enter_context(open_catalogue(catalogue))
        networks = [stack.enter_context(Bundle.open(path)) for path in bundles]
        if (around or motif_file) and len(networks) > 1:
            raise click.UsageError(f"{given[0]} takes one --bundle, {len(networks)} are given.")
        said: dict[str, Any] = {
            "title": title,
            "author": who_speaks(author, orcid),
            "date": date or today(),
            "slug": slug,
            "description": description,
            "reference": reference,
            "supersedes": [get_circuit(opened, name) for name in supersedes],
            "labels": dict(_split(label, "--label") for label in labels),
        }
        if units:
            roles = dict(_split(unit, "--unit", is_optional=True) for unit in units)
            record = make_circuit(
                networks, roles, edges=edges or "strongest", by=by, top=top, min_share=min_share, **said
            )
        elif around:
            hops: dict[str, Any] = {"hops_up": hops_up, "hops_down": hops_down}
            record = circuit_around(networks[0], around, by=by, top=top, min_share=min_share, **hops, **said)
        elif motif_file:
            from queries.circuits import circuit_from_saved

            result, match = _saved_match(motif_file, match_number)
            record = circuit_from_saved(match, networks[0], result=result, top=top, min_share=min_share, **said)
        else:
            record = circuit_from_rows(networks, _rows(query_file), **said)
        if dry_run:
            click.echo(record.text(), nl=False)
            say(f"dry run: {record.uid} with {len(record.units)} units and {len(record.edges)} edges was not written.")
            return
        if opened is not None:
            _write(opened, [record], form)
    if not quiet:
        say(f"next: circuitgraph draw circuit {record.uid} --bundle {bundles[0]} -o {record.slug}.svg")


@click.command(epilog="Example: circuitgraph circuit add 'car@1f0c2a9b.json'")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@catalogue_option
@format_option
def add(files: tuple[Path, ...], catalogue: str | None, form: str) -> None:
    """Add circuits that others made, from their JSON files; Catalogue.add_documents in Python.

    A file whose hash is not that of what it says is refused, and then none is added.
    """
    from circuitgraph.catalogue.documents import read_document

    records = []
    for path in files:
        try:
            records.append(read_document(CircuitRecord, path.read_bytes(), where=str(path)))
        except OSError as error:
            raise MissingFileError(f"adding circuit {path}: {error.strerror}.") from error
    with open_catalogue(catalogue) as opened:
        _write(opened, records, form)


def _write(catalogue: Catalogue, records: Sequence[CircuitRecord], form: str) -> None:
    there = {record.sha256 for record in catalogue.documents(CircuitRecord)}
    new_count = catalogue.add_documents(records)
    rows = [
        {
            "circuit": record.uid,
            "title": record.title,
            "units": len(record.units),
            "edges": len(record.edges),
            "file": str(catalogue.folder / record.folder / record.file_name),
            "is_new": record.sha256 not in there,
        }
        for record in records
    ]
    show_rows(_COLUMNS, rows, form, name="circuits")
    say(f"{new_count} of {len(records)} circuits are new.")


def _split(text: str, option: str, *, is_optional: bool = False) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not (equals or is_optional):
        raise click.BadParameter(f"{text!r} is not UNIT=TEXT.", param_hint=option)
    return name.strip(), value.strip()


def _saved_match(path: Path, number: int) -> tuple[dict[str, Any], dict[str, Any]]:
    from queries.circuits import read_saved_result

    result = read_saved_result(path)
    matches = result["matches"]
    if number > len(matches):
        raise MotifError(
            f"reading motifs from {path}: match {number} is asked for, it has {len(matches)}.",
            hint="Count them from 1, best first; `circuitgraph motifs ... --limit` says how many are written.",
        )
    return result, matches[number - 1]


def _rows(path: Path | None) -> list[dict[str, Any]]:
    """Return the rows of what ``circuitgraph query --json`` wrote."""
    hint = "Write them: circuitgraph query '... RETURN a.uid AS up, b.uid AS down' --json > rows.json"
    try:
        text = sys.stdin.read() if path is None or str(path) == "-" else path.read_text(encoding="utf-8")
    except OSError as error:
        raise MissingFileError(f"reading rows from {path}: {error.strerror}.", hint=hint) from error
    except UnicodeDecodeError as error:
        raise CatalogueError(f"reading rows from {path}: it is no text: {error}.", hint=hint) from error
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        said = str(error).splitlines()[0]
        raise CatalogueError(f"reading rows from {path}: it is not JSON: {said}.", hint=hint) from error
    rows = found.get("rows") if isinstance(found, dict) else found
    if not isinstance(rows, list) or not all(isinstance(row, (dict, list)) for row in rows):
        raise CatalogueError(f"reading rows from {path}: it holds no list of rows.", hint=hint)
    return rows
