"""Weights into a module and out of it: names that must match, and the values that are hashed."""

from __future__ import annotations

import copy
import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from circuitgraph.errors import MappingError, ShapeError, WeightsError
from importers.module_twin import unwrapped
from importers.weights.architecture import Architecture
from importers.weights.tensors import Tensors, check_finite

__all__ = ["WRAPPING_PREFIXES", "load_tensors", "state_of", "without_prefixes"]

WRAPPING_PREFIXES = ("module.", "_orig_mod.", "model.", "net.", "network.", "backbone.")
"""What training code puts before the names of a network it wraps."""

_SHOWN = 5
_OTHER = "The file is of another architecture, or of other arguments (--kwargs)."


def state_of(module: nn.Module, source: str) -> Tensors:
    """Read a module's parameters and buffers, all finite.

    Raises
    ------
    WeightsError
        A tensor has no values yet.
    NonFiniteError
        A value is NaN or infinite.
    """
    state: Tensors = {}
    for name, tensor in unwrapped(module).state_dict(keep_vars=True).items():
        if not isinstance(tensor, torch.Tensor):
            continue
        if isinstance(tensor, (nn.UninitializedParameter, nn.parameter.UninitializedBuffer)):
            raise WeightsError(
                f"importing {source}: {name} has no shape yet.", hint="Run the module forward once first."
            )
        if name.endswith("num_batches_tracked"):
            continue
        if tensor.is_meta:
            raise WeightsError(f"importing {source}: {name} has no values (it is on the meta device).")
        own = tensor.detach().cpu()
        wide = own.float() if own.is_floating_point() and own.dtype != torch.float64 else own
        state[name] = wide.numpy()
    check_finite(state, source)
    return state


def without_prefixes(tensors: Mapping[str, NDArray[Any]], wanted: Iterable[str]) -> dict[str, NDArray[Any]]:
    """Take `WRAPPING_PREFIXES` off, one after the other, where every name has it and more of the names wanted are met.

    Examples
    --------
    >>> list(without_prefixes({"model.fc.weight": 0, "model.fc.bias": 0}, ["fc.weight", "fc.bias"]))
    ['fc.weight', 'fc.bias']
    >>> list(without_prefixes({"model.fc.weight": 0, "loss.weight": 0}, ["fc.weight"]))
    ['model.fc.weight', 'loss.weight']
    """
    names = set(wanted)
    best = current = dict(tensors)
    while current:
        prefix = next((p for p in WRAPPING_PREFIXES if all(name.startswith(p) for name in current)), None)
        if prefix is None:
            break
        current = {name.removeprefix(prefix): values for name, values in current.items()}
        if len(names & set(current)) > len(names & set(best)):
            best = current
    return best


def load_tensors(made: Architecture, tensors: Mapping[str, NDArray[Any]], source: str) -> nn.Module:
    """Return a copy of a module with these weights in it.

    Raises
    ------
    MappingError
        Tensors are missing or left over.
    ShapeError
        A tensor has another shape than the module's.
    """
    own = made.module.state_dict()
    needed = {name for name in own if not name.endswith("num_batches_tracked")}
    found = without_prefixes(tensors, own)
    missing = sorted(needed - set(found))
    extra = sorted(name for name in set(found) - set(own) if not name.endswith("num_batches_tracked"))
    if missing or extra:
        parts = [_listed(f"{len(missing)} of {len(needed)} tensors are missing", missing)] if missing else []
        parts += [_listed(f"{len(extra)} do not belong to it", extra)] if extra else []
        raise MappingError(
            f"importing {source} into {made.name}: {'; '.join(parts)}{_alike(missing, extra)}.",
            hint=_remedy(found),
        )
    for name in sorted(needed):
        if tuple(own[name].shape) != found[name].shape:
            raise ShapeError(
                f"importing {source} into {made.name}: {name} is {_sides(found[name].shape)} in the file, "
                f"{_sides(own[name].shape)} in the architecture.",
                hint=_OTHER,
            )
    check_finite({name: found[name] for name in sorted(needed)}, source)
    return _with_values(made.module, {name: found[name] for name in needed})


def _alike(missing: Sequence[str], extra: Sequence[str]) -> str:
    """Say which names left over may be those that are missing."""
    pairs = [(name, difflib.get_close_matches(name, extra, n=1)) for name in missing[:_SHOWN]]
    said = [f"{close[0]} its {name}" for name, close in pairs if close][:3]
    return f" (is {', '.join(said)}?)" if said else ""


def _remedy(tensors: Mapping[str, Any]) -> str:
    for prefix in WRAPPING_PREFIXES:
        count = sum(name.startswith(prefix) for name in tensors)
        if count > len(tensors) / 2 and count < len(tensors):
            return (
                f"{count} of the file's {len(tensors)} names begin with {prefix!r}, which is taken off only where all "
                "do: save the network's own state_dict."
            )
    return _OTHER


def _with_values(module: nn.Module, tensors: Mapping[str, NDArray[Any]]) -> nn.Module:
    twin = copy.deepcopy(module)
    values = {name: torch.from_numpy(np.array(array)) for name, array in tensors.items()}
    twin.load_state_dict(values, strict=False, assign=True)
    for name, buffer in twin.named_buffers():
        if buffer.is_meta and name.endswith("num_batches_tracked"):
            parent, _, last = name.rpartition(".")
            twin.get_submodule(parent).register_buffer(last, torch.zeros((), dtype=torch.long))
    return twin


def _listed(what: str, names: Sequence[str]) -> str:
    more = f", ... and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{what} ({', '.join(names[:_SHOWN])}{more})"


def _sides(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape)) or "a single number"
