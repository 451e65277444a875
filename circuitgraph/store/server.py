"""A Neo4j of one's own: started when it is wanted, on this machine only, without root.

The process outlives the one that started it. It answers on the loopback, with a
password of its own that only its user can read. See `circuitgraph.store.homes`
for what lies where.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from circuitgraph.errors import (
    CircuitGraphError,
    DiskFullError,
    MissingExtraError,
    PortTakenError,
    ServerError,
    SettingsError,
)
from circuitgraph.progress import SILENT, Progress
from circuitgraph.settings import Settings
from circuitgraph.store.provision import NO_ROOM, find_java, lock_path, provision_jars, read_lock
from circuitgraph.store.versions import NEO4J_VERSION, Release, find_release, version_order

try:
    import psutil
except ModuleNotFoundError as error:
    raise MissingExtraError(
        f"the managed server needs the package {error.name!r}, which is not installed.",
        hint="pip install 'feature-circuitgraph[neo4j]'",
    ) from error

from circuitgraph.store.conf import HOST, server_conf, write_conf
from circuitgraph.store.homes import Home, Homes, is_same_process, process_mark, wait_for_end, write_private

__all__ = ["AdminResult", "Home", "ManagedServer", "ServerStatus"]

_HANDSHAKE = bytes.fromhex("6060b017000001ff000808050000040400000000")
_ADMIN = "org.neo4j.cli.AdminTool"
_OPENED = ("java.nio", "java.io", "sun.nio.ch", "java.util.concurrent")
_JAVA_OPTIONS = (
    *(f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in _OPENED),
    "--enable-native-access=ALL-UNNAMED",
    "-XX:+UseG1GC",
    "-XX:-OmitStackTraceInFastThrow",
    "-XX:+DisableExplicitGC",
    # with the default of 1 MB, `1 + 1 + ...` of 200 terms overflows the parser's stack, and the server answers nothing
    "-Xss32m",
    "-XX:+ExitOnOutOfMemoryError",
    # else the command line, with what is secret in it, lies in a file under /tmp
    "-XX:-UsePerfData",
    "-Dlog4j2.disable.jmx=true",
)
# the first start lays out logs of transactions: 260 MiB are then taken
_ROOM_AT_FIRST_BYTES = 300 << 20
_ROOM_BYTES = 32 << 20
_STOP_TIMEOUT_S = 60
_POLL_S = 0.05
_SHOWN_LINES = 12


@dataclass(frozen=True, slots=True)
class ServerStatus:
    """What the managed server is doing.

    Parameters
    ----------
    is_running
        Whether its process lives and answers Bolt.
    was_running
        Of `ManagedServer.start`: nothing had to be done.
    uri, pid, started, memory_bytes
        Of the process; None where it does not run. Memory is what is resident.
    home, disk_bytes
        The live database; None and 0 where there is none yet.
    version
        Of Neo4j.
    """

    is_running: bool
    was_running: bool
    uri: str | None
    pid: int | None
    started: datetime | None
    memory_bytes: int | None
    home: Path | None
    disk_bytes: int
    version: str = NEO4J_VERSION


@dataclass(frozen=True, slots=True)
class AdminResult:
    """What Neo4j's administration tool printed, and how long it took."""

    output: str
    elapsed_s: float


