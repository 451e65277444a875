"""How a torch module is traced: torch.fx, else torch.export at the input's shape, else a refusal with its place.

What torch.fx finds is compared with what the module really does on that shape: a
forward that looks at the type of its input is traced wrongly without an error.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import io
import logging
import re
import traceback
import types
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import torch
from torch import fx, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from circuitgraph.errors import CircuitGraphError, TraceError
from importers.aten_ops import is_written_in_place
from importers.export_trace import trace_with_export
from importers.fx_trace import trace_with_fx
from importers.linear_ops import MapShape
from importers.module_twin import check_module, make_twin, notes_on_hooks, unwrapped
from importers.operation_graph import Trace, example_input, recorded, with_constants

__all__ = ["Tracer", "trace_module"]

Tracer = Literal["auto", "fx", "export"]

_OURS = Path(__file__).parent
_TORCH = Path(torch.__file__).parent
_ON_VALUES = re.compile(
    r"symbolically traced variables cannot be used|data-dependent|DataDependent|"
    r"proxy_tensor\.py|Boolean value of Tensor|\.item\(\)|cannot be interpreted as an integer",
)


class _UnlikeModuleError(Exception):
    """The traced operations are not those that the module carries out."""


def trace_module(module: nn.Module, input_shape: MapShape, *, tracer: Tracer = "auto") -> Trace:
    """Trace a module; it is not changed.

    Parameters
    ----------
    module
        Takes one batch of maps.
    input_shape
        (channel, row, col).
    tracer
        "fx", "export", or "auto": what torch.fx cannot trace is tried with torch.export.

    Raises
    ------
    TraceError
        It cannot be traced, or does not run on that shape; the message has the module's path and the line.
    WeightsError, UnsupportedOperationError
        It has no weights that could be expanded.
    """
    module = unwrapped(module)
    check_module(module)
    _check_inputs(module)
    with _quietly():
        attempt = _Attempt(module, input_shape)
        attempt.run()
        if tracer != "export":
            try:
                return attempt.with_fx()
            except CircuitGraphError:
                raise
            except Exception as error:
                if tracer == "fx":
                    raise attempt.refusal(error, tracer=tracer) from error
        try:
            return attempt.with_export()
        except CircuitGraphError:
            raise
        except Exception as error:
            raise attempt.refusal(error, tracer=tracer) from error


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Keep what a forward draws, prints and warns of, each time it is tried, and torch's reports from the caller."""
    level = logging.root.manager.disable
    aside = io.StringIO()
    with (
        torch.random.fork_rng(devices=[]),
        contextlib.redirect_stdout(aside),
        contextlib.redirect_stderr(aside),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        logging.disable(logging.CRITICAL)
        try:
            yield
        finally:
            logging.disable(level)


def _check_inputs(module: nn.Module) -> None:
    name = type(module).__name__
    if type(module).forward is nn.Module.forward:
        raise TraceError(
            f"tracing {name}: it has no forward of its own.",
            hint="Wrap it in a module whose forward takes one batch of maps.",
        )
    try:
        parameters = list(inspect.signature(module.forward).parameters.values())
    except (TypeError, ValueError):
        return
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    needed = [
        p.name
        for p in parameters
        if p.default is inspect.Parameter.empty and p.kind in (*positional, inspect.Parameter.KEYWORD_ONLY)
    ]
    takes_one = any(p.kind in (*positional, inspect.Parameter.VAR_POSITIONAL) for p in parameters)
    if len(needed) > 1 or not takes_one:
        fact = f"takes a second input, {needed[1]!r}" if len(needed) > 1 else "takes no input"
        raise TraceError(
            f"tracing {name}: its forward {fact}.",
            hint="Wrap it in a module whose forward takes one batch of maps.",
        )


class _Followed(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Keeps which operations are carried out on what depends on the input, and which of them each one reads.

    torch.fx writes ``y += x`` as ``y = y + x``. That is another network only where the old value is read under
    another name, so that a step counts as the same in place or not, and what is read of it is compared.
    """

    def __init__(self, example: torch.Tensor) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.kept = [example]
        self.maker: dict[int, Any] = {id(example): 0}
        self.done: list[Any] = []

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        read = [self.maker[id(leaf)] for leaf in tree_leaves((args, kwargs)) if id(leaf) in self.maker]
        if read:
            self.done.append((str(func).replace("_.", "."), read))
            if is_written_in_place(func):
                self._write(args[0])
            made = [leaf for leaf in tree_leaves(result) if isinstance(leaf, torch.Tensor)]
            self.kept += made
            for place, leaf in enumerate(made):
                self.maker[id(leaf)] = (len(self.done), place)
        return result

    def _write(self, written: torch.Tensor) -> None:
        memory = written.untyped_storage()._cdata
        for tensor in self.kept:
            if tensor.untyped_storage()._cdata == memory:
                self.maker[id(tensor)] = (self.maker[id(tensor)], len(self.done))


def _followed(run: Callable[[torch.Tensor], Any], example: torch.Tensor) -> tuple[list[Any], Any]:
    mode = _Followed(example)
    with torch.no_grad(), mode:
        result = run(example)
    return mode.done, result


class _Attempt:
    """The attempts at one module."""

    def __init__(self, module: nn.Module, input_shape: MapShape) -> None:
        self.module = module
        self.input_shape = input_shape
        self.twin = make_twin(module)
        self.traced = self.twin
        self.notes = notes_on_hooks(module)
        self.is_on_meta = True
        self.operations: list[Any] = []

    def run(self) -> None:
        """Run the module as it is, on shapes alone where its forward allows it."""
        try:
            self.operations = self._run_once()
        except Exception:
            # a forward that reads a weight's value, or mixes in tensors of its own, needs the real ones
            self.is_on_meta = False
            self.operations = self._run_on_values()

    def _run_once(self) -> list[Any]:
        twin = self._runner()
        return _followed(twin, example_input(twin, self.input_shape))[0]

    def _run_on_values(self) -> list[Any]:
        twin = self._runner()
        try:
            return _followed(twin, example_input(twin, self.input_shape))[0]
        except Exception as error:
            raise TraceError(
                f"{self._act()}: {_place(error, twin)}{_fact(error)}",
                hint="It does not run on one batch of maps of that shape: give its shape with --input, and wrap a "
                "network with other inputs in a module whose forward takes one tensor (batch, channel, row, col).",
            ) from error

    def _runner(self) -> nn.Module:
        return make_twin(self.module, on_meta=self.is_on_meta, own_values=True)

    def _act(self) -> str:
        return f"tracing {type(self.module).__name__} with an input of {'x'.join(map(str, self.input_shape))}"

    def with_fx(self) -> Trace:
        """Trace with torch.fx, and compare what it found with what the module does."""
        self.traced = self._runner()
        return self._finished(trace_with_fx(self.traced, self.twin))

    def with_export(self) -> Trace:
        """Trace with torch.export at the input's shape."""
        self.traced = make_twin(self.module, own_values=True)
        example = example_input(self.traced, self.input_shape)
        return self._finished(trace_with_export(self.traced, self.twin, example))

    def refusal(self, error: Exception, *, tracer: Tracer) -> TraceError:
        """Say where and why a module cannot be traced, and what would admit it."""
        if _ON_VALUES.search(str(error)):
            fact = "control flow on values of the data, so that there is no one network to expand"
            hint = (
                "No option admits it. Wrap the network in a module that takes the branch that is meant, "
                "or make the choice in __init__ and not in forward."
            )
        else:
            fact = _fact(error)
            hint = (
                "Try --tracer export, which fixes what depends on sizes."
                if tracer == "fx"
                else "Neither torch.fx nor torch.export follows it; the whole reason is shown by "
                "torch.export.export(module, (torch.zeros(1, ...),), strict=False)."
            )
        return TraceError(f"{self._act()}: {_place(error, self.traced)}{fact}", hint=hint)

    def _finished(self, trace: Trace) -> Trace:
        with_constants(self.twin, trace.constants)
        try:
            trace.results = self._results(trace)
        except _UnlikeModuleError:
            raise
        except Exception:
            if not self.is_on_meta:
                raise
            self.is_on_meta = False
            self.operations = self._run_once()
            trace.results = self._results(trace)
        trace.notes = self.notes
        return trace

    def _results(self, trace: Trace) -> dict[fx.Node, Any]:
        twin = with_constants(self._runner(), trace.constants)
        example = example_input(twin, self.input_shape)
        results: dict[fx.Node, Any]
        done, results = _followed(functools.partial(recorded, trace.graph, twin), example)
        if trace.traced_by == "fx" and done != self.operations:
            raise _UnlikeModuleError("torch.fx finds other operations than the module carries out")
        return results


def _place(error: BaseException, twin: nn.Module) -> str:
    """Name the module and the line of the user's code that an error comes from: ``Gate at 'gate' (net.py:36): ``."""
    module, line = "", ""
    paths = {id(vars(part)): (path, part) for path, part in twin.named_modules()}
    current: BaseException | None = error
    while current is not None and not line:
        for frame, number in traceback.walk_tb(current.__traceback__):
            found = paths.get(id(vars(frame.f_locals["self"]))) if _is_module(frame.f_locals.get("self")) else None
            if found is not None:
                module = f"{type(found[1]).__name__} at {found[0]!r}" if found[0] else type(found[1]).__name__
            if _is_users(frame):
                line = f"{_shown(Path(frame.f_code.co_filename))}:{number}"
        current = current.__cause__ or current.__context__
    words = " ".join(part for part in (module, f"({line})" if line else "") if part)
    return f"{words}: " if words else ""


def _is_module(value: Any) -> bool:
    return isinstance(value, nn.Module)


def _is_users(frame: types.FrameType) -> bool:
    path = Path(frame.f_code.co_filename)
    generated = frame.f_code.co_filename.startswith("<")
    return not (generated or path.is_relative_to(_TORCH) or path.is_relative_to(_OURS))


def _shown(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _fact(error: BaseException) -> str:
    words = str(error).strip().splitlines()
    return f"{type(error).__name__}: {words[0][:200]}" if words else type(error).__name__
