"""Architectures by name: modules, torchvision's zoo, and users' own factories in packages or files."""

from __future__ import annotations

import contextlib
import difflib
import importlib
import importlib.util
import inspect
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from numpy.typing import NDArray
from torch import nn

from circuitgraph.errors import ArchitectureError
from importers.linear_ops import MapShape
from importers.module_twin import unwrapped

__all__ = ["Architecture", "build_architecture"]

_ZOO_INPUT: MapShape = (3, 224, 224)
_ZOO_INPUTS: Mapping[str, MapShape] = {"inception_v3": (3, 299, 299)}
_NAMING = "Name it as PACKAGE.MODULE:FACTORY or FILE.py:FACTORY, for example mymodels.resnet:resnet20."


@dataclass(frozen=True, slots=True)
class Architecture:
    """A module to import, before or after its weights are in it."""

    module: nn.Module
    name: str
    short_name: str
    input_shape: MapShape | None
    has_weights: bool


def build_architecture(
    module: nn.Module | str, kwargs: Mapping[str, Any], tensors: Mapping[str, NDArray[Any]] | None = None
) -> Architecture:
    """Find or build a module.

    Parameters
    ----------
    module
        A module, a torchvision name, ``package.module:factory`` or ``path/to/file.py:factory``.
    kwargs
        What to call the factory with.
    tensors
        The weights that will be put in, which tell whether auxiliary heads are wanted.

    Raises
    ------
    ArchitectureError
        There is no such module, or its factory fails.
    """
    if isinstance(module, nn.Module):
        module = unwrapped(module)
        name = type(module).__name__
        return Architecture(module, f"{type(module).__module__}:{name}", name.lower(), None, has_weights=True)
    if ":" in module:
        factory = _find_factory(module)
        built = unwrapped(_call(factory, module, kwargs))
        return Architecture(built, module, module.rpartition(":")[2].lower(), None, has_weights=True)
    return _from_zoo(module, kwargs, tensors)


def _from_zoo(name: str, kwargs: Mapping[str, Any], tensors: Mapping[str, NDArray[Any]] | None) -> Architecture:
    from torchvision import models

    known = models.list_models(module=models)
    if name not in known:
        close = difflib.get_close_matches(name, known, n=3)
        said = f" Did you mean {', '.join(close)}?" if close else ""
        raise ArchitectureError(
            f"importing {name}: torchvision has no model of that name.{said}",
            hint=f"Your own? {_NAMING}",
        )
    builder = models.get_model_builder(name)
    options: dict[str, Any] = {"weights": None, **kwargs}
    if name in ("googlenet", "inception_v3"):
        options.setdefault("init_weights", False)
        # the heads that are only used in training are in some files and not in others
        has_heads = tensors is not None and any(key.startswith(("aux", "AuxLogits")) for key in tensors)
        options.setdefault("aux_logits", has_heads)
    shape = _ZOO_INPUTS.get(name, _ZOO_INPUT)
    try:
        with torch.device("meta"):
            built = builder(**options)
    except Exception:
        # some constructors compute with values; then the initial ones are made and thrown away
        built = _call(builder, name, options)
    return Architecture(built, name, name, shape, has_weights=False)


def _find_factory(path: str) -> Any:
    place, _, factory_name = path.rpartition(":")
    found = _import_file(Path(place), path) if place.endswith(".py") else _import_module(place, path)
    factory = getattr(found, factory_name, None)
    if factory is None or not callable(factory):
        names = [name for name, value in vars(found).items() if callable(value) and not name.startswith("_")]
        close = difflib.get_close_matches(factory_name, names, n=3)
        said = f" Did you mean {', '.join(close)}?" if close else ""
        raise ArchitectureError(f"importing {path}: {place} has no factory {factory_name!r}.{said}")
    return factory


