"""Families by name, in a catalogue or a bundle."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass

from circuitgraph.bundle import Bundle
from circuitgraph.catalogue.base import BaseCatalogue
from circuitgraph.catalogue.documents import current_documents
from circuitgraph.catalogue.families import FamilyRecord
from circuitgraph.errors import UnknownUnitError
from circuitgraph.ids import FamilyId
from circuitgraph.records import Family, Member

__all__ = ["FoundFamily", "find_family", "is_family_name", "iter_families"]


@dataclass(frozen=True, slots=True)
class FoundFamily:
    """A family, and where it stands.

    Attributes
    ----------
    members
        By position.
    source
        Who says so, in words.
    """

    uid: str
    name: str
    description: str
    members: tuple[Member, ...]
    source: str

    @property
    def layer(self) -> str:
        """The uid of the family's layer."""
        own = FamilyId.parse(self.uid)
        return f"{own.network}/{own.layer}"


def is_family_name(text: str) -> bool:
    """Say whether a text names a family: it has the ``!`` of one."""
    return "!" in text


def iter_families(bundle: Bundle | None, catalogue: BaseCatalogue | None) -> Iterator[FoundFamily]:
    """Yield every family, each uid once: its current record in the catalogue, else as it came with the bundle."""
    seen = set[str]()
    if catalogue is not None:
        for uid, record in current_documents(catalogue.documents(FamilyRecord)).items():
            if bundle is None or FamilyId.parse(uid).network == bundle.network:
                seen.add(uid)
                yield _found(record.to_family(), f"{record.author.name}, {record.date}")
    for family in () if bundle is None else bundle.families:
        if family.uid not in seen:
            yield _found(family, "came with the weights")


def find_family(
    name: str | Family | FamilyRecord, bundle: Bundle | None = None, catalogue: BaseCatalogue | None = None
) -> FoundFamily:
    """Return one family: by uid, or as ``layer!name`` or ``!name`` where that is clear.

    Raises
    ------
    UnknownUnitError
        There is none, or several are called so.
    UnknownLayerError
        Its layer does not exist.
    """
    if isinstance(name, FamilyRecord):
        return _found(name.to_family(), f"{name.author.name}, {name.date}")
    if isinstance(name, Family):
        return _found(name, "as given")
    every = {family.uid: family for family in iter_families(bundle, catalogue)}
    layer, _, slug = name.rpartition("!")
    wanted = f"{bundle.layer(layer).uid}!{slug}" if bundle is not None and layer else name
    found = [family for uid, family in every.items() if uid == wanted or (not layer and uid.endswith(f"!{slug}"))]
    if len(found) == 1:
        return found[0]
    if found:
        uids = ", ".join(family.uid for family in found[:5])
        raise UnknownUnitError(
            f"{len(found)} families are called {slug[:80]!r}: {uids}.", hint=f"Write one out, as in {found[0].uid}."
        )
    close = difflib.get_close_matches(wanted, every, n=3, cutoff=0.5)
    where = " and ".join(
        [*([f"the bundle of {bundle.network}"] if bundle else []), *(["the catalogue"] if catalogue else [])]
    )
    raise UnknownUnitError(
        f"family {name[:80]!r} is not in {where or 'anything that was given'}; {len(every):,} of this network are.",
        hint=f"Did you mean {' or '.join(close)}?" if close else "Give the catalogue that holds it with --catalogue.",
    )


def _found(family: Family, source: str) -> FoundFamily:
    members = tuple(sorted(family.members, key=lambda member: member.position))
    return FoundFamily(family.uid, family.name, family.description, members, source)
