"""What units are called in a figure: what current claims say that they detect, else their family."""

from __future__ import annotations

from collections.abc import Iterable

from circuitgraph.bundle import Bundle
from circuitgraph.catalogue.base import BaseCatalogue
from circuitgraph.catalogue.neighbours import labels_of
from circuitgraph.catalogue.wording import Words

__all__ = ["names_of", "short_name"]

_FAMILY = "family: "


def names_of(catalogue: BaseCatalogue | None, uids: Iterable[str], *bundles: Bundle) -> dict[str, str]:
    """Return what to call each unit: what it detects, else what it responds to, else ``family: NAME``.

    What is disputed says so. Units of which none of these is said are left out.

    Parameters
    ----------
    bundles
        Where families are taken from, besides the claims that a unit is in one.
    """
    wanted = list(dict.fromkeys(uids))
    found = {} if catalogue is None else labels_of(catalogue, wanted, Words(catalogue.vocabulary()))
    names = {}
    for uid, labels in found.items():
        if said := (labels.detects or labels.responds_to)[:2]:
            names[uid] = " / ".join(said)
        elif labels.families:
            names[uid] = f"{_FAMILY}{labels.families[0]}"
    bare = {uid for uid in wanted if names.get(uid, _FAMILY).startswith(_FAMILY)}
    for bundle in bundles:
        for family in bundle.families:
            # a claim names a family by the end of its uid, where the bundle has words
            own = f"{_FAMILY}{family.uid.rpartition('!')[2]}"
            for member in family.members:
                if member.unit in bare and names.get(member.unit, own) == own:
                    names[member.unit] = f"{_FAMILY}{family.name}"
    return names


def short_name(uid: str) -> str:
    """Return a uid without its network."""
    return uid.partition("/")[2] or uid