def _import_module(name: str, path: str) -> ModuleType:
    if not all(part.isidentifier() for part in name.split(".")):
        raise ArchitectureError(f"importing {path}: {name!r} is not the name of a Python module.", hint=_NAMING)
    _search_in(Path.cwd())
    try:
        with _prints_aside():
            return importlib.import_module(name)
    except (Exception, SystemExit) as error:
        is_missing = isinstance(error, ModuleNotFoundError) and (error.name or "") in _parents(name)
        fact = "there is no such module" if is_missing else _first_line(error)
        hint = f"Run the command in the folder that holds {name.replace('.', os.sep)}.py, or set PYTHONPATH."
        if "no known parent package" in fact:
            hint = f"It is part of a package: run the command in the folder above as PACKAGE.{path}"
        raise ArchitectureError(f"importing {path}: {name}: {fact}.", hint=hint) from error


def _import_file(file: Path, path: str) -> ModuleType:
    """Import a file by its path; as a part of its package where it is in one, so that relative imports work."""
    if not file.is_file():
        raise ArchitectureError(f"importing {path}: there is no file {file}.", hint=_NAMING)
    folder, parts = file.resolve().parent, [file.stem]
    while (folder / "__init__.py").exists() and folder.name.isidentifier():
        parts.insert(0, folder.name)
        folder = folder.parent
    _search_in(folder)
    name = ".".join(parts)
    try:
        with _prints_aside():
            if len(parts) > 1:
                return importlib.import_module(name)
            spec = importlib.util.spec_from_file_location(f"_imported_{file.stem}", file)
            if spec is None or spec.loader is None:
                raise ImportError("it is no Python file")
            found = importlib.util.module_from_spec(spec)
            # classes look up the module they are of
            sys.modules[spec.name] = found
            spec.loader.exec_module(found)
            return found
    except (Exception, SystemExit) as error:
        raise ArchitectureError(
            f"importing {path}: {file.name}: {_first_line(error)}.", hint=f"Try it with: python {file}"
        ) from error


def _search_in(folder: Path) -> None:
    here = str(folder)
    if here not in sys.path and not ("" in sys.path and folder == Path.cwd()):
        # as `python -m` and `python FILE` do
        sys.path.insert(0, here)


@contextlib.contextmanager
def _prints_aside() -> Iterator[None]:
    """Send what users' code prints to stderr; stdout is for data."""
    with contextlib.redirect_stdout(sys.stderr):
        yield


def _parents(name: str) -> set[str]:
    parts = name.split(".")
    return {".".join(parts[:count]) for count in range(1, len(parts) + 1)}


def _first_line(error: BaseException) -> str:
    words = str(error).strip().splitlines()
    return f"{type(error).__name__}: {words[0][:300]}" if words else type(error).__name__


def _call(factory: Any, name: str, kwargs: Mapping[str, Any]) -> nn.Module:
    if isinstance(factory, nn.Module):
        return factory
    try:
        with _prints_aside():
            built = factory(**kwargs)
    except (Exception, SystemExit) as error:
        raise ArchitectureError(
            f"importing {name}: its factory failed with {_first_line(error)}",
            hint=_on_arguments(factory, are_given=bool(kwargs)),
        ) from error
    if not isinstance(built, nn.Module):
        raise ArchitectureError(
            f"importing {name}: its factory gave {type(built).__name__}, a torch.nn.Module is wanted.",
            hint="Name a function that returns the module alone.",
        )
    return built


def _on_arguments(factory: Any, *, are_given: bool) -> str:
    said = "Arguments for it are given as --kwargs '{\"classes\": 10}'."
    try:
        names = [str(parameter) for parameter in inspect.signature(factory).parameters.values()]
    except (TypeError, ValueError):
        return said
    if not names:
        return f"It takes no arguments: {'leave --kwargs out' if are_given else 'the factory itself is to be mended'}."
    return f"{said} It takes ({', '.join(names[:12])}{', ...' if len(names) > 12 else ''})."
