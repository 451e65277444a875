"""What units are called in a figure: what current claims say that they detect."""

from __future__ import annotations

from collections.abc import Iterable

from circuitgraph.catalogue.base import BaseCatalogue
from circuitgraph.catalogue.neighbours import labels_of
from circuitgraph.catalogue.wording import Words

__all__ = ["names_of", "short_name"]


def names_of(catalogue: BaseCatalogue | None, uids: Iterable[str]) -> dict[str, str]:
    """Return what each unit detects, else what it responds to; units of which neither is said are left out.

    What is disputed says so.
    """
    if catalogue is None:
        return {}
    found = labels_of(catalogue, uids, Words(catalogue.vocabulary()))
    said = {uid: " / ".join((labels.detects or labels.responds_to)[:2]) for uid, labels in found.items()}
    return {uid: name for uid, name in said.items() if name}


def short_name(uid: str) -> str:
    """Return a uid without its network."""
    return uid.partition("/")[2] or uid
