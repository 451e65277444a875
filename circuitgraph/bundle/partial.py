"""The folder in which a bundle is written before it stands under its name.

``NAME.circuit.partial`` holds what is finished of an import that was killed, and what import it was of, so that
only the same one goes on with it. A file beside it is locked while someone writes.
"""

from __future__ import annotations

import datetime
import errno
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from circuitgraph.bundle import format as fmt
from circuitgraph.errors import BundleError, BundleExistsError, CircuitGraphError, DiskFullError, MissingFileError
from circuitgraph.progress import Progress

__all__ = ["PartialBundle", "created_now", "finish_swap", "swap"]

_STATE = "state"
_KEY = "key.json"
_FOLDERS = (_STATE, "kernels", "factors", "edges", "labels")


class PartialBundle:
    """A bundle on the way.

    Parameters
    ----------
    path
        Where the bundle is to stand.
    replace
        Whether a bundle that is there already may be replaced.

    Raises
    ------
    BundleExistsError, BundleError, MissingFileError
        Nothing can be written there.
    """

    def __init__(self, path: Path, *, replace: bool) -> None:
        self.path = path
        self._replace = replace
        _check_name(path)
        self.folder = path.with_name(path.name + ".partial")
        self._lock = FileLock(path.with_name(path.name + ".lock"), timeout=0)
        self._check()

    def _check(self) -> None:
        if self.path.exists() and not self._replace:
            raise BundleExistsError(
                f"writing {self.path}: it is already there.",
                hint="Give another path (--out), or replace it (--replace; replace=True).",
            )
        if self.path.exists() and not (self.path / fmt.MANIFEST).exists():
            raise BundleError(
                f"writing {self.path}: what is there is not a bundle, so it is not replaced.",
                hint="Give another --out.",
            )
        if not self.path.parent.is_dir():
            raise MissingFileError(
                f"writing {self.path}: the folder {self.path.parent} does not exist.", hint="Make it first."
            )

    def open(self, key: Mapping[str, Any], progress: Progress) -> None:
        """Take the lock, and go on with what the same import left or begin anew.

        Parameters
        ----------
        key
            What the import is; parts that differ from those of a left-over are named.
        """
        try:
            self._lock.acquire()
        except Timeout:
            raise BundleError(
                f"writing {self.path}: another import is writing it now.",
                hint="Wait for it, or give another --out.",
            ) from None
        except OSError as error:
            # whatever stands there under a temporary name may be another's
            raise self._refusal(error) from error
        try:
            with self.writing():
                finish_swap(self.path)
                self._check()
                self._begin(key, progress)
        except BaseException:
            self.release()
            raise

    def _begin(self, key: Mapping[str, Any], progress: Progress) -> None:
        key_file = self.folder / _STATE / _KEY
        left = _read_json(key_file)
        if left is not None and fmt.canonical_json(left) == fmt.canonical_json(key):
            done = sum(self._is_whole(file) for file in sorted(key_file.parent.glob("[0-9]*.json")))
            if done:
                progress.note(f"going on with an interrupted import: {done} of {len(key['layers']) - 1} layers done")
            return
        if isinstance(left, dict):
            other = ", ".join(name for name in key if left.get(name) != key[name])
            progress.note(f"what is left of an interrupted import is not of this one (other {other}): begun anew")
        shutil.rmtree(self.folder, ignore_errors=True)
        for name in _FOLDERS:
            (self.folder / name).mkdir(parents=True)
        key_file.write_text(fmt.canonical_json(key), encoding="utf-8")

    def _is_whole(self, state_file: Path) -> bool:
        """Whether all files of a finished layer are what they were; if not, the layer is made again."""
        state = _read_json(state_file)
        try:
            if isinstance(state, dict) and all(
                fmt.file_sha256(self.folder / name) == entry["sha256"] for name, entry in state["files"].items()
            ):
                return True
        except (OSError, KeyError, TypeError, AttributeError):
            pass
        state_file.unlink()
        return False

    def _state_file(self, index: int) -> Path:
        return self.folder / _STATE / f"{index:04d}.json"

    def has_state(self, index: int) -> bool:
        """Whether layer number `index` is finished."""
        return self._state_file(index).exists()

    def read_state(self, index: int) -> dict[str, Any]:
        """Return what `write_state` was given."""
        state: dict[str, Any] = json.loads(self._state_file(index).read_text(encoding="utf-8"))
        return state

    def write_state(self, index: int, state: Mapping[str, Any]) -> None:
        """Say that layer number `index` is finished, in one step."""
        temporary = self._state_file(index).with_suffix(".tmp")
        temporary.write_text(fmt.canonical_json(state), encoding="utf-8")
        temporary.replace(self._state_file(index))

    def remove_strangers(self, files: Mapping[str, Any]) -> None:
        """Remove what is not among `files`: a killed run may have begun a layer with more files than it has now."""
        for name in list(fmt.iter_files(self.folder)):
            if name not in files and not name.startswith(f"{_STATE}/"):
                (self.folder / name).unlink()

    def complete(self, manifest: Mapping[str, Any]) -> None:
        """Write the manifest and put the folder in its place."""
        shutil.rmtree(self.folder / _STATE)
        text = json.dumps(manifest, indent=1, sort_keys=True, ensure_ascii=False)
        (self.folder / fmt.MANIFEST).write_text(text + "\n", encoding="utf-8")
        swap(self.folder, self.path)

    def discard(self) -> None:
        """Remove all that was begun."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def release(self) -> None:
        """Let others write."""
        # unlinked while held: who waits for the old file finds a new one to lock
        Path(self._lock.lock_file).unlink(missing_ok=True)
        self._lock.release()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Turn what the system refuses into an error of ours, with nothing left behind."""
        try:
            yield
        except CircuitGraphError:
            raise
        except OSError as error:
            self.discard()
            raise self._refusal(error) from error

    def _refusal(self, error: OSError) -> CircuitGraphError:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            return DiskFullError(
                f"writing {self.path}: no room left on the target ({error.strerror}); what was begun is removed.",
                hint="Free some room, or give another --out.",
            )
        return BundleError(f"writing {self.path}: {error.strerror or error}.", hint="Give another --out.")


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None


