"""How to cite what a page shows."""

from __future__ import annotations

from circuitgraph import __version__
from circuitgraph.catalogue.cite import make_citation
from circuitgraph.errors import CatalogueError
from circuitgraph.web.explorer import Explorer

__all__ = ["cite_thing", "cite_weights"]


def cite_weights(explorer: Explorer, uid: str) -> str:
    """Return how to cite a part of a network by the weights that are open here; empty where none are."""
    bundle = explorer.bundle_if_any(uid)
    if bundle is None:
        return ""
    info = bundle.info
    called = f"{info.title} ({info.architecture})" if info.title else info.architecture
    lines = [
        f"{uid} in {called}. Weights from {info.source}, sha256:{info.weights_sha256}; "
        f"bundle sha256:{bundle.sha256}, circuitgraph {__version__}."
    ]
    return "\n".join([*lines, *([info.reference] if info.reference else [])])


def cite_thing(explorer: Explorer, uid: str) -> str:
    """Return how to cite what is said of something, as a reference in words and as BibTeX, then its weights."""
    said = ""
    if (catalogue := explorer.catalogue) is not None:
        try:
            citation = make_citation(catalogue, uid)
            said = f"{citation.write('text').strip()}\n\n{citation.write('bibtex').strip()}"
        except CatalogueError:
            # nobody has said anything of it
            said = ""
    return "\n\n".join(part for part in (said, cite_weights(explorer, uid)) if part)
