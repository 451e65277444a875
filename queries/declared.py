"""A motif declared by naming its finder: how ours, and any plug-in whose finder is a function, come to be a `Motif`."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from types import ModuleType
from typing import Any

from circuitgraph.bundle import Bundle
from circuitgraph.progress import SILENT, Progress
from queries.base import Match, MotifResult, NullModel
from queries.registry import Explanation, MotifOption, OptionKind

__all__ = ["DeclaredMotif", "options_of"]

_SHOWABLE = (int, float, str, bool)


@dataclass(frozen=True, kw_only=True)
class DeclaredMotif:
    """A `Motif` whose search is a function.

    The function's module is imported when it is first needed. Its docstring is the motif's definition, and its
    ``NULLS`` are the nulls, unless they are given here.

    Attributes
    ----------
    name, summary
        As for `Motif`.
    finder
        ``package.module:function``; takes the source, then the options by keyword, and ``progress``.
    own_options
        Without the defaults, which are the function's; read off its signature and docstring (`options_of`) if None.
    untyped
        Keywords of the function that cannot be typed: arrays. Not asked where `own_options` is None.
    counts
        Takes the source and the options and says in words how much work a search is.
    cypher
        ``package.module:function`` that takes what the finder takes and returns Cypher and its parameters without
        searching; empty where there is none.
    """

    name: str
    summary: str
    finder: str
    counts: Callable[[Any, Mapping[str, Any]], str]
    own_options: tuple[MotifOption, ...] | None = None
    cypher: str = ""
    own_nulls: tuple[NullModel, ...] | None = None
    untyped: tuple[str, ...] = ()

    @property
    def module(self) -> ModuleType:
        """The module of the finder."""
        return import_module(self.finder.partition(":")[0])

    @property
    def function(self) -> Callable[..., MotifResult[Match]]:
        """The finder itself."""
        found: Callable[..., MotifResult[Match]] = _resolve(self.finder)
        return found

    @property
    def definition(self) -> str:
        """The docstring of the finder's module."""
        return inspect.getdoc(self.module) or ""

    @property
    def nulls(self) -> Sequence[NullModel]:
        """All nulls that a result may name."""
        if self.own_nulls is not None:
            return self.own_nulls
        nulls: Sequence[NullModel] = self.module.NULLS
        return nulls

    @property
    def options(self) -> Sequence[MotifOption]:
        """The keywords of the finder that can be typed, with its defaults."""
        if self.own_options is None:
            return options_of(self.function)
        parameters = inspect.signature(self.function).parameters
        return [
            replace(option, default=default)
            if isinstance(default := parameters[option.name].default, _SHOWABLE)
            else option
            for option in self.own_options
        ]

    def find(self, source: Any, *, progress: Progress = SILENT, **options: Any) -> MotifResult[Match]:
        """Call the finder."""
        return self.function(source, progress=progress, **options)

    def cost(self, source: Any, **options: Any) -> str:
        """Say about how much work `find` would be with the same options; no weight is read for it."""
        defaults = {
            name: parameter.default
            for name, parameter in inspect.signature(self.function).parameters.items()
            if parameter.default is not inspect.Parameter.empty
        }
        return self.counts(source, {**defaults, **options})

    def explain(self, source: Any, **options: Any) -> Explanation:
        """Say what `find` would do with the same options, without doing it."""
        # a store holds bundles only
        is_asked = self.cypher and isinstance(source, Bundle)
        cypher, parameters = _resolve(self.cypher)(source, **options) if is_asked else ("", {})
        return Explanation(
            definition=self.definition,
            nulls=self.nulls,
            cost=self.cost(source, **options),
            cypher=cypher,
            parameters=parameters,
        )


def options_of(function: Callable[..., Any]) -> list[MotifOption]:
    """Return the parameters of a finder that can be typed on a command line.

    Their kind follows from the annotation, the help is the first sentence of the docstring's entry. The source and the
    progress are left out, and so is what has another type, as arrays.
    """
    entries = _entries(inspect.getdoc(function) or "")
    options = []
    for name, parameter in list(inspect.signature(function).parameters.items())[1:]:
        written = parameter.annotation
        annotation = (written if isinstance(written, str) else inspect.formatannotation(written)).removesuffix(
            " | None"
        )
        choices = re.findall(r"[\"']([^\"']+)[\"']", annotation) if annotation.startswith("Literal[") else []
        kind: OptionKind | None = "text" if choices else _KINDS.get(annotation)
        if kind is None and name == "families":
            kind = "families"
        if kind is None or name == "progress":
            continue
        default = parameter.default if isinstance(parameter.default, _SHOWABLE) else None
        said = entries.get(name) or _USUAL.get(name) or f"{name.replace('_', ' ').capitalize()}."
        needed = parameter.default is inspect.Parameter.empty
        options.append(
            MotifOption(name=name, kind=kind, help=said, default=default, choices=choices, is_argument=needed)
        )
    return options


_KINDS: Mapping[str, OptionKind] = {
    "int": "int",
    "float": "float",
    "bool": "flag",
    "str": "text",
    "Sequence[Unit]": "units",
    "Sequence[str]": "texts",
    "str | Sequence[str]": "texts",
}
_USUAL = {
    "up": "Upstream layer, by its name.",
    "middle": "Layer in between, by its name.",
    "down": "Downstream layer, by its name.",
    "layer": "Layer whose units are searched, by its name.",
    "up_units": "Only these upstream units: channels or uids, commas between.",
    "down_units": "Only these downstream units: channels or uids, commas between.",
    "q": "Share of false finds that is accepted.",
    "draws": "Random networks of each null.",
    "seed": "The same seed gives the same numbers.",
}


def _entries(doc: str) -> dict[str, str]:
    """Return the first sentence that a numpy docstring says of each parameter; names may share an entry."""
    section = doc.partition("Parameters\n----------\n")[2].partition("\n\n")[0]
    said: dict[str, str] = {}
    for head, text in re.findall(r"^(\w[\w, ]*)\n((?:    .*\n?)+)", section, re.MULTILINE):
        words = " ".join(text.split())
        first = re.split(r"(?<=[.;])\s", words)[0].rstrip(".;").replace("`", "")
        for name in head.split(","):
            said[name.strip()] = f"{first}."
    return said


def _resolve(path: str) -> Any:
    module, _, name = path.partition(":")
    return getattr(import_module(module), name)
