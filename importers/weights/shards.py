"""Files that only stand for weights: git LFS pointers, web pages, and the index of weights in several files."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

from circuitgraph.errors import MissingFileError, WeightsError
from importers.weights.tensors import Tensors

__all__ = ["check_stand_in", "read_shards"]

_MAX_INDEX_BYTES = 64 * 1024**2


def check_stand_in(path: Path) -> None:
    """Refuse what a download leaves in the place of weights.

    Raises
    ------
    WeightsError
        The file is empty, a git LFS pointer, or a web page.
    """
    size = path.stat().st_size
    with path.open("rb") as stream:
        start = stream.read(1024)
    if not start:
        raise WeightsError(f"reading weights: {path.name} is empty (0 bytes).", hint="Fetch it again.")
    if start.startswith(b"version https://git-lfs.github.com/spec"):
        meant = re.search(rb"size (\d+)", start)
        words = f" of the {int(meant[1]):,} bytes that are meant" if meant else ""
        raise WeightsError(
            f"reading weights: {path.name} ({size:,} bytes) is a git LFS pointer, not the file{words}.",
            hint=f"Fetch the file itself: git lfs pull --include {path.name}",
        )
    if re.match(rb"(\xef\xbb\xbf)?\s*<(!doctype html|html|head|\?xml)", start, re.IGNORECASE):
        raise WeightsError(
            f"reading weights: {path.name} ({size:,} bytes) is a web page, not weights.",
            hint="Fetch the file itself, by the link that downloads it (with 'raw' or 'resolve' in it).",
        )


def read_shards(path: Path, read: Callable[[Path], Tensors]) -> Tensors:
    """Read weights that are kept in several files.

    Parameters
    ----------
    path
        The index, ``{"weight_map": {name: file}}``, as ``model.safetensors.index.json``; the files are beside it.
    read
        Reads one of them.

    Raises
    ------
    WeightsError
        It is no index, or a file does not hold what it says.
    MissingFileError
        A file is not there.
    """
    if path.stat().st_size > _MAX_INDEX_BYTES:
        raise WeightsError(f"reading weights: {path.name} has {path.stat().st_size:,} bytes, too many for an index.")
    index = json.loads(path.read_text(encoding="utf-8"))
    places = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(places, dict) or not all(isinstance(file, str) for file in places.values()):
        raise WeightsError(
            f"reading weights: {path.name} has no 'weight_map' of names to files.",
            hint="Give the file of weights itself to --weights.",
        )
    files = sorted(set(places.values()))
    outside = [file for file in files if Path(file).name != file or file.endswith(".index.json")]
    if outside:
        raise WeightsError(f"reading weights: {path.name} names {outside[0]!r}, which is no file of weights beside it.")
    missing = [file for file in files if not (path.parent / file).exists()]
    if missing:
        raise MissingFileError(
            f"reading weights: {len(missing)} of the {len(files)} files that {path.name} names are missing, "
            f"for example {missing[0]}.",
            hint="Fetch them too, into the same folder.",
        )
    tensors: Tensors = {}
    for file in files:
        tensors |= read(path.parent / file)
    lost = sorted(set(places) - set(tensors))
    if lost:
        raise WeightsError(f"reading weights: {lost[0]} is not in {places[lost[0]]}, as {path.name} says it is.")
    return {name: tensors[name] for name in places}
