"""What a form says of a motif's options, before any search begins."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from circuitgraph.errors import MotifError
from queries.registry import Motif, MotifOption

__all__ = ["TYPED", "options_typed"]

TYPED = ("text", "int", "float", "flag", "texts", "units")
"""Kinds of options that a page asks for; which files lie on the machine that searches is not for a page to say."""
_LONGEST_OPTION = 1_000


def options_typed(motif: Motif, fields: Mapping[str, str]) -> dict[str, Any]:
    """Return the options of a form that are not as usual.

    Raises
    ------
    MotifError
        One cannot be used; the message says which.
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
    return given


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
        if not math.isfinite(number):
            raise MotifError(f"{act} is no {'whole ' if option.kind == 'int' else ''}number.")
        return number
    if option.kind == "text":
        return text
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if option.kind == "units":
        return [int(part) if part.isascii() and part.isdigit() and len(part) < 10 else part for part in parts]
    return parts
