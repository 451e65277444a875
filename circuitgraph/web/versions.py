"""Which data a page was made from."""

from __future__ import annotations

import hashlib

from circuitgraph import __version__
from circuitgraph.web.explorer import Explorer

__all__ = ["catalogue_version", "versions_of"]


def versions_of(explorer: Explorer, *uids: str) -> dict[str, str]:
    """Return the hashes of the bundles that these uids are of and of the catalogue, and the software's version."""
    networks = dict.fromkeys(uid.partition("/")[0] for uid in uids)
    own = {f"bundle {network}": explorer.bundles[network].sha256 for network in networks if network in explorer.bundles}
    if said := catalogue_version(explorer):
        own["catalogue"] = said
    return {**own, "circuitgraph": __version__}


def catalogue_version(explorer: Explorer) -> str:
    """Return a hash of all that the catalogue holds, empty where there is none.

    It is made from the hashes of the log's files, which the index knows, and from the names and dates of the others.
    """
    catalogue = explorer.catalogue
    if catalogue is None:
        return ""
    whole = hashlib.sha256()
    for name, digest in catalogue.index.rows("SELECT name, sha256 FROM files ORDER BY name"):
        whole.update(f"{name} {digest}\n".encode())
    # a new record is a new file, by which the date of its folder changes
    for path in (catalogue.features_path, catalogue.folder / "families", catalogue.folder / "circuits"):
        if path.exists():
            found = path.stat()
            whole.update(f"{path.name} {found.st_size} {found.st_mtime_ns}\n".encode())
    return whole.hexdigest()