def _check_name(path: Path) -> None:
    """Refuse a path that cannot name a folder, before anything is made of it."""
    try:
        if not path.name:
            raise ValueError("it has no name of its own")
        path.with_name(path.name + ".partial").lstat()
    except FileNotFoundError:
        return
    except (OSError, ValueError) as error:
        if isinstance(error, NotADirectoryError):
            return
        fact = error.strerror if isinstance(error, OSError) else error
        raise BundleError(
            f"writing {str(path)[:120]!r}: no bundle can have that path ({fact}).",
            hint="Give another --out, as in --out NAME.circuit.",
        ) from error


def _old(path: Path) -> Path:
    return path.with_name(path.name + ".old")


def finish_swap(path: Path) -> None:
    """Put a bundle back that a run killed in the middle of `swap` had moved away."""
    old = _old(path)
    if old.exists() and not path.exists():
        old.replace(path)


def swap(new: Path, path: Path) -> None:
    """Put the finished folder `new` in the place of `path`, which may be there."""
    old = _old(path)
    shutil.rmtree(old, ignore_errors=True)
    if path.exists():
        path.replace(old)
    new.replace(path)
    shutil.rmtree(old, ignore_errors=True)


def created_now() -> str:
    """Return the moment that a manifest tells: now, or what SOURCE_DATE_EPOCH says.

    Raises
    ------
    BundleError
        SOURCE_DATE_EPOCH is no count of seconds.
    """
    fixed = os.environ.get("SOURCE_DATE_EPOCH", "")
    if fixed and not re.fullmatch("[0-9]{1,11}", fixed):
        raise BundleError(f"SOURCE_DATE_EPOCH is {fixed!r}, a count of seconds is wanted.", hint="Unset it.")
    moment = datetime.datetime.fromtimestamp(int(fixed), datetime.UTC) if fixed else datetime.datetime.now(datetime.UTC)
    return moment.replace(microsecond=0).isoformat()
