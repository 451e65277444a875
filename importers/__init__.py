"""Importers: networks and labels from elsewhere, made into bundles and claims."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from circuitgraph.errors import MissingExtraError

if TYPE_CHECKING:
    from importers.directions import read_directions
    from importers.expand import expand_bottleneck
    from importers.fidelity import measure_fidelity
    from importers.gates import measure_gates
    from importers.graphdef import import_graphdef
    from importers.linearisation import Linearisation
    from importers.measuring import measure_bundle
    from importers.onnx_graph import import_onnx
    from importers.planning import ExpansionPlan, plan_expansion, plan_import
    from importers.weights.kernels import import_kernels
    from importers.weights.torch_module import import_torch

__all__ = [
    "ExpansionPlan",
    "Linearisation",
    "expand_bottleneck",
    "import_graphdef",
    "import_kernels",
    "import_onnx",
    "import_torch",
    "measure_bundle",
    "measure_fidelity",
    "measure_gates",
    "plan_expansion",
    "plan_import",
    "read_directions",
]

# loaded on first use: torch takes a second, and expand_bottleneck needs none of it
_LAZY = {
    "ExpansionPlan": "importers.planning",
    "Linearisation": "importers.linearisation",
    "expand_bottleneck": "importers.expand",
    "import_graphdef": "importers.graphdef",
    "import_kernels": "importers.weights.kernels",
    "import_onnx": "importers.onnx_graph",
    "import_torch": "importers.weights.torch_module",
    "plan_expansion": "importers.planning",
    "plan_import": "importers.planning",
    "measure_bundle": "importers.measuring",
    "measure_fidelity": "importers.fidelity",
    "measure_gates": "importers.gates",
    "read_directions": "importers.directions",
}

_EXTRAS = {"torch": "torch", "torchvision": "torch", "safetensors": "torch", "onnx": "onnx"}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        from importlib import import_module

        try:
            return getattr(import_module(_LAZY[name]), name)
        except ModuleNotFoundError as error:
            extra = _EXTRAS.get(error.name or "")
            if extra is None:
                raise
            raise MissingExtraError(
                f"{name} needs the package {error.name!r}, which is not installed.",
                hint=f"pip install 'feature-circuitgraph[{extra}]'",
            ) from error
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
