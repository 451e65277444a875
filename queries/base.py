"""What every motif search gives back: matches with their null, and what was searched.

A `Match` is units in roles with a score, a p value under a named null and a q value over
everything that the one search tested. A `MotifResult` holds the matches and what bears on
them: how much was tested, which nulls, how many draws, from which seed.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

import numpy as np

from queries.null_scores import Chance

if TYPE_CHECKING:
    from circuitgraph.draw import Picture
    from circuitgraph.store import Store

__all__ = ["Match", "MotifResult", "NullModel", "Table", "Unit", "Verdict"]

Unit = str | int
"""A unit's uid where a bundle was searched, its place in the array where an array was."""

Verdict = Literal["found", "not significant", "undetermined", "cannot tell", "ranking"]
"""What a p value alone would not say.

"found": q reached the level. "not significant": it did not, though it could have. "undetermined": several
answers fit the weights equally well. "cannot tell": the search has no power here. "ranking": a score
without any null.
"""

_JSON_VERSION = 2
"""2 came with `chance` of a match and `null_scores` of a result."""
_SHOWN = 20


@dataclass(frozen=True, slots=True)
class NullModel:
    """A random network to compare with: its name, what it keeps of the real one and what it destroys."""

    name: str
    keeps: str
    kills: str


@dataclass(frozen=True, kw_only=True)
class Match:
    """Units in the roles of one motif, and how surprising they are.

    Attributes
    ----------
    motif
        The motif's name, as ``circuitgraph motifs`` calls it.
    units
        Role to unit.
    score
        In the unit that the motif's docstring states.
    effect
        Score less the median score under the null, in the score's unit; None without a null.
    p, q
        Probability of such a score under the null by the same search, and the share of false finds
        that one accepts with all matches up to this one; None where there is no null.
    null
        Name of the null that gave `p` (of several, the one with the largest p).
    verdict
        See `Verdict`.
    shares
        Shares of the weights' squared norm that bear on the match ("dc", "d4", ...), 0 to 1.
    notes
        What a reader must know about this match.
    chance
        The scores that `p` was counted among, a sample of them; None where there were none, or they are not kept.
    """

    motif: str
    units: Mapping[str, Unit]
    score: float
    effect: float | None = None
    p: float | None = None
    q: float | None = None
    null: str = ""
    verdict: Verdict = "found"
    shares: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    chance: Chance | None = field(default=None, repr=False)

    @property
    def id(self) -> str:
        """``motif:`` and 16 hex digits of what the match says of which units, without its numbers."""
        said = json.dumps(self._identity(), sort_keys=True, default=str)
        return f"motif:{hashlib.sha256(said.encode()).hexdigest()[:16]}"

    def bindings(self) -> list[tuple[str, int, Unit]]:
        """Return (role, position in the role, unit) of all units; what `to_store` writes as ``BINDS``."""
        return [(role, 0, unit) for role, unit in self.units.items()]

    def to_dict(self) -> dict[str, Any]:
        """Return everything that the match says, ready for JSON; `bindings` as the method of that name gives them."""
        own = {name: _plain(getattr(self, name)) for name in self.__dataclass_fields__ if name != "chance"}
        own["chance"] = None if self.chance is None else self.chance.to_dict()
        bindings = [[role, position, _plain(unit)] for role, position, unit in self.bindings()]
        return {"id": self.id, **own, "bindings": bindings}

    def row(self) -> dict[str, Any]:
        """Return the match as one row of a table."""
        return {
            **self.units,
            "score": self.score,
            "effect": self.effect,
            "p": self.p,
            "q": self.q,
            "verdict": self.verdict,
            **{f"{name}_share": share for name, share in self.shares.items()},
        }

    def picture(self) -> Picture:
        """Draw the score beside those of random networks; `circuitgraph.figures.motif_figure` draws the units too."""
        from circuitgraph.draw.match import NullSample, draw_null

        kept = self.chance
        sample = None
        if kept is not None:
            scores = kept.scores
            sample = NullSample(kept.observed, scores.statistic, scores.count, kept.reached, scores.unlisted)
        return draw_null(
            self.score,
            None if kept is None else kept.scores.values,
            name=self.null,
            p=self.p,
            q=self.q,
            sample=sample,
            title=f"{self.motif}: {self.verdict}",
        )

    def _repr_svg_(self) -> str:
        return self.picture().svg

    def _repr_html_(self) -> str:
        from circuitgraph.draw.table import html_table

        bindings = self.bindings()
        rows = [{"role": role, "unit": unit} for role, _, unit in bindings[:_SHOWN]]
        table = html_table(
            ("role", "unit"), rows, title=f"{self.motif}: {self.verdict}", notes=self.notes, count=len(bindings)
        )
        return f"<div>{table}{self._repr_svg_()}</div>"

    def _identity(self) -> dict[str, Any]:
        """What tells this match from another of the same network; matches with further fields add them."""
        return {"motif": self.motif, "units": dict(self.units)}


