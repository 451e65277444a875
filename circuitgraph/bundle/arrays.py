"""Reading arrays of a bundle, from as many threads as there are.

NumPy reads the head of a file with CPython's parser of literals, whose count of its depth is one for all threads in
3.11 (seen in 3.11.7; python/cpython gh-106905 is near it): of some hundred reads of several threads one may end in
"SystemError: AST constructor recursion depth mismatch". One after the other reads here.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["map_array", "read_arrays"]

# what a thread is collecting as garbage meanwhile may read too
_PARSING = threading.RLock()


def map_array(path: Path) -> NDArray[Any]:
    """Return the array of an npy file, memory-mapped for reading; what cannot be read raises as NumPy does."""
    with _PARSING:
        return np.load(path, mmap_mode="r", allow_pickle=False)  # type: ignore[no-any-return]


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Return the arrays of an npz file by name; what cannot be read raises as NumPy does."""
    with _PARSING, np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}
