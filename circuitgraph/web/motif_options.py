"""What a form says of a motif's options, before any search begins."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from circuitgraph.bundle import Bundle
from circuitgraph.errors import MotifError
from circuitgraph.turns import TURNS
from queries.registry import Motif, MotifOption
from queries.significance import check_draws

__all__ = ["TYPED", "options_typed"]

TYPED = ("text", "int", "float", "flag", "texts", "units")
"""Kinds of options that a page asks for; which files lie on the machine that searches is not for a page to say."""
_LONGEST_OPTION = 1_000
_BOUNDS = {
    "draws": (0, 10_000),
    "seed": (0, 2**63 - 1),
    "limit": (0, 10_000),
    "steps": (1, 100),
    "starts": (1, 10_000),
    "most_units": (2, 10_000),
}
"""What a page takes of numbers that say how much work a search is; a shell takes more."""
_ANY_NUMBER = (-1_000_000, 1_000_000)
_LAYERS = ("up", "middle", "down", "layer", "layers")
_LISTING = ("pattern",)
"""Motifs that list without a null where no draws are wanted."""


def options_typed(motif: Motif, fields: Mapping[str, str], bundle: Bundle) -> dict[str, Any]:
    """Return the options of a form that are not as usual, all of which a search of `bundle` can be begun with.

    Raises
    ------
    CircuitGraphError
        One cannot be used; the message says which. A layer, a unit, or what else it names is not there, a number is
        out of bounds, or the motif itself refuses it.
    """
    given: dict[str, Any] = {}
    for option in motif.options:
        text = fields.get(f"option.{option.name}", "").strip()
        if option.kind not in TYPED or not text:
            if option.is_argument:
                raise MotifError(f"searching {motif.name}: {option.name} is empty.", hint=f"Give {option.default!r}.")
            continue
        value = _typed(motif.name, option, text)
        if option.is_argument or value != option.default:
            given[option.name] = value
            _check_names(motif, option, value, bundle)
    whole = {option.name: option.default for option in motif.options} | given
    draws, level = whole.get("draws"), whole.get("q")
    if isinstance(draws, int) and isinstance(level, float) and (draws or motif.name not in _LISTING):
        check_draws(draws, level, act=f"searching {motif.name}")
    # nothing is searched: the motif looks at what fits together
    motif.explain(bundle, **given)
    return given


def _check_names(motif: Motif, option: MotifOption, value: Any, bundle: Bundle) -> None:
    several = value if isinstance(value, list) else [value]
    if option.name in _LAYERS and option.kind in ("text", "texts"):
        for name in several:
            bundle.layer(name)
    if option.kind == "units":
        # a channel alone is counted in a layer that another option names, or in each
        most = max(layer.unit_count for layer in bundle.layers)
        for unit in several:
            if isinstance(unit, str):
                bundle.unit(unit)
            elif unit >= most:
                raise MotifError(
                    f"searching {motif.name}: {option.name} names channel {unit:,}; no layer of {bundle.network} has "
                    f"more than {most:,} units."
                )
    if motif.name == "families" and option.name == "transformations":
        known = tuple(name for name in TURNS if name != "identity")
        _check_known(motif, "transformation", several, known)
    if option.name == "null":
        _check_known(motif, "null", several, ("auto", *(null.name for null in motif.nulls)))


def _check_known(motif: Motif, what: str, names: Sequence[str], known: Sequence[str]) -> None:
    for name in names:
        if name not in known:
            raise MotifError(
                f"searching {motif.name}: there is no {what} {name[:80]!r}.", hint=f"Give one of {', '.join(known)}."
            )


def _typed(motif: str, option: MotifOption, text: str) -> Any:
    act = f"searching {motif}: {option.name}={text[:80]!r}"
    if len(text) > _LONGEST_OPTION:
        raise MotifError(f"{act}... has {len(text):,} characters, at most {_LONGEST_OPTION:,} are taken.")
    if option.choices and text not in option.choices:
        raise MotifError(f"{act} is not known.", hint=f"Give one of {', '.join(option.choices)}.")
    if option.kind == "flag":
        return text in ("1", "on", "true")
    if option.kind in ("int", "float"):
        try:
            number = int(text) if option.kind == "int" else float(text)
        except ValueError:
            number = math.nan
        # math.isfinite takes no large int
        if isinstance(number, float) and not math.isfinite(number):
            raise MotifError(f"{act} is no {'whole ' if option.kind == 'int' else ''}number.")
        least, most = _BOUNDS.get(option.name, _ANY_NUMBER)
        if not least <= number <= most:
            raise MotifError(
                f"{act} is out of bounds: a page takes {least:,} to {most:,}.",
                hint=f"A shell takes more: circuitgraph motifs {motif} --help" if number > most else "",
            )
        return number
    if option.kind == "text":
        return text
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if option.kind == "units":
        return [int(part) if part.isascii() and part.isdigit() and len(part) < 10 else part for part in parts]
    return parts
