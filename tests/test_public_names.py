from __future__ import annotations

import importlib
import inspect
import pkgutil
from pathlib import Path
from types import ModuleType

import pytest

import circuitgraph
import importers
import queries

ROOT = Path(__file__).resolve().parents[1]
MODULES = [
    name
    for package in (circuitgraph, importers, queries)
    for name in [
        package.__name__,
        *(found.name for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")),
    ]
]


@pytest.fixture(params=MODULES)
def module(request: pytest.FixtureRequest) -> ModuleType:
    return importlib.import_module(request.param)


def own_names(module: ModuleType) -> set[str]:
    """Public functions and classes that the module itself defines."""
    return {
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and (inspect.isfunction(value) or inspect.isclass(value))
        and value.__module__ == module.__name__
    }


def test_all_is_sorted_and_everything_in_it_is_there(module: ModuleType) -> None:
    names = getattr(module, "__all__", [])
    assert list(names) == sorted(names, key=lambda name: (not name.isupper(), not name[:1].isupper(), name)) or list(
        names
    ) == sorted(names)
    assert len(set(names)) == len(names)
    for name in names:
        assert getattr(module, name) is not None, f"{module.__name__}.{name}"


def test_what_is_public_is_in_all(module: ModuleType) -> None:
    if not hasattr(module, "__all__"):
        assert not own_names(module), f"{module.__name__} has no __all__"
        return
    assert own_names(module) <= set(module.__all__), f"{module.__name__}: public by name, but not in __all__"


def test_every_module_class_and_function_says_what_it_is(module: ModuleType) -> None:
    assert module.__doc__, module.__name__
    for name in own_names(module):
        value = getattr(module, name)
        assert inspect.getdoc(value), f"{module.__name__}.{name}"
        if inspect.isclass(value):
            for member, function in vars(value).items():
                if not member.startswith("_") and inspect.isfunction(function):
                    assert inspect.getdoc(function), f"{module.__name__}.{name}.{member}"


def test_queries_and_importers_are_ours_although_other_packages_use_these_names() -> None:
    for package in (circuitgraph, importers, queries):
        assert Path(str(package.__file__)).resolve() == ROOT / package.__name__ / "__init__.py"


def test_an_unknown_name_is_an_attribute_error() -> None:
    for package in (circuitgraph, importers):
        with pytest.raises(AttributeError, match="no attribute 'nix'"):
            _ = package.nix
