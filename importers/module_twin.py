"""Copies of a module that can be traced and run while the caller's stays as it was.

A twin shares the caller's weights (or has none, on the meta device), is in eval mode
and has no hooks. What old-style weight norms, spectral norms and pruning recompute in
a hook is computed once.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn

from circuitgraph.errors import TraceError, UnsupportedOperationError, WeightsError

__all__ = ["check_module", "make_twin", "notes_on_hooks", "unwrapped"]

_HOOK_TABLES = (
    "_forward_hooks",
    "_forward_hooks_with_kwargs",
    "_forward_hooks_always_called",
    "_forward_pre_hooks",
    "_forward_pre_hooks_with_kwargs",
    "_backward_hooks",
    "_backward_pre_hooks",
)
_QUANTISED = ("torch.ao.nn.quantized", "torch.ao.nn.intrinsic.quantized", "torch.nn.quantized")


def unwrapped(module: nn.Module) -> nn.Module:
    """Take off what only runs a module in another way: DataParallel, torch.compile, averaged models."""
    while True:
        inner = _inner(module)
        if inner is None:
            return module
        module = inner


def _inner(module: nn.Module) -> nn.Module | None:
    from torch.optim.swa_utils import AveragedModel

    if isinstance(module, (nn.DataParallel, nn.parallel.DistributedDataParallel, AveragedModel)):
        return module.module
    compiled = getattr(module, "_orig_mod", None) if type(module).__name__ == "OptimizedModule" else None
    return compiled if isinstance(compiled, nn.Module) else None


def check_module(module: nn.Module) -> None:
    """Refuse what has no weights that could be expanded, by the path of the module or tensor.

    Raises
    ------
    WeightsError
        A tensor has no shape or no values, or is not of real numbers.
    UnsupportedOperationError
        A module is quantised.
    TraceError
        A module is compiled with TorchScript.
    """
    name = type(module).__name__
    for path, part in module.named_modules():
        place = f"{type(part).__name__} at {path!r}" if path else name
        if isinstance(part, torch.jit.ScriptModule):
            raise TraceError(
                f"tracing {name}: {place} is compiled with TorchScript, which cannot be traced again.",
                hint="Import the Python module that it was made from, with its state_dict as --weights.",
            )
        if type(part).__module__.startswith(_QUANTISED):
            raise UnsupportedOperationError(
                f"tracing {name}: {place} is quantised.", hint="Import the float module that it was made from."
            )
    for path, tensor in [*module.named_parameters(), *module.named_buffers()]:
        if isinstance(tensor, (nn.UninitializedParameter, nn.parameter.UninitializedBuffer)):
            raise WeightsError(f"tracing {name}: {path} has no shape yet.", hint="Run the module forward once first.")
        if tensor.is_meta:
            raise WeightsError(
                f"tracing {name}: {path} has no values (it is on the meta device).",
                hint="Load its weights first, or give them as --weights.",
            )
        if tensor.is_quantized or tensor.is_complex():
            raise WeightsError(
                f"tracing {name}: {path} is {str(tensor.dtype).removeprefix('torch.')}; floats are wanted.",
                hint="Import the float module that it was made from."
                if tensor.is_quantized
                else "No option admits it.",
            )


def make_twin(module: nn.Module, *, on_meta: bool = False, own_values: bool = False) -> nn.Module:
    """Copy a module; in eval mode, without hooks.

    Parameters
    ----------
    module
        It is not changed.
    on_meta
        Whether the copy's weights are to have shapes only.
    own_values
        Whether its parameters are to be copied too, so that a forward that writes over them does no harm.

    Raises
    ------
    TraceError
        It holds something that cannot be copied.
    """
    memo: dict[int, Any] = {}
    for part in module.modules():
        for table in _HOOK_TABLES:
            found = vars(part).get(table)
            if found is not None:
                # what hooks refer to is not copied either
                memo[id(found)] = type(found)()
        for value in vars(part).values():
            if isinstance(value, torch.Tensor):
                memo[id(value)] = _own(value, on_meta=on_meta, copied=own_values)
    for parameter in module.parameters():
        memo[id(parameter)] = _own(parameter, on_meta=on_meta, copied=own_values)
    for buffer in module.buffers():
        # many a forward counts in one
        memo[id(buffer)] = _own(buffer, on_meta=on_meta, copied=True)
    for part in module.modules():
        for name, value in _recomputed(part).items():
            memo[id(vars(part)[name])] = torch.empty_like(value, device="meta") if on_meta else value
    try:
        twin = copy.deepcopy(module, memo)
    except Exception as error:
        raise TraceError(
            f"tracing {type(module).__name__}: it cannot be copied ({type(error).__name__}: {error}).",
            hint="Take what is no tensor, number or module off its attributes before it is imported.",
        ) from error
    for part in list(twin.modules()):
        for name, child in list(part._modules.items()):
            if child is not None:
                part._modules[name] = unwrapped(child)
    return twin.eval()


def _own(tensor: torch.Tensor, *, on_meta: bool, copied: bool) -> torch.Tensor:
    if not on_meta and not copied:
        return tensor
    values = torch.empty_like(tensor, device="meta") if on_meta else tensor.detach().clone()
    return nn.Parameter(values, requires_grad=False) if isinstance(tensor, nn.Parameter) else values.detach()


def _recomputed(part: nn.Module) -> dict[str, torch.Tensor]:
    """Compute the tensors of a module that its hooks compute before each call."""
    found: dict[str, torch.Tensor] = {}
    with torch.no_grad():
        hooks: list[Any] = list(part._forward_pre_hooks.values())
        for hook in hooks:
            if hasattr(hook, "compute_weight"):
                is_spectral = type(hook).__name__ == "SpectralNorm"
                found[hook.name] = hook.compute_weight(part, *((False,) if is_spectral else ()))
            elif hasattr(hook, "apply_mask"):
                found[hook._tensor_name] = hook.apply_mask(part)
    return {name: value.detach() for name, value in found.items() if name in vars(part)}


def notes_on_hooks(module: nn.Module) -> list[str]:
    """Say which modules have hooks that a twin is without, and that may change what they return."""
    notes = []
    for path, part in module.named_modules():
        hooks = [*part._forward_hooks.values(), *part._forward_pre_hooks.values()]
        if any(not hasattr(hook, "compute_weight") and not hasattr(hook, "apply_mask") for hook in hooks):
            notes.append(f"forward hooks on {path or type(module).__name__!r} are left out")
    return notes
