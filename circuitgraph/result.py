"""What a query gives back, in Cypher of the store or in SQL over bundles."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from circuitgraph.frames import rows_to_arrow, rows_to_networkx, rows_to_pandas, rows_to_polars

if TYPE_CHECKING:
    import networkx
    import pandas as pd
    import polars as pl
    import pyarrow as pa

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

    def to_arrow(self) -> pa.Table:
        """Return the rows as an Arrow table.

        Integers stay integers, None is null, lists stay lists, nodes and maps become structs. A column without one
        value has the type null; one of mixed types is JSON text, which its field's metadata say.
        """
        return rows_to_arrow(self.columns, self.rows)

    def to_pandas(self) -> pd.DataFrame:
        """Return the rows as a pandas frame, in types that keep integers beside missing values.

        Raises
        ------
        MissingExtraError
            pandas is not installed; it comes with the extra ``frames``.
        """
        return rows_to_pandas(self.columns, self.rows)

    def to_polars(self) -> pl.DataFrame:
        """Return the rows as a polars frame.

        Raises
        ------
        MissingExtraError
            polars is not installed; it comes with the extra ``frames``.
        """
        return rows_to_polars(self.columns, self.rows)

    def to_networkx(self) -> networkx.MultiDiGraph:
        """Return the nodes and relationships that are found in the rows, by uid, with labels, types and properties.

        Raises
        ------
        GraphError
            A relationship comes without its two nodes; return these too.
        """
        return rows_to_networkx(self.rows)
