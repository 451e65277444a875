"""The edges at one unit as rows of a table, ranked by any of their scalars, a page at a time.

What leads into a neuron is one row of each block, which memory maps give; what leads out of it is a stretch of the
tables of edges. No other kernel is read, so that it is quick in large networks, and no more rows are made than are
asked for. The numbers are those of the tables of edges.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from circuitgraph.bundle.blocks import BlockInfo
from circuitgraph.bundle.describe import STRONG, Description
from circuitgraph.bundle.format import MIXES_SUM_SHARE
from circuitgraph.errors import BundleError
from circuitgraph.ids import UnitId
from circuitgraph.kernels import summarise_grid

if TYPE_CHECKING:
    from circuitgraph.bundle.read import Bundle

__all__ = [
    "RANKINGS",
    "FarEdges",
    "RankedEdges",
    "Side",
    "edge_share",
    "edges_at",
    "rank_edges",
    "ranks_upwards",
    "say_ranking",
    "shares_into",
]

Side = Literal["upstream", "downstream"]
"""Which end of the edges the unit is not."""

RANKINGS = ("l2", "l1", "sum", "excitation", "inhibition", "top", "bottom", "left", "right", "centre", "share_in")
"""What edges can be ranked by, the largest first, of ``inhibition`` the most negative; ``-`` before it turns that."""

_SCALARS = RANKINGS[:-1]
_WHERE = {"top": "at top", "bottom": "at bottom", "left": "at left", "right": "at right"}
_WHERE |= {"centre": "in centre", "sum": "in sum"}
_COLUMNS = ("unit", "sum", "l1", "l2", "top", "bottom", "left", "right", "centre", "share_in", "strong")

_MOST = 1_000


@dataclass(frozen=True, slots=True)
class RankedEdges:
    """Some of the edges at one unit.

    Attributes
    ----------
    rows
        Mappings with ``unit`` (the one at the other end), the scalars of `EDGES_SCHEMA`, and ``strong``.
    count
        How many edges there are whose kernel is not zero.
    offset
        How many stand before the first row.
    """

    unit: str
    side: Side
    by: str
    rows: tuple[dict[str, Any], ...]
    count: int
    offset: int = 0

    def table(self) -> Description:
        """Return them as a table, with what was left out."""
        what = "into" if self.side == "upstream" else "out of"
        last = self.offset + len(self.rows)
        cut = len(self.rows) < self.count
        notes = [f"showing {self.offset + 1:,} to {last:,} of {self.count:,}, by {self.by}"] if cut else []
        title = f"kernels {what} {self.unit}"
        return Description(self.side, title, _COLUMNS, self.rows, notes)


def say_ranking(by: str) -> str:
    """Say what edges are ranked by, in words that follow "the strongest by".

    Examples
    --------
    >>> say_ranking("l2"), say_ranking("top"), say_ranking("-left")
    ('l2', 'excitation at top', 'inhibition at left')
    """
    name = by.removeprefix("-")
    if name in _WHERE:
        return f"{'inhibition' if by.startswith('-') else 'excitation'} {_WHERE[name]}"
    return "share of the target's input" if name == "share_in" else name


def ranks_upwards(by: str) -> bool:
    """Say whether the first of a ranking are those whose number is smallest.

    Examples
    --------
    >>> ranks_upwards("top"), ranks_upwards("-top"), ranks_upwards("inhibition")
    (False, True, True)
    """
    # inhibition is at most 0: what inhibits most is its smallest
    return by.startswith("-") != (by.removeprefix("-") == "inhibition")


def rank_edges(
    bundle: Bundle, unit: str, side: Side, *, by: str = "l2", limit: int = 20, offset: int = 0
) -> RankedEdges:
    """Return the edges into (side "upstream") or out of (side "downstream") a unit, ranked.

    Parameters
    ----------
    unit
        A name as `Bundle.unit` takes it. Edges of a neuron are from and to neurons, those of a direction from and to
        both.
    by
        One of `RANKINGS`: with "top", what excites most above the unit's own position comes first; with "-top", what
        inhibits most there. With "inhibition", which is at most 0, the most negative comes first.
    limit, offset
        How many rows at most, after how many others. Equal edges stand in the order of layers and channels.

    Raises
    ------
    UnknownUnitError, UnknownLayerError
        There is no such unit or layer.
    BundleError
        `side`, `by`, `limit` or `offset` cannot be used.
    """
    uid = bundle.unit(unit)
    name = by.removeprefix("-")
    if side not in ("upstream", "downstream") or name not in RANKINGS:
        raise BundleError(
            f"ranking the edges of {uid}: side {side[:40]!r} and by {by[:40]!r} are given.",
            hint=f"A side is upstream or downstream; edges are ranked by {', '.join(RANKINGS)}, "
            "or those with - before them.",
        )
    if not 0 <= limit <= _MOST or offset < 0:
        raise BundleError(
            f"ranking the edges of {uid}: limit {limit} and offset {offset} are given; "
            f"a limit is 0 to {_MOST:,}, an offset 0 or more.",
            hint="Read all of them with Bundle.edges.",
        )
    if uid.channel is None:
        found = list(_of_direction(bundle, uid, side, name))
    elif side == "upstream":
        found = list(_into(bundle, uid, uid.channel, name))
    else:
        found = list(_out_of(bundle, uid, uid.channel, name))
    values = np.concatenate([np.zeros(0, np.float32), *(each.values for each in found)]).astype(np.float64)
    # sorting keeps the order of equals, which is that of layers and channels
    order = np.argsort(values if ranks_upwards(by) else -values, kind="stable")[offset : offset + limit]
    starts = np.cumsum([0, *(len(each.values) for each in found)])
    owners = np.searchsorted(starts, order, side="right") - 1
    made: dict[int, dict[str, Any]] = {}
    for owner in np.unique(owners).tolist():
        mine = order[owners == owner]
        made.update(zip(mine.tolist(), found[owner].rows(mine - starts[owner]), strict=True))
    return RankedEdges(str(uid), side, by, tuple(made[int(at)] for at in order), int(starts[-1]), offset)


@dataclass(frozen=True, slots=True)
class FarEdges:
    """All edges between one neuron and one other layer whose kernel is not zero, (edge,) each.

    Attributes
    ----------
    layer
        The other layer.
    channels
        The units at the other ends.
    """

    layer: str
    channels: NDArray[np.int64]
    l1: NDArray[np.float32]
    l2: NDArray[np.float32]
    share_in: NDArray[np.float32]


def edges_at(bundle: Bundle, unit: str, side: Side) -> list[FarEdges]:
    """Return the sizes of all edges into (side "upstream") or out of (side "downstream") a neuron, by stored block.

    Raises
    ------
    UnknownUnitError, UnknownLayerError
        There is no such neuron or layer.
    """
    uid = bundle.neuron(unit)
    channel, own = uid.channel or 0, str(uid.layer_id)
    if side == "upstream":
        return list(_sizes_into(bundle, own, channel))
    found = []
    for layer in _below(bundle, own):
        numbers = [part.block for part in bundle.blocks if (part.up, part.down) == (own, layer)]
        columns = ["block", "up", "down", "l1", "l2", "share_in"]
        with bundle._reading(f"edges/{bundle.layer(layer).index:04d}.parquet") as path, pq.ParquetFile(path) as file:
            table = file.read_row_groups(_groups(file, channel), columns=columns, use_threads=False)
        there = np.flatnonzero(table["up"].to_numpy() == channel)
        blocks, l1 = table["block"].to_numpy()[there], table["l1"].to_numpy()[there]
        mine = table.take(there[np.isin(blocks, numbers) & (l1 > 0)])
        sizes = (mine[name].to_numpy() for name in ("l1", "l2", "share_in"))
        found.append(FarEdges(layer, mine["down"].to_numpy().astype(np.int64), *sizes))
    return found


def _sizes_into(bundle: Bundle, layer: str, channel: int) -> Iterator[FarEdges]:
    for part, ups, _, scalars in _measured_into(bundle, layer, channel, ("l1", "l2")):
        there = np.flatnonzero(scalars["l1"] > 0)
        sizes = (scalars[name][there] for name in ("l1", "l2", "share_in"))
        yield FarEdges(part.up, ups[there].astype(np.int64), *sizes)


@dataclass(frozen=True, slots=True)
class _Some:
    """The edges between the unit and one other layer: what ranks them, how to make rows of some, and channels."""

    values: NDArray[np.float32]
    rows: Callable[[NDArray[np.integer[Any]]], list[dict[str, Any]]]
    layer: str = ""
    channels: NDArray[np.integer[Any]] = field(default_factory=lambda: np.zeros(0, np.int64))


def edge_share(bundle: Bundle, up: str, down: str) -> float | None:
    """Return the share of an edge in the l1 of all that leads from neurons to its target; None where there is no edge.

    Raises
    ------
    UnknownUnitError, UnknownLayerError
        There is no such unit or layer.
    """
    u, d = bundle.unit(up), bundle.unit(down)
    if u.channel is None or d.channel is None:
        table = bundle.directions.edges(str(d.layer_id))
        is_it = pc.and_(pc.equal(table["up_uid"], str(u)), pc.equal(table["down_uid"], str(d)))
        shares = table.filter(is_it)["share_in"].to_pylist()
        return shares[0] if shares else None
    for some in _into(bundle, d, d.channel, "share_in"):
        shares = some.values[some.channels == u.channel] if some.layer == str(u.layer_id) else some.values[:0]
        if len(shares):
            return float(shares[0])
    return None


def shares_into(bundle: Bundle, unit: str) -> dict[str, NDArray[np.float32]]:
    """Return the (up,) shares of the edges into a neuron in the l1 of all of them, by upstream layer; 0 where none is.

    They are those of the table of edges, of which nothing is read.

    Raises
    ------
    UnknownUnitError, UnknownLayerError
        There is no such neuron or layer.
    """
    uid = bundle.neuron(unit)
    found: dict[str, NDArray[np.float32]] = {}
    for some in _into(bundle, uid, uid.channel or 0, "share_in"):
        shares = found.setdefault(some.layer, np.zeros(bundle.layer(some.layer).unit_count, np.float32))
        shares[some.channels] = some.values
    return found


def _into(bundle: Bundle, unit: UnitId, channel: int, by: str) -> Iterator[_Some]:
    needed = ("l1",) if by in ("l1", "share_in") else ("l1", by)
    for part, ups, kernels, scalars in _measured_into(bundle, str(unit.layer_id), channel, needed):
        yield _into_part(part, ups, kernels, scalars, by)


def _measured_into(
    bundle: Bundle, layer: str, channel: int, needed: Sequence[str]
) -> Iterator[tuple[BlockInfo, NDArray[Any], NDArray[np.float32], dict[str, NDArray[np.float32]]]]:
    """Yield block, upstream channels, (edge, row, col) kernels and scalars of all that leads into a neuron.

    The scalars are those that are `needed`, of which l1 is one, and share_in.
    """
    found, total = [], 0.0
    for part in bundle.blocks:
        if part.down != layer or not part.row_start <= channel < part.row_stop:
            continue
        place = channel - part.row_start
        kernels = bundle.stored(part)[place]
        ups = np.arange(len(kernels))
        if part.up_file is not None:
            ups = np.array(bundle.up_channels(part)[place : place + 1])
            kernels, ups = kernels[np.newaxis][ups >= 0], ups[ups >= 0]
        scalars = summarise_grid(kernels[np.newaxis], part.anchor, needed)
        total += float(scalars["l1"].astype(np.float64).sum())
        found.append((part, ups, kernels, scalars))
    for part, ups, kernels, scalars in found:
        # in float64, as the tables of edges have it
        l1 = scalars["l1"].astype(np.float64)
        scalars["share_in"] = (l1 / total if total > 0 else np.zeros_like(l1)).astype(np.float32)
        yield part, ups, kernels, scalars


def _into_part(
    part: BlockInfo,
    ups: NDArray[Any],
    kernels: NDArray[np.float32],
    scalars: dict[str, NDArray[np.float32]],
    by: str,
) -> _Some:
    there = np.flatnonzero(scalars["l1"] > 0)

    def rows(places: NDArray[np.integer[Any]]) -> list[dict[str, Any]]:
        chosen = there[places]
        shares = scalars["share_in"][chosen]
        return _rows([f"{part.up}:{up}" for up in ups[chosen].tolist()], kernels[chosen], part, shares)

    return _Some(scalars[by][there], rows, part.up, ups[there])


def _out_of(bundle: Bundle, unit: UnitId, channel: int, by: str) -> Iterator[_Some]:
    own = str(unit.layer_id)
    for layer in _below(bundle, own):
        parts = {part.block: part for part in bundle.blocks if (part.up, part.down) == (own, layer)}
        name = f"edges/{bundle.layer(layer).index:04d}.parquet"
        # each column costs the reading of 131,072 values: the others follow from the few kernels that are shown
        columns = dict.fromkeys(("block", "up", "down", "l1", "share_in", by))
        with bundle._reading(name) as path, pq.ParquetFile(path) as file:
            table = file.read_row_groups(_groups(file, channel), columns=list(columns), use_threads=False)
        # first what is quickest to tell of many rows
        there = np.flatnonzero(table["up"].to_numpy() == channel)
        blocks, l1 = table["block"].to_numpy()[there], table["l1"].to_numpy()[there]
        there = there[np.isin(blocks, list(parts)) & (l1 > 0)]
        yield _out_of_parts(bundle, layer, channel, parts, table.take(there), by)


def _out_of_parts(
    bundle: Bundle, layer: str, channel: int, parts: Mapping[int, BlockInfo], table: pa.Table, by: str
) -> _Some:
    downs = table["down"].to_numpy()
    # what is in several blocks of a pair stands by channel all the same
    order = np.argsort(downs, kind="stable")
    downs, blocks, shares = downs[order], table["block"].to_numpy()[order], table["share_in"].to_numpy()[order]

    def rows(places: NDArray[np.integer[Any]]) -> list[dict[str, Any]]:
        made: dict[int, dict[str, Any]] = {}
        for number in np.unique(blocks[places]).tolist():
            part, mine = parts[number], places[blocks[places] == number]
            at = downs[mine] - part.row_start
            stored = bundle.stored(part)
            kernels = stored[at] if part.up_file is not None else stored[at, channel]
            found = _rows([f"{layer}:{down}" for down in downs[mine].tolist()], kernels, part, shares[mine])
            made.update(zip(mine.tolist(), found, strict=True))
        return [made[int(place)] for place in places]

    return _Some(table[by].to_numpy()[order], rows)


def _rows(
    far: Sequence[str], kernels: NDArray[np.float32], part: BlockInfo, shares: NDArray[np.float32]
) -> list[dict[str, Any]]:
    """Return a row for each of some kernels (edge, row, col) of one block."""
    found = summarise_grid(kernels[np.newaxis], part.anchor, _SCALARS)
    sums, l1, l2 = (found[name] for name in ("sum", "l1", "l2"))
    magnitude = np.abs(sums)
    # the flags as circuitgraph.bundle.edges sets them
    by_sum = magnitude >= part.strong_sum_cut
    flags = {
        "excites": by_sum & (sums > 0),
        "inhibits": by_sum & (sums < 0),
        "mixes": (l2 >= part.strong_l2_cut) & (l2 > 0) & (magnitude < MIXES_SUM_SHARE * l1),
    }
    scalars = {name: values.tolist() for name, values in found.items()}
    return [
        {
            "unit": uid,
            **{name: values[place] for name, values in scalars.items()},
            "share_in": float(shares[place]),
            "strong": [flag for flag in STRONG if flags[flag][place]],
        }
        for place, uid in enumerate(far)
    ]


def _groups(file: pq.ParquetFile, channel: int) -> list[int]:
    """Return the row groups that may hold edges out of a channel: the table is sorted by block, then upstream unit."""
    place = file.schema_arrow.names.index("up")
    found = []
    for number in range(file.metadata.num_row_groups):
        known = file.metadata.row_group(number).column(place).statistics
        if known is None or not known.has_min_max or known.min <= channel <= known.max:
            found.append(number)
    return found


def _below(bundle: Bundle, layer: str) -> list[str]:
    return list(dict.fromkeys(down for up, down in bundle.pairs if up == layer))


def _of_direction(bundle: Bundle, unit: UnitId, side: Side, by: str) -> Iterator[_Some]:
    own, place = str(unit.layer_id), bundle.directions.place(unit)
    near, far = ("down", "up") if side == "upstream" else ("up", "down")
    for layer in [own] if side == "upstream" else _below(bundle, own):
        numbers = [
            part.block
            for part in bundle.directions.blocks
            if part.down == layer and getattr(part, near) == own and getattr(part, f"{near}_kind") == "direction"
        ]
        edges = bundle.directions.edges(layer)
        own_ones = (edges[near].to_numpy() == place) & np.isin(edges["block"].to_numpy(), numbers)
        table = edges.take(np.flatnonzero(own_ones & (edges["l1"].to_numpy() > 0)))
        yield _Some(table[by].to_numpy(), partial(_table_rows, table, f"{far}_uid"))


def _table_rows(table: pa.Table, far: str, places: NDArray[np.integer[Any]]) -> list[dict[str, Any]]:
    return [
        {
            "unit": row[far],
            **{name: row[name] for name in RANKINGS},
            "strong": [flag for flag in STRONG if row[flag]],
        }
        for row in table.take(places).to_pylist()
    ]
