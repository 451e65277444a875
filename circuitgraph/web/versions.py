"""Which data a page was made from."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable

from circuitgraph import __version__
from circuitgraph.web.explorer import Explorer

__all__ = ["catalogue_state", "catalogue_version", "versions_of"]


def versions_of(explorer: Explorer, *uids: str) -> dict[str, str]:
    """Return the hashes of the bundles that these uids are of and of the catalogue, and the software's version."""
    networks = dict.fromkeys(uid.partition("/")[0] for uid in uids)
    own = {f"bundle {network}": explorer.bundles[network].sha256 for network in networks if network in explorer.bundles}
    if said := catalogue_version(explorer):
        own["catalogue"] = said
    return {**own, "circuitgraph": __version__}


def catalogue_version(explorer: Explorer) -> str:
    """Return a hash of the catalogue's log of claims, from those of its files that the index knows; empty without."""
    catalogue = explorer.catalogue
    if catalogue is None:
        return ""
    whole = hashlib.sha256()
    for name, digest in catalogue.index.rows("SELECT name, sha256 FROM files ORDER BY name"):
        whole.update(f"{name} {digest}\n".encode())
    return whole.hexdigest()


def catalogue_state(explorer: Explorer) -> tuple[Hashable, ...]:
    """Return what changes whenever something is added to the catalogue, here and now; empty where there is none."""
    catalogue = explorer.catalogue
    if catalogue is None:
        return ()
    # a new record is a new file, by which the date of its folder changes
    paths = (catalogue.features_path, catalogue.folder / "families", catalogue.folder / "circuits")
    found = [path.stat() for path in paths if path.exists()]
    return catalogue_version(explorer), *((each.st_ino, each.st_size, each.st_mtime_ns) for each in found)
