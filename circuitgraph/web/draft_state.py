"""The state of the workbench: where a circuit begins and what was changed since, as an address says it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from circuitgraph.catalogue.circuits import get_circuit
from circuitgraph.errors import CatalogueError, UnknownUnitError
from circuitgraph.web.explorer import Explorer
from circuitgraph.web.page import address_of

__all__ = ["MOST_HOPS", "MOST_TOP", "DraftState", "draft_address", "read_state"]

MOST_HOPS, MOST_TOP = 3, 16
"""Steps that are gone from a unit at most, and edges that are followed at each."""
_MOST_STEPS = 300
_MOST_NAMED, _MOST_REMOVED = 60, 150
_BY = ("l2", "l1", "share_in")


@dataclass(frozen=True, slots=True)
class DraftState:
    """All that an address says: where the circuit begins (one of three), and what was changed since."""

    around: str = ""
    units: tuple[str, ...] = ()
    circuit: str = ""
    hops: int = 2
    top: int = 4
    min_share: float = 0.0
    min_sum: float = 0.0
    by: str = "l2"
    add: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()

    def query(self) -> dict[str, str]:
        """Return what stands behind the question mark, what is as usual left out."""
        said = {
            "units": ",".join(self.units),
            "circuit": self.circuit.removeprefix("circuit:"),
            "hops": str(self.hops) if self.around else "",
            "top": str(self.top) if not self.circuit or self.add else "",
            "min_share": _written(self.min_share),
            "min_sum": _written(self.min_sum),
            "by": self.by if self.by != "l2" else "",
            "add": ",".join(self.add),
            "remove": ",".join(self.remove),
        }
        return {name: value for name, value in said.items() if value}

    @property
    def path(self) -> str:
        """The address without its query."""
        return f"/around/{quote(self.around, safe='/:@!')}" if self.around else "/draft"

    @property
    def address(self) -> str:
        """The whole address; commas and slashes as they are, since a reader may type them."""
        said = "&".join(f"{name}={quote(value, safe=',/:@!')}" for name, value in self.query().items())
        return f"{self.path}?{said}" if said else self.path


def draft_address(*, around: str = "", units: Sequence[str] = (), circuit: str = "") -> str:
    """Return the address at which a circuit begins: around a unit, with some units, or as a record has it."""
    return DraftState(around=around, units=tuple(units), circuit=circuit).address


def read_state(explorer: Explorer, given: Mapping[str, str]) -> DraftState:
    """Return the state that an address or a form says, units written out.

    Raises
    ------
    CatalogueError
        A number is none, or too large; or it does not begin anywhere.
    """
    begins = [name for name in ("around", "units", "circuit") if given.get(name)]
    if len(begins) != 1:
        raise CatalogueError(
            f"drafting a circuit: it begins with {' and '.join(begins) or 'nothing'}, one beginning is wanted.",
            hint="Begin around a unit (/around/NET/LAYER:CH), with units (/draft?units=A,B) or a record "
            "(/draft?circuit=SLUG@HASH).",
        )
    hops = _whole(given, "hops", 2, most=MOST_HOPS)
    top = _whole(given, "top", 4, least=1, most=MOST_TOP)
    if top**hops > _MOST_STEPS:
        raise CatalogueError(
            f"drafting a circuit: hops={hops} and top={top} are {top**hops:,} ways; at most {_MOST_STEPS} are gone.",
            hint="Lower one of them.",
        )
    by = given.get("by") or "l2"
    if by not in _BY:
        raise CatalogueError(f"drafting a circuit: by={by[:40]!r} is not known.", hint=f"Give {', '.join(_BY)}.")
    circuit = ""
    if given.get("circuit"):
        circuit = get_circuit(explorer.need_catalogue(), _whole_name(given["circuit"])).uid
    return DraftState(
        around=_unit(explorer, given["around"]) if given.get("around") else "",
        units=_units(explorer, given.get("units", ""), "units", _MOST_NAMED),
        circuit=circuit,
        hops=hops,
        top=top,
        min_share=_real(given, "min_share", most=1.0),
        min_sum=_real(given, "min_sum"),
        by=by,
        add=_units(explorer, given.get("add", ""), "add", _MOST_NAMED),
        remove=_units(explorer, given.get("remove", ""), "remove", _MOST_REMOVED),
    )


def _whole_name(name: str) -> str:
    """Return the uid of a record; its file's path is never taken from an address."""
    uid = name if name.startswith("circuit:") else f"circuit:{name}"
    address_of(uid)
    return uid


def _whole(given: Mapping[str, str], name: str, usual: int, *, least: int = 0, most: int) -> int:
    text = given.get(name, "").strip()
    if not text:
        return usual
    if not (text.isascii() and text.isdigit() and len(text) < 5 and least <= int(text) <= most):
        raise CatalogueError(
            f"drafting a circuit: {name}={text[:40]!r}, a whole number from {least} to {most} is wanted.",
            hint=f"Give {name}={usual}.",
        )
    return int(text)


def _real(given: Mapping[str, str], name: str, *, most: float = math.inf) -> float:
    text = given.get(name, "").strip()
    try:
        value = float(text or 0)
    except ValueError:
        value = math.nan
    if not (0 <= value <= most and math.isfinite(value)):
        limit = "0 or more" if most == math.inf else f"from 0 to {most:g}"
        raise CatalogueError(
            f"drafting a circuit: {name}={text[:40]!r}, a number {limit} is wanted.", hint=f"Give {name}=0."
        )
    return value


def _units(explorer: Explorer, text: str, name: str, most: int) -> tuple[str, ...]:
    given = [part.strip() for part in text.split(",") if part.strip()]
    if len(given) > most:
        raise CatalogueError(
            f"drafting a circuit: {name} names {len(given):,} units, at most {most} are taken.",
            hint="Save what there is as a circuit, and go on from it.",
        )
    return tuple(dict.fromkeys(_unit(explorer, part) for part in given))


def _unit(explorer: Explorer, name: str) -> str:
    """Return the uid of a neuron that is in an open bundle."""
    if "/" not in name and len(explorer.bundles) != 1:
        raise UnknownUnitError(
            f"unit {name[:80]!r}: {len(explorer.bundles)} networks are open, so that its network is not clear.",
            hint="Write it out: network/layer:channel.",
        )
    bundle = explorer.bundle(name) if "/" in name else next(iter(explorer.bundles.values()))
    return str(bundle.neuron(name))


def _written(value: float) -> str:
    return "" if value == 0 else f"{value:.10g}"
