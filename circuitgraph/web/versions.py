"""Which data a page was made from."""

from __future__ import annotations

from circuitgraph import __version__
from circuitgraph.web.explorer import Explorer

__all__ = ["versions_of"]


def versions_of(explorer: Explorer, *uids: str) -> dict[str, str]:
    """Return the hashes of the bundles that these uids are of, and the software's version."""
    networks = dict.fromkeys(uid.partition("/")[0] for uid in uids)
    own = {f"bundle {network}": explorer.bundles[network].sha256 for network in networks if network in explorer.bundles}
    return {**own, "circuitgraph": __version__}