class Table(Sequence[dict[str, Any]]):
    """Rows with names of columns; prints as aligned text, at most `limit` rows of it, and as HTML in a notebook."""

    def __init__(self, rows: Sequence[Mapping[str, Any]], *, title: str = "", limit: int = _SHOWN) -> None:
        self.rows = [dict(row) for row in rows]
        self.columns = list(dict.fromkeys(name for row in self.rows for name in row))
        self.title = title
        self.limit = limit

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, place: Any) -> Any:
        return self.rows[place]

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self.rows)

    def __str__(self) -> str:
        cells = [self.columns, *([_cell(row.get(name)) for name in self.columns] for row in self.rows[: self.limit])]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines = [
            "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in cells
        ]
        return "\n".join([*([self.title] if self.title else []), *lines, *self._left_out()])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        from circuitgraph.draw.table import html_table

        return html_table(self.columns, self.rows, title=self.title, limit=self.limit)

    def _left_out(self) -> list[str]:
        more = len(self.rows) - self.limit
        return [f"... and {more:,} more"] if more > 0 else []


M_co = TypeVar("M_co", bound=Match, covariant=True)


@dataclass(frozen=True, kw_only=True, eq=False)
class MotifResult(Generic[M_co]):
    """What one search found, and everything that its numbers depend on.

    Attributes
    ----------
    motif
        The motif's name.
    matches
        Best first; which of all tested they are is said by the finder.
    tested_count
        How many hypotheses the q values are over.
    tested
        What was counted, in words ("pairs of middle units").
    nulls
        The random networks that were compared with; none for a ranking.
    draws, seed
        How many networks of each null, and the seed that gives the same numbers again.
    level
        The q up to which a match counts as found.
    source
        What was searched: network and layers, or the shapes of the arrays.
    notes
        What was left out, approximated, or has no power.
    cypher, parameters
        The thresholded pattern over the strong edges of the store, for any Cypher client.
    seconds
        How long the search took.
    network, weights_sha256
        What was searched; empty for an array.
    explain_not
        Takes units and says why they are not a match; what `why_not` calls.
    """

    motif: str
    matches: tuple[M_co, ...]
    tested_count: int
    tested: str
    nulls: tuple[NullModel, ...]
    draws: int
    seed: int
    level: float
    source: str
    notes: tuple[str, ...] = ()
    cypher: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    network: str = ""
    weights_sha256: str = ""
    explain_not: Callable[..., str] | None = field(default=None, repr=False)

    def __len__(self) -> int:
        return len(self.matches)

    def __iter__(self) -> Iterator[M_co]:
        return iter(self.matches)

    @property
    def found(self) -> tuple[M_co, ...]:
        """The matches whose verdict is "found"."""
        return tuple(match for match in self.matches if match.verdict == "found")

    @property
    def statement(self) -> str:
        """One sentence: what was tested, against which null, with how many draws and which seed."""
        against = " and ".join(null.name for null in self.nulls)
        how = f"against {against}, {self.draws} draws, seed {self.seed}" if self.nulls else "a ranking, without a null"
        return (
            f"{self.motif} in {self.source}: {len(self.found):,} found at q <= {self.level:g} "
            f"of {self.tested_count:,} {self.tested} tested; {how}."
        )

    def table(self) -> Table:
        """Return one row a match, under the sentence that says what was tested."""
        return Table([match.row() for match in self.matches], title=self.statement)

    def why_not(self, *units: Unit) -> str:
        """Say why these units are not a match: each condition with its value and what it would have to be.

        Raises
        ------
        UnknownUnitError
            A unit is not among those that were searched.
        MotifError
            The motif takes another number of units, or has no such answer.
        """
        from circuitgraph.errors import MotifError

        if self.explain_not is None:
            raise MotifError(f"{self.motif}: there is no answer to why not.", hint="Look at `table()` for all scores.")
        return self.explain_not(*units)

    def to_store(self, store: Store) -> int:
        """Write the found matches as ``:Motif`` nodes with ``BINDS`` to their units; return how many.

        Writing them twice changes nothing: a motif's uid comes from what it says.

        Raises
        ------
        MotifError
            An array was searched, whose units have no uids, or the store holds other weights.
        UnknownUnitError
            A unit is not in the store; nothing was written.
        """
        from queries.saving import save_result

        return save_result(self, store)

    def to_dict(self) -> dict[str, Any]:
        """Return the whole result, ready for JSON."""
        return {
            "schema": "circuitgraph/motifs",
            "version": _JSON_VERSION,
            "motif": self.motif,
            "statement": self.statement,
            "network": self.network,
            "weights_sha256": self.weights_sha256,
            "source": self.source,
            "tested_count": self.tested_count,
            "tested": self.tested,
            "nulls": [{"name": null.name, "keeps": null.keeps, "kills": null.kills} for null in self.nulls],
            "draws": self.draws,
            "seed": self.seed,
            "level": self.level,
            "notes": list(self.notes),
            "cypher": self.cypher,
            "parameters": _plain(self.parameters),
            "seconds": self.seconds,
            "null_scores": {
                match.chance.scores.id: match.chance.scores.to_dict()
                for match in self.matches
                if match.chance is not None
            },
            "matches": [match.to_dict() for match in self.matches],
        }

    def _repr_html_(self) -> str:
        return self.table()._repr_html_()


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value)


def _plain(value: Any) -> Any:
    """Return numbers of numpy as Python's, NaN as None, and tuples as lists."""
    if isinstance(value, Mapping):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
