"""What units are called in a figure: what current claims say that they detect, else their family."""

from __future__ import annotations

from collections.abc import Iterable

from circuitgraph.bundle import Bundle
from circuitgraph.catalogue.base import BaseCatalogue
from circuitgraph.catalogue.neighbours import labels_of
from circuitgraph.catalogue.wording import Words
from circuitgraph.figures.families import iter_families

__all__ = ["names_of", "short_name"]


def names_of(catalogue: BaseCatalogue | None, uids: Iterable[str], *bundles: Bundle) -> dict[str, str]:
    """Return what to call each unit: what it detects, else what it responds to, else ``family: NAME``.

    What is disputed says so. Units of which none of these is said are left out.

    Parameters
    ----------
    bundles
        Where families are taken from, besides the records of the catalogue.
    """
    wanted = list(uids)
    names: dict[str, str] = {}
    if catalogue is not None:
        found = labels_of(catalogue, wanted, Words(catalogue.vocabulary()))
        said = {uid: " / ".join((labels.detects or labels.responds_to)[:2]) for uid, labels in found.items()}
        names = {uid: name for uid, name in said.items() if name}
    bare = set(wanted) - names.keys()
    if not bare:
        return names
    for bundle in bundles or (None,):
        for family in iter_families(bundle, catalogue):
            for member in family.members:
                if member.unit in bare:
                    # of several families the first
                    names.setdefault(member.unit, f"family: {family.name}")
    return names


def short_name(uid: str) -> str:
    """Return a uid without its network."""
    return uid.partition("/")[2] or uid
