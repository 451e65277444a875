"""How much the catalogue says of a network's layers, counted by the index without reading a claim."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from circuitgraph.catalogue import Catalogue
from circuitgraph.web.explorer import Explorer
from circuitgraph.web.memory import remembered
from circuitgraph.web.versions import catalogue_state

__all__ = ["LayerClaims", "claims_by_layer", "labelled_units"]

_COUNTS = """
SELECT layer, COUNT(*), COUNT(DISTINCT CASE WHEN kind = 'unit' THEN subject END),
    COUNT(DISTINCT CASE WHEN kind = 'unit' AND predicate IN ('detects', 'responds_to') AND NOT negated
        THEN subject END)
FROM claims
WHERE subject > :first AND subject < :last AND kind IN ('unit', 'family', 'layer')
    AND NOT EXISTS (SELECT 1 FROM supersedes WHERE old = claims.id)
GROUP BY layer
"""

_UNITS = """
SELECT DISTINCT subject FROM claims
WHERE subject > :first AND subject < :last AND kind = 'unit' AND predicate IN ('detects', 'responds_to')
    AND NOT negated AND NOT EXISTS (SELECT 1 FROM supersedes WHERE old = claims.id)
ORDER BY LENGTH(subject), subject LIMIT :most
"""


@dataclass(frozen=True, slots=True)
class LayerClaims:
    """What current claims there are about a layer and its parts.

    Attributes
    ----------
    claims
        About the layer, its units and its families.
    named
        Units with a claim.
    labelled
        Units that are said to detect or to respond to something.
    """

    claims: int = 0
    named: int = 0
    labelled: int = 0


def claims_by_layer(explorer: Explorer, network: str) -> Mapping[str, LayerClaims]:
    """Return the counts of each layer of a network of which something is said, by its uid."""
    catalogue = explorer.catalogue
    if catalogue is None:
        return {}
    key = ("claims by layer", network, catalogue_state(explorer))
    return remembered(explorer, key, lambda: _counted(catalogue, network))


def _counted(catalogue: Catalogue, network: str) -> Mapping[str, LayerClaims]:
    values = {"first": f"{network}/", "last": f"{network}/\U0010ffff"}
    return {row[0]: LayerClaims(*row[1:]) for row in catalogue.index.rows(_COUNTS, values)}


def labelled_units(explorer: Explorer, layer: str, *, most: int) -> list[str]:
    """Return units of a layer that are said to detect or to respond to something, by channel."""
    catalogue = explorer.catalogue
    if catalogue is None:
        return []
    values = {"first": f"{layer}:", "last": f"{layer}:\U0010ffff", "most": most}
    return [row[0] for row in catalogue.index.rows(_UNITS, values)]
