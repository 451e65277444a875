"""``circuitgraph motifs``: a command for each motif, ours and those of other packages, made from its typed options."""

from __future__ import annotations

import dataclasses
import difflib
import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from circuitgraph.bundle import Bundle
from circuitgraph.bundle.approximations import notes_between
from circuitgraph.cli.options import format_option, quiet_option, store_option
from circuitgraph.cli.output import say, show_json, show_progress, show_rows, show_table
from circuitgraph.errors import MotifError
from circuitgraph.settings import read_settings
from queries.base import Match, MotifResult
from queries.families_file import read_families_file
from queries.registry import (
    Explanation,
    Motif,
    MotifOption,
    get_motif,
    list_motifs,
    motif_packages,
    motif_problems,
)

__all__ = ["motifs"]

_SHOWN = 20
_OWN = ("bundle", "save", "explain", "form", "quiet", "store", "user")


class _Motifs(click.Group):
    """The commands of this group are the motifs that are registered, besides those below."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        for problem in motif_problems():
            say(f"warning: {problem}")
        broken = [name for name in list_motifs() if not _loads(name)]
        return sorted({*super().list_commands(ctx), *list_motifs()} - set(broken))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in self.commands or cmd_name not in list_motifs():
            return super().get_command(ctx, cmd_name)
        return _command(get_motif(cmd_name))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if not name.startswith("-") and name not in (*self.commands, *list_motifs()):
            close = difflib.get_close_matches(name, (*self.commands, *list_motifs()), n=1)
            said = f"Did you mean {close[0]}?" if close else "`circuitgraph motifs list` lists them."
            raise click.UsageError(f"there is no motif {name!r}. {said}", ctx)
        return super().resolve_command(ctx, args)


def _loads(name: str) -> bool:
    try:
        get_motif(name)
    except MotifError:
        return False
    return True


@click.group(cls=_Motifs)
def motifs() -> None:
    """Find motifs in a network, with a null hypothesis for each."""


@motifs.command(name="list", epilog="Example: circuitgraph motifs list")
@format_option
def list_(form: str) -> None:
    """List the motifs that can be searched, and the packages that they come from; list_motifs in Python."""
    packages = motif_packages()
    found = [get_motif(name) for name in list_motifs() if _loads(name)]
    rows = [
        {
            "motif": motif.name,
            "finds": motif.summary,
            "nulls": ", ".join(null.name for null in motif.nulls) or None,
            "package": packages[motif.name],
        }
        for motif in found
    ]
    show_rows(["motif", "finds", "nulls", "package"], rows, form, name="motif-list")
    for problem in motif_problems():
        say(f"warning: {problem}")


@motifs.command(epilog="Example: circuitgraph motifs saved --network handwritten")
@click.option("--network", help="Only those of this network.")
@click.option("--motif", "name", help="Only those of this motif.")
@click.option("--limit", type=click.IntRange(1), default=_SHOWN, show_default=True, help="Most motifs to show.")
@store_option
@format_option
def saved(network: str | None, name: str | None, limit: int, store: str | None, user: str | None, form: str) -> None:
    """List the motifs that were saved in a store; circuitgraph.store.motifs.list_motifs in Python."""
    from circuitgraph.store import Store
    from circuitgraph.store.motifs import list_motifs as list_saved

    with Store.open(settings=read_settings(store=store, user=user).settings) as connected:
        rows = [row for row in list_saved(connected, network) if name in (None, row["motif"])]
    columns = ["uid", "motif", "network", "score", "p", "q", "null", "draws", "seed", "roles", "units"]
    show_rows(columns, [{each: row[each] for each in columns} for row in rows[:limit]], form, name="motifs-saved")
    _say_limit(limit, len(rows))


def _command(motif: Motif) -> click.Command:
    """Return the command of one motif.

    Raises
    ------
    MotifError
        One of its options has a name that every motif's command uses itself.
    """
    taken = [option.name for option in motif.options if option.name in _OWN or not option.name.isidentifier()]
    if taken:
        raise MotifError(
            f"motif {motif.name!r} of {motif_packages()[motif.name]}: {taken[0]!r} cannot be the name of an option.",
            hint=f"Taken are: {', '.join(_OWN)}.",
        )
    arguments = [option for option in motif.options if option.is_argument]
    example = "".join(f" '{option.default}'" for option in arguments)
    command: Callable[..., None] = _runner(motif)
    for option in reversed([option for option in motif.options if not option.is_argument and option.name != "limit"]):
        command = _option(option)(command)
    for option in reversed(arguments):
        command = click.argument(option.name, type=_types(option)[0])(command)
    command = click.argument("bundle", type=click.Path(path_type=Path))(command)
    return click.command(
        name=motif.name,
        help=f"{motif.summary}\n\n{_in_python(motif)}",
        short_help=motif.summary,
        epilog=f"Example: circuitgraph motifs {motif.name} handwritten.circuit{example}",
    )(command)


def _in_python(motif: Motif) -> str:
    called = getattr(motif, "finder", "").rpartition(":")
    where = f"{called[2]} in Python" if called[2] else f"queries.registry.get_motif({motif.name!r}).find in Python"
    return f"{where}. With --explain nothing is searched: it tells the definition, the null, the Cypher and the cost."


def _types(option: MotifOption) -> tuple[Any, Callable[..., Any] | None]:
    if option.kind == "int":
        return click.INT, None
    if option.kind == "float":
        return click.FLOAT, None
    if option.kind in ("path", "families"):
        return click.Path(path_type=Path), _families if option.kind == "families" else None
    if option.kind in ("texts", "units"):
        return click.STRING, _units if option.kind == "units" else _texts
    return (click.Choice(list(option.choices)) if option.choices else click.STRING), None


def _texts(ctx: click.Context, param: click.Parameter, value: str | None) -> list[str] | None:  # noqa: ARG001
    return None if value is None else [part.strip() for part in value.split(",") if part.strip()]


def _units(ctx: click.Context, param: click.Parameter, value: str | None) -> list[str | int] | None:
    parts = _texts(ctx, param, value)
    return None if parts is None else [int(part) if part.isascii() and part.isdigit() else part for part in parts]


def _families(ctx: click.Context, param: click.Parameter, value: Path | None) -> Any:  # noqa: ARG001
    return None if value is None else read_families_file(value)


def _option(option: MotifOption) -> Callable[[Callable[..., None]], Callable[..., None]]:
    name = f"--{option.name.replace('_', '-')}"
    if option.kind == "flag":
        return click.option(name, option.name, is_flag=True, default=bool(option.default), help=option.help)
    kind, callback = _types(option)
    default = option.default
    if isinstance(default, (list, tuple)):
        default = ",".join(str(each) for each in default)
    return click.option(
        name,
        option.name,
        type=kind,
        callback=callback,
        default=default,
        show_default=default is not None,
        help=option.help,
        metavar={"units": "UNITS", "texts": "NAMES", "families": "FILE"}.get(option.kind),
    )


def _runner(motif: Motif) -> Callable[..., None]:
    @click.option(
        "--limit",
        type=click.IntRange(1),
        help=f"Most matches to show. [{_SHOWN} in a table, else all]",
    )
    @click.option("--save", is_flag=True, help="Save what was found as :Motif nodes in the store.")
    @click.option("--explain", is_flag=True, help="Tell what would be searched, and at what cost; nothing runs.")
    @store_option
    @format_option
    @quiet_option
    def run(
        bundle: Path,
        limit: int | None,
        save: bool,
        explain: bool,
        form: str,
        quiet: bool,
        store: str | None,
        user: str | None,
        **options: Any,
    ) -> None:
        given = {name: value for name, value in options.items() if value is not None}
        if limit is not None and any(option.name == "limit" for option in motif.options):
            given["limit"] = limit
        with Bundle.open(bundle) as opened:
            if explain:
                _show_explanation(motif, motif.explain(opened, **given), form)
                return
            if save:
                _search_and_save(motif, opened, given, form=form, limit=limit, quiet=quiet, store=store, user=user)
            else:
                result = motif.find(opened, progress=show_progress(quiet=quiet), **given)
                _show_result(result, opened, form, limit, quiet=quiet)

    return run


def _search_and_save(
    motif: Motif,
    bundle: Bundle,
    options: dict[str, Any],
    *,
    form: str,
    limit: int | None,
    quiet: bool,
    store: str | None,
    user: str | None,
) -> None:
    from circuitgraph.store import Store

    progress = show_progress(quiet=quiet)
    with Store.open(settings=read_settings(store=store, user=user).settings, progress=progress) as connected:
        # before a long search whose finds could not be saved
        loaded = {meta["network"]: meta["weights_sha256"] for meta in connected.networks()}
        if loaded.get(bundle.network) != bundle.info.weights_sha256:
            raise MotifError(
                f"saving {motif.name}: the store does not hold {bundle.network} with the weights of {bundle.path}.",
                hint=f"Load it first: `circuitgraph load {bundle.path}`.",
            )
        result = motif.find(bundle, progress=progress, **options)
        if not result.weights_sha256:
            result = dataclasses.replace(result, weights_sha256=bundle.info.weights_sha256)
        _show_result(result, bundle, form, limit, quiet=quiet)
        count = result.to_store(connected)
    if not quiet:
        left = len(result.matches) - len(result.found)
        rest = f"; {left:,} that do not count as found were left out" if left else ""
        say(f"saved {count:,} motifs of {bundle.network}{rest}.")


def _show_result(result: MotifResult[Match], bundle: Bundle, form: str, limit: int | None, *, quiet: bool) -> None:
    most = limit or (_SHOWN if form == "table" else None)
    shown = result.matches[:most]
    if form == "json":
        whole = result.to_dict()
        whole["match_count"] = len(result.matches)
        whole["matches"] = whole["matches"][:most]
        needed = {match.chance.scores.id for match in shown if match.chance is not None}
        whole["null_scores"] = {uid: said for uid, said in whole["null_scores"].items() if uid in needed}
        show_json(whole, name="motifs")
    elif form == "ndjson":
        show_rows([], [match.to_dict() for match in shown], form)
    else:
        rows = [match.row() for match in shown]
        columns = list(dict.fromkeys(name for row in rows for name in row))
        rows = [{name: row.get(name) for name in columns} for row in rows]
        if form == "csv":
            show_rows(columns, rows, form)
        else:
            click.echo(result.statement)
            show_table(columns, rows)
    _say_limit(most, len(result.matches))
    if not quiet:
        for note in result.notes:
            say(f"note: {note}")
        for note in notes_between(bundle, ([str(unit) for _, _, unit in match.bindings()] for match in shown)):
            say(f"note: {note}")
        say(f"{result.seconds:.1f} s.")


def _say_limit(most: int | None, count: int) -> None:
    if most is not None and count > most:
        say(f"cut at {most} of {count:,} matches; give --limit.")


def _show_explanation(motif: Motif, said: Explanation, form: str) -> None:
    if form == "json":
        show_json({"motif": motif.name, **said.to_dict()}, name="motif-explanation")
        return
    if form in ("csv", "ndjson"):
        raise click.UsageError("an explanation is written as a table or as json.")
    lines = [said.definition.strip(), ""]
    for null in said.nulls:
        lines.append(f"null {null.name}: keeps {null.keeps}; destroys {null.kills}")
    if not said.nulls:
        lines.append("no null: a ranking")
    lines += ["", f"cost: {said.cost}"]
    if said.cypher:
        lines += ["", "the pattern over the strong edges of the store, for `circuitgraph query`:", "", said.cypher]
        lines += [f"-p {name}={_typed(value)}" for name, value in said.parameters.items()]
    click.echo("\n".join(lines))


def _typed(value: Any) -> str:
    """Write a parameter as ``circuitgraph query -p`` reads it."""
    return value if isinstance(value, str) else shlex.quote(json.dumps(value))