class ManagedServer:
    """The Neo4j in the user's data folder.

    Parameters
    ----------
    settings
        Of them: data_dir, jars_dir, java_home, maven_mirror, neo4j_version, bolt_port, heap, page_cache,
        start_timeout_s.
    progress
        Told what is fetched and what is waited for.

    Examples
    --------
    Fill a database beside the live one, then put it in its place::

        home = server.new_home()
        server.run_admin(["database", "import", "full", "neo4j", ...], home=home)
        server.swap(home)
        server.start()
    """

    user = "neo4j"

    def __init__(self, settings: Settings, progress: Progress = SILENT) -> None:
        self.settings = settings
        self._progress = progress
        self._root = settings.data_dir.expanduser().resolve() / "server"
        self._homes = Homes(self._root)
        self._state = self._root / "server.json"
        self._port_file = self._root / "port"
        self._lock = FileLock(self._root.with_name("server.lock"))

    @property
    def release(self) -> Release:
        """The version of Neo4j that the settings ask for.

        Raises
        ------
        SettingsError
            There is no such version here.
        """
        return find_release(self.settings.neo4j_version)

    @property
    def uri(self) -> str:
        """The address of the running server.

        Raises
        ------
        ServerError
            It does not run.
        """
        uri = self.status().uri
        if uri is None:
            raise ServerError(
                f"the managed server in {self._root} does not run.", hint="Start it with: circuitgraph server start"
            )
        return uri

    @property
    def pid(self) -> int | None:
        """The process of the server, also of one that does not answer yet; None if there is none."""
        process = self._process()
        return None if process is None else process.pid

    @property
    def home(self) -> Home | None:
        """The live home; None before the first start."""
        return self._homes.current()

    def password(self) -> str:
        """Return the password of `user`, chosen at the first call and the same ever after."""
        path = self._root / "password"
        with suppress(FileNotFoundError):
            return path.read_text(encoding="ascii").strip()
        with self._alone("choosing the password"):
            if not path.exists():
                write_private(path, secrets.token_hex(24))
            return path.read_text(encoding="ascii").strip()

    def status(self) -> ServerStatus:
        """Return what the server is doing now. Starts nothing and waits for nothing."""
        return self._report(was_running=False)

    def start(self) -> ServerStatus:
        """Start the server and wait until it answers; return at once if it already does.

        Raises
        ------
        ProvisionError, MissingExtraError, DiskFullError
            Java or the jars cannot be had.
        SettingsError
            No server can run with these settings, or the database is of a newer Neo4j than they ask for.
        PortTakenError
            The port of the settings is in use by something else.
        ServerError
            It ended, or did not answer in time; the message holds its last lines. It has been ended.
        """
        with self._alone("starting"):
            process = self._process()
            if process is not None:
                is_ready = self._answers()
                # one that was told to stop by a process that was then killed does not get ready, but ends
                if is_ready or self._wait_until_ready(process, may_end=True):
                    return self._report(was_running=is_ready)
            java = find_java(self.settings.java_home, self.release)
            jars = self.provision()
            home = self._homes.current()
            if home is None:
                home = self._homes.create()
                self._homes.make_current(home)
                self._homes.mark(home, "owner", None)
            self._check_version(home)
            self._homes.end_admin(home)
            self._check_room(home)
            self._set_password(home)
            port = self._choose_port()
            self._wait_until_ready(self._spawn(java, jars, home, port))
            return self._report(was_running=False)

    def stop(self) -> bool:
        """Stop the server if it runs; return whether it did.

        Raises
        ------
        ServerError
            It could not be ended.
        """
        with self._alone("stopping"):
            process = self._process()
            if process is not None:
                self._end(process)
            self._state.unlink(missing_ok=True)
            return process is not None

    def kill(self) -> None:
        """End the server at once, since it cannot go on; what it acknowledged is there at the next start."""
        process = self._process()
        if process is not None:
            with suppress(psutil.Error):
                process.kill()
                wait_for_end(process, _STOP_TIMEOUT_S)

    def destroy(self) -> None:
        """Stop the server and remove its databases and its password; the jars stay."""
        with self._alone("removing"):
            self.stop()
            shutil.rmtree(self._root, ignore_errors=True)

    @contextmanager
    def offline(self) -> Iterator[Home | None]:
        """Stop the server for a while, and let nobody start it; start it again if it ran.

        Yields the live home, for `run_admin`; None if there is none yet.
        """
        with self._locked():
            did_run = self.stop()
            try:
                yield self._homes.current()
            finally:
                if did_run:
                    self.start()

    def strays(self) -> list[int]:
        """Return the processes that go on beside the live database, though the one that began them was killed."""
        return self._homes.strays()

    def remove_strays(self) -> list[int]:
        """End them and remove what they worked on; return their ids."""
        with self._alone("removing what was left"):
            found = self._homes.strays()
            self._homes.remove_abandoned()
            return found

    def new_home(self) -> Home:
        """Make a home for a new database beside the live one, which stays in use.

        It belongs to this process. Homes that were left by processes that have ended are removed.
        """
        with self._alone("making a home"):
            self._homes.remove_abandoned()
            return self._homes.create()

    def swap(self, home: Home) -> None:
        """Stop the server and make `home` the live one; the old home is then removed.

        A crash on the way leaves either the old or the new database, whole.
        """
        with self._alone("swapping homes"):
            self._set_password(home)
            self.stop()
            self._homes.make_current(home)
            self._homes.mark(home, "owner", None)

    def adopt(self, made: Home, *, keep_old: bool = False) -> None:
        """Stop the server and put a home in place of the live one that another server made, with the same password.

        The old home is removed unless `keep_old`. A crash on the way leaves either the old or the new database, whole.
        """
        with self._alone("swapping homes"):
            self.stop()
            old = self._homes.current()
            if keep_old and old is not None:
                old.keep()
            self._homes.mark(made, "owner", os.getpid())
            home = Home(self._root / "homes" / made.name)
            home.path.parent.mkdir(mode=0o700, exist_ok=True)
            made.path.rename(home.path)
            self._homes.make_current(home)
            self._homes.mark(home, "owner", None)

    def discard(self, home: Home) -> None:
        """Remove a home that was made by `new_home` and is not wanted."""
        with self._alone("removing a home"):
            if home != self._homes.current():
                shutil.rmtree(home.path, ignore_errors=True)

    def run_admin(
        self,
        args: Sequence[str],
        *,
        home: Home | None = None,
        heap: str | None = None,
        on_line: Callable[[str], None] | None = None,
    ) -> AdminResult:
        """Run Neo4j's administration tool on a home.

        Parameters
        ----------
        args
            As after ``neo4j-admin``: ``["database", "import", "full", ...]``. They are not seen by other users.
        home
            The live one if None. Most commands need it to be offline.
        heap
            As ``2g``; the heap of the settings if None.
        on_line
            Called with each line as it is printed.

        Raises
        ------
        ServerError
            The tool refused or failed; the message holds its own words.
        """
        home = home or self._homes.current()
        if home is None:
            raise ServerError("there is no database yet.", hint="Start one with: circuitgraph server start")
        self._check_version(home)
        java = find_java(self.settings.java_home, self.release)
        jars = self.provision()
        if not (home.conf_dir / "neo4j.conf").exists():
            self._configure(home, port=0)
        began = time.monotonic()
        command = [*_JAVA_OPTIONS, f"-Xmx{heap or self.settings.heap}", "-cp", f"{jars}{os.sep}*", _ADMIN, *args]
        lines: list[str] = []
        with (
            _argument_file(command, home.path / "run") as arguments,
            subprocess.Popen(
                [java, f"@{arguments}"],
                cwd=home.path,
                env=_environment(home),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                encoding="utf-8",
                errors="replace",
            ) as process,
        ):
            try:
                self._homes.mark(home, "admin", process.pid)
                for line in process.stdout or ():
                    lines.append(line.rstrip("\n"))
                    if on_line is not None:
                        on_line(lines[-1])
            except BaseException:
                process.kill()
                raise
            finally:
                process.wait()
                self._homes.mark(home, "admin", None)
        output = "\n".join(lines).replace(self.password(), "(password)")
        if process.returncode != 0:
            act = f"neo4j-admin {' '.join(args[:2])} in {home.path}"
            if "No space left on device" in output:
                raise DiskFullError(f"{act}: no room is left.", hint="Make room, or set CIRCUITGRAPH_DATA_DIR.")
            raise ServerError(f"{act} ended with exit code {process.returncode}:\n{_tail(output)}")
        return AdminResult(output, time.monotonic() - began)

    @contextmanager
    def _alone(self, act: str) -> Iterator[None]:
        """Hold the lock, and let what the operating system refuses be ours."""
        try:
            with self._locked():
                yield
        except CircuitGraphError:
            raise
        except OSError as error:
            place = f"the managed server in {self._root}: {act}"
            hint = "Make room, or name another place with CIRCUITGRAPH_DATA_DIR."
            if error.errno in NO_ROOM:
                raise DiskFullError(f"{place}: no room is left ({error.strerror}).", hint=hint) from error
            raise ServerError(f"{place}: {error}", hint="Name another place with CIRCUITGRAPH_DATA_DIR.") from error

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self._root.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        longest_s = self.settings.start_timeout_s + _STOP_TIMEOUT_S
        try:
            self._lock.acquire(timeout=longest_s)
        except Timeout:
            raise ServerError(
                f"the managed server in {self._root}: another process has been starting, stopping or "
                f"changing it for {longest_s:.0f} s.",
                hint="Wait until that one is done, or end it.",
            ) from None
        try:
            self._root.mkdir(mode=0o700, exist_ok=True)
            self._root.chmod(0o700)
            yield
        finally:
            self._lock.release()

    def provision(self) -> Path:
        """Fetch what is missing of the jars, and return their folder.

        Raises
        ------
        ProvisionError, DiskFullError
            As `circuitgraph.store.provision.provision_jars` does.
        SettingsError
            The folder has a name that Java takes for several.
        """
        version = self.release.version
        jars = self.settings.jars_dir or self.settings.data_dir / "jars"
        folder = jars.expanduser().resolve() / f"neo4j-{version}"
        # a class path is a list with this between its folders
        if os.pathsep in str(folder):
            raise SettingsError(
                f"setting 'jars_dir': {folder} has a {os.pathsep!r} in its name, which Java takes for the end of it.",
                hint=f"Name a folder without {os.pathsep!r} with CIRCUITGRAPH_JARS_DIR or CIRCUITGRAPH_DATA_DIR.",
            )
        return provision_jars(
            folder,
            mirror=self.settings.maven_mirror,
            lock=read_lock(lock_path(version)),
            title=f"Neo4j {version}",
            progress=self._progress,
        ).folder

    def _check_version(self, home: Home) -> None:
        """Refuse a database that a newer Neo4j has worked on, which this one would not open or would harm."""
        release = self.release
        made_by = home.version or NEO4J_VERSION
        if home.has_password and version_order(made_by) > release.order:
            raise SettingsError(
                f"setting 'neo4j_version': the database in {self._root} is of Neo4j {made_by}, "
                f"which Neo4j {release.version} cannot open.",
                hint=f"Set CIRCUITGRAPH_NEO4J_VERSION={made_by}, or load the bundles again into another "
                "CIRCUITGRAPH_DATA_DIR.",
            )

    def _configure(self, home: Home, *, port: int) -> dict[str, str]:
        release = self.release
        conf = server_conf(port=port, heap=self.settings.heap, page_cache=self.settings.page_cache, release=release)
        write_private(home.path / "version", release.version)
        write_conf(home.conf_dir / "neo4j.conf", conf)
        return conf

    def _check_room(self, home: Home) -> None:
        # without room Neo4j neither starts nor ends nor says why
        wanted = _ROOM_AT_FIRST_BYTES if not home.was_started else _ROOM_BYTES
        free = shutil.disk_usage(home.path).free
        if free < wanted:
            raise DiskFullError(
                f"starting the managed server in {self._root}: it needs {wanted:,} free bytes, but there are {free:,}.",
                hint="Make room, or name another place with CIRCUITGRAPH_DATA_DIR.",
            )

    def _set_password(self, home: Home) -> None:
        if not home.has_password:
            self.run_admin(["dbms", "set-initial-password", self.password()], home=home, heap="256m")
            write_private(home.path / "password-set", "")

    def _choose_port(self) -> int:
        wanted = self.settings.bolt_port
        if wanted:
            if not _is_free(wanted):
                raise PortTakenError(
                    f"starting the managed server: port {wanted} of {HOST} is taken by something else.",
                    hint="Choose another with CIRCUITGRAPH_BOLT_PORT, or 0 for any that is free.",
                )
            return wanted
        with suppress(FileNotFoundError, ValueError):
            port = int(self._port_file.read_text(encoding="ascii"))
            if 0 < port < 65536 and _is_free(port):
                return port
        with socket.socket() as probe:
            probe.bind((HOST, 0))
            port = int(probe.getsockname()[1])
        write_private(self._port_file, str(port))
        return port

    def _spawn(self, java: Path, jars: Path, home: Home, port: int) -> psutil.Process:
        conf = self._configure(home, port=port)
        if home.console.exists():
            home.console.replace(home.console.with_name("console.previous.log"))
        memory = [f"-Xms{conf['server.memory.heap.initial_size']}", f"-Xmx{self.settings.heap}"]
        places = [f"--home-dir={home.path}", f"--config-dir={home.conf_dir}", "--console-mode"]
        with home.console.open("wb") as console:
            process = subprocess.Popen(
                [java, *_JAVA_OPTIONS, *memory, "-cp", f"{jars}{os.sep}*", self.release.main, *places],
                cwd=home.path,
                env=_environment(home),
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            state = {**process_mark(process.pid), "uri": f"bolt://{HOST}:{port}", "home": str(home.path)}
            write_private(self._state, json.dumps(state))
            return psutil.Process(process.pid)
        except BaseException:
            process.kill()
            raise
        finally:
            # it is meant to outlive this process, which Popen would otherwise warn of
            process.returncode = 0

    def _wait_until_ready(self, process: psutil.Process, *, may_end: bool = False) -> bool:
        """Wait until the server answers; return False if it ends instead and `may_end`.

        While it brings a database in order that was not stopped, the time is reckoned from its last step of that: ended
        before, it would begin with it anew each time.
        """
        deadline = time.monotonic() + self.settings.start_timeout_s
        home = self._homes.current()
        step = "" if home is None else home.recovery
        try:
            with self._progress.task("Starting Neo4j") as task:
                while not self._answers():
                    if self._process() is None:
                        if may_end:
                            return False
                        raise self._failure("it ended by itself")
                    if home is not None and home.recovery != step:
                        step = home.recovery
                        deadline = time.monotonic() + self.settings.start_timeout_s
                        task.describe(f"Starting Neo4j, recovery {step}")
                    if time.monotonic() > deadline:
                        raise self._failure(f"it did not answer within {self.settings.start_timeout_s:g} s")
                    time.sleep(_POLL_S)
        except BaseException:
            with suppress(psutil.Error):
                process.kill()
                process.wait(_STOP_TIMEOUT_S)
            self._state.unlink(missing_ok=True)
            raise
        return True

    def _failure(self, fact: str) -> CircuitGraphError:
        home = self._homes.current()
        console = "" if home is None or not home.console.exists() else home.console.read_text("utf-8", "replace")
        act = f"starting the managed server in {self._root}: {fact}"
        if "Address already in use" in console:
            return PortTakenError(
                f"{act}, since its port was taken meanwhile.", hint="Start it again; another port is then chosen."
            )
        if "No space left on device" in console:
            return DiskFullError(f"{act}: no room is left.", hint="Make room, or set CIRCUITGRAPH_DATA_DIR.")
        return ServerError(
            f"{act}. Its last lines:\n{_tail(console) or '  (none)'}",
            hint="All of them are in logs/ below the homes there. "
            "If it needs longer, as after a crash, set CIRCUITGRAPH_START_TIMEOUT_S.",
        )

    def _read_state(self) -> dict[str, object]:
        try:
            state = json.loads(self._state.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return state if isinstance(state, dict) and isinstance(state.get("uri"), str) else {}

    def _process(self) -> psutil.Process | None:
        return is_same_process(self._read_state())

    def _answers(self) -> bool:
        port = str(self._read_state().get("uri", "")).rpartition(":")[2]
        return port.isdigit() and _speaks_bolt(int(port))

    def _end(self, process: psutil.Process) -> None:
        try:
            process.terminate()
            try:
                wait_for_end(process, _STOP_TIMEOUT_S)
            except psutil.TimeoutExpired:
                process.kill()
                wait_for_end(process, _STOP_TIMEOUT_S)
        except psutil.NoSuchProcess:
            return
        except psutil.Error as error:
            raise ServerError(
                f"stopping the managed server: process {process.pid} could not be ended: {error}",
                hint=f"End it by hand: kill {process.pid}",
            ) from error

    def _report(self, *, was_running: bool) -> ServerStatus:
        process = self._process()
        home = self._homes.current()
        disk_bytes = home.disk_bytes() if home else 0
        path = home.path if home else None
        if process is not None and self._answers():
            with suppress(psutil.NoSuchProcess):
                return ServerStatus(
                    is_running=True,
                    was_running=was_running,
                    uri=str(self._read_state()["uri"]),
                    pid=process.pid,
                    started=datetime.fromtimestamp(process.create_time(), UTC),
                    memory_bytes=process.memory_info().rss,
                    home=path,
                    disk_bytes=disk_bytes,
                    version=(home and home.version) or NEO4J_VERSION,
                )
        return ServerStatus(False, was_running, None, None, None, None, path, disk_bytes, self.release.version)


def _environment(home: Home) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("NEO4J_")}
    # where the locale is not UTF-8, Java cannot open a path with other letters than ASCII's
    if "UTF-8" not in kept.get("LC_ALL", kept.get("LC_CTYPE", kept.get("LANG", ""))).upper():
        kept["LC_ALL"] = "C.UTF-8"
    return {**kept, "NEO4J_HOME": str(home.path), "NEO4J_CONF": str(home.conf_dir)}


@contextmanager
def _argument_file(command: Sequence[str], folder: Path) -> Iterator[Path]:
    """Write Java's arguments to a private file, since a password among them would be seen in the process list."""
    handle, name = tempfile.mkstemp(suffix=".args", dir=folder)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            for argument in command:
                escaped = argument.replace("\\", "\\\\").replace('"', '\\"')
                file.write(f'"{escaped}"\n')
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        if os.name != "nt":
            # a port whose last connection has just been closed can be listened on again
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def _speaks_bolt(port: int) -> bool:
    try:
        with socket.create_connection((HOST, port), timeout=2) as connection:
            connection.sendall(_HANDSHAKE)
            answer = connection.recv(4)
    except OSError:
        return False
    return len(answer) == 4 and answer != bytes(4)


def _tail(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return "\n".join(f"  {line[:300]}" for line in lines[-_SHOWN_LINES:])
