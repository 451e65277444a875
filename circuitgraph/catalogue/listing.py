"""Lists of claims a page at a time, and counts of what features are found in: limits apply before anything is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from circuitgraph.catalogue.base import ClaimHead
from circuitgraph.catalogue.claims import PREDICATES
from circuitgraph.catalogue.local import Catalogue
from circuitgraph.catalogue.standing import judged_ids
from circuitgraph.catalogue.wording import Words
from circuitgraph.errors import CatalogueError

__all__ = [
    "CLAIM_STATES",
    "Contributions",
    "FeatureUse",
    "Listing",
    "count_uses",
    "list_claims",
    "list_contributions",
]

CLAIM_STATES = ("current", "disputed", "superseded", "all")
"""By what a list of claims can be narrowed; disputed claims are current too."""

_IS_SUPERSEDED = "id IN (SELECT old FROM supersedes)"
_HEAD = f"SELECT id, subject, predicate, object, negated, author, date, codes, {_IS_SUPERSEDED} FROM claims"  # noqa: S608


@dataclass(frozen=True, slots=True)
class Listing:
    """Some of the claims that fit.

    Attributes
    ----------
    total
        How many fit.
    heads
        Those on the page, newest first.
    """

    total: int
    heads: tuple[ClaimHead, ...]


@dataclass(frozen=True, slots=True)
class Contributions:
    """How many claims there are of an author (`key` is their ORCID or name) or about a network."""

    key: str
    name: str
    claims: int


@dataclass(frozen=True, slots=True)
class FeatureUse:
    """How many current claims say what detects or responds to a feature, about how many units of how many networks."""

    claims: int = 0
    units: int = 0
    networks: int = 0


def list_claims(
    catalogue: Catalogue,
    *,
    author: str = "",
    predicate: str = "",
    network: str = "",
    state: str = "current",
    offset: int = 0,
    limit: int = 50,
) -> Listing:
    """Return a page of the claims that fit all that is given, newest first.

    Parameters
    ----------
    author
        ORCID or name, as their claims have it.
    network
        Of what a claim is about.
    state
        One of `CLAIM_STATES`.
    offset, limit
        Which of them.

    Raises
    ------
    CatalogueError
        There is no such predicate or state, or the index cannot be read.

    Notes
    -----
    `find_claims` finds by features, layers and evidence too, and reads all that fits.
    """
    for what, given, known in (("predicate", predicate, PREDICATES), ("state", state, CLAIM_STATES)):
        if given and given not in known:
            raise CatalogueError(f"listing claims: there is no {what} {given[:80]!r}.", hint=f"Use {', '.join(known)}.")
    where, values = ["1"], list[Any]()
    if author:
        where.append("(author = ? OR author_name = ?)")
        values += [author, author]
    for column, value in (("predicate", predicate), ("network", network)):
        if value:
            # our own names of columns
            where.append(f"{column} = ?")
            values.append(value)
    if state in ("current", ""):
        where.append(f"NOT {_IS_SUPERSEDED}")
    elif state == "superseded":
        where.append(_IS_SUPERSEDED)
    elif state == "disputed":
        return _disputed(catalogue, " AND ".join(where), values, offset, limit)
    fitting = " AND ".join(where)
    return _page(catalogue, fitting, values, offset, limit)


def _page(catalogue: Catalogue, fitting: str, values: Sequence[Any], offset: int, limit: int) -> Listing:
    ((total,),) = catalogue.index.rows(f"SELECT count(*) FROM claims WHERE {fitting}", values)  # noqa: S608
    # a day and a moment of it cannot be put in an order; a moment stands after the beginning of its day
    sql = f"{_HEAD} WHERE {fitting} ORDER BY day DESC, julianday(date) DESC, id LIMIT ? OFFSET ?"
    rows = catalogue.index.rows(sql, [*values, limit, offset])
    return Listing(total, tuple(_head(*row) for row in rows))


def _head(
    uid: str,
    subject: str,
    predicate: str,
    object_: str,
    negated: int,
    author: str,
    date: str,
    codes: int,
    superseded: int,
) -> ClaimHead:
    return ClaimHead(uid, subject, predicate, object_, bool(negated), author, date, codes, bool(superseded))


def _disputed(catalogue: Catalogue, fitting: str, values: list[Any], offset: int, limit: int) -> Listing:
    """Which are disputed follows from all claims; see `circuitgraph.catalogue.standing`."""
    _, disputed = judged_ids(catalogue, catalogue.vocabulary())
    # a list of any length as one value
    chosen = f"{fitting} AND id IN (SELECT value FROM json_each(?))"  # noqa: S608
    ids = "[" + ",".join(f'"{uid}"' for uid in sorted(disputed)) + "]"
    return _page(catalogue, chosen, [*values, ids], offset, limit)


def list_contributions(catalogue: Catalogue, of: str, *, limit: int = 100) -> list[Contributions]:
    """Return authors (``of="author"``) or networks (``"network"``) with most claims first.

    Raises
    ------
    CatalogueError
        It is neither.
    """
    if of not in ("author", "network"):
        raise CatalogueError(f"counting claims: there is no {of[:40]!r}.", hint="Use author or network.")
    name = "author_name" if of == "author" else "network"
    rows = catalogue.index.rows(
        f"SELECT {of}, min({name}), count(*) FROM claims WHERE {of} <> '' GROUP BY {of} ORDER BY 3 DESC, 1 LIMIT ?",  # noqa: S608
        [limit],
    )
    return [Contributions(*row) for row in rows]


def count_uses(catalogue: Catalogue) -> dict[str, FeatureUse]:
    """Return, for each feature that something detects or responds to, how often; under the uid that it has now."""
    labels = "predicate IN ('detects', 'responds_to') AND NOT negated"
    sql = f"SELECT object, subject, network FROM claims WHERE {labels} AND NOT {_IS_SUPERSEDED}"  # noqa: S608
    rows = catalogue.index.rows(sql)
    words = Words(catalogue.vocabulary())
    claims: dict[str, int] = {}
    units: dict[str, set[str]] = {}
    networks: dict[str, set[str]] = {}
    now: dict[str, str] = {}
    for object_, subject, network in rows:
        feature = now.get(object_) or now.setdefault(object_, words.now(object_))
        claims[feature] = claims.get(feature, 0) + 1
        if network and "!" not in subject:
            units.setdefault(feature, set()).add(subject)
        if network:
            networks.setdefault(feature, set()).add(network)
    return {
        feature: FeatureUse(count, len(units.get(feature, ())), len(networks.get(feature, ())))
        for feature, count in claims.items()
    }
