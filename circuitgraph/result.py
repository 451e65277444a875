"""What a query gives back, in Cypher of the store or in SQL over bundles."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["Result"]


@dataclass(frozen=True, slots=True)
class Result:
    """Rows of a query, with what produced them and what bears on them.

    Attributes
    ----------
    text, parameters
        What was asked.
    columns
        Names of the columns, in order.
    rows
        One dict a row. Nodes and relationships come as dicts of their properties, with
        ``"labels"`` or ``"type"`` beside them; of a relationship ``"start"`` and ``"end"`` are the uids of
        those of its ends which the query returns too.
    is_cut
        Whether there were more rows than `limit`.
    notes
        What a reader must know: a label or property that the graph does not have, a unit that is not there, a
        graph that holds not all edges, a load that was not completed.
    seconds
        From sending the query to the last row.
    """

    text: str
    parameters: Mapping[str, Any]
    columns: Sequence[str]
    rows: Sequence[dict[str, Any]]
    limit: int
    is_cut: bool
    notes: Sequence[str]
    seconds: float

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, place: int) -> dict[str, Any]:
        return self.rows[place]

    def value(self) -> Any:
        """Return the only value of the only row.

        Raises
        ------
        ValueError
            There is not exactly one row of one column.
        """
        if len(self.rows) != 1 or len(self.columns) != 1:
            raise ValueError(f"the query gave {len(self.rows)} rows of {len(self.columns)} columns, not one value")
        return self.rows[0][self.columns[0]]

    def column(self, name: str) -> list[Any]:
        """Return one column."""
        return [row[name] for row in self.rows]
