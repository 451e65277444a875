"""Importers: networks and labels from elsewhere, made into bundles and claims."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from importers.expand import expand_bottleneck
    from importers.weights.kernels import import_kernels
    from importers.weights.torch_module import import_torch

__all__ = ["expand_bottleneck", "import_kernels", "import_torch"]

# loaded on first use: torch takes a second, and expand_bottleneck needs none of it
_LAZY = {
    "expand_bottleneck": "importers.expand",
    "import_kernels": "importers.weights.kernels",
    "import_torch": "importers.weights.torch_module",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        from importlib import import_module

        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
