"""What an explorer remembers between requests: things that cost much to make and hold for one version of the data."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from circuitgraph.web.explorer import Explorer

__all__ = ["remembered"]

_T = TypeVar("_T")

_MOST = 256
_lock = threading.Lock()
_known: WeakKeyDictionary[Explorer, OrderedDict[Hashable, Any]] = WeakKeyDictionary()


def remembered(explorer: Explorer, key: Hashable, make: Callable[[], _T]) -> _T:
    """Return what `make` gives, made once for each key; the key names the version of the data too.

    Of many things those that were asked for last are kept. Two that ask at once may both make it.
    """
    with _lock:
        own = _known.setdefault(explorer, OrderedDict())
        if key in own:
            own.move_to_end(key)
            found: _T = own[key]
            return found
    made = make()
    with _lock:
        own[key] = made
        while len(own) > _MOST:
            own.popitem(last=False)
    return made
