"""The order of things in rows that crosses least, by Graphviz' ``dot``, and places for them in that order."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from itertools import pairwise

from circuitgraph.errors import MissingExtraError

__all__ = ["Link", "count_crossings", "order_ranks", "place_ranks", "spread"]

Link = tuple[int, int, float]
"""Things of two neighbouring rows, the lower row's first, and how straight the line between them is wished."""

_SWEEPS = 24
_ONE_SIDED = 4
"""Sweeps that look only at the row they come from, so that places travel far; the others look at both."""

# Graphviz keeps state of its own and serves one caller at a time
_GRAPHVIZ = threading.Lock()


def spread(wanted: Sequence[float], widths: Sequence[float], low: float, high: float) -> list[float]:
    """Place things in a row, in their given order, near where they want to be and without overlap.

    Parameters
    ----------
    wanted
        The middle that each would like.
    widths
        Room that each takes; their sum must fit between `low` and `high`.

    Returns
    -------
    list of float
        Middles. Things that would overlap form a group around the mean of their wishes.
    """
    groups: list[tuple[float, float, int]] = []  # (start, width, count)
    for middle, width in zip(wanted, widths, strict=True):
        start, total, count = min(max(middle - width / 2, low), high - width), width, 1
        while groups and groups[-1][0] + groups[-1][1] > start:
            before_start, before_width, before_count = groups.pop()
            start = (before_start * before_count + (start - before_width) * count) / (before_count + count)
            total, count = total + before_width, count + before_count
            start = min(max(start, low), high - total)
        groups.append((start, total, count))
    out: list[float] = []
    for start, _, count in groups:
        at = start
        for width in widths[len(out) : len(out) + count]:
            out.append(at + width / 2)
            at += width
    return out


def count_crossings(ranks: Sequence[Sequence[int]], links: Iterable[Link]) -> int:
    """Count the pairs of links between the same two rows that cross."""
    place = {thing: (row, at) for row, things in enumerate(ranks) for at, thing in enumerate(things)}
    between: dict[int, list[tuple[int, int]]] = {}
    for low, high, _ in links:
        row, at = place[low]
        between.setdefault(row, []).append((at, place[high][1]))
    crossed = 0
    for ends in between.values():
        ends.sort()
        for i, (low_at, high_at) in enumerate(ends):
            crossed += sum(1 for other_low, other_high in ends[i + 1 :] if other_low > low_at and other_high < high_at)
    return crossed


def order_ranks(
    ranks: Sequence[Sequence[int]], widths: Sequence[float], links: Sequence[Link], kept: Sequence[Sequence[int]]
) -> list[list[int]]:
    """Order the things of each row so that few links cross.

    Parameters
    ----------
    ranks
        Rows from the bottom up, each a list of places in `widths`; every thing once.
    widths
        Room that each thing takes, in pixels.
    links
        Each leads from one row to the next.
    kept
        Runs of things of one row that stay in that order, unless another order has fewer crossings.

    Raises
    ------
    MissingExtraError
        pygraphviz is not installed.
    """
    if not links:
        return [list(row) for row in ranks]
    as_given = _run_dot(ranks, widths, links, kept)
    if all(len(run) < 2 for run in kept):
        return as_given
    crossed = count_crossings(as_given, links)
    if not crossed:
        return as_given
    free = _run_dot(ranks, widths, links, ())
    return free if count_crossings(free, links) < crossed else as_given


def _run_dot(
    ranks: Sequence[Sequence[int]], widths: Sequence[float], links: Sequence[Link], kept: Sequence[Sequence[int]]
) -> list[list[int]]:
    try:
        import pygraphviz
    except ImportError as error:
        raise MissingExtraError(
            "drawing a circuit: pygraphviz, which puts its units in order, is not installed.",
            hint="pip install 'feature-circuitgraph[draw]'",
        ) from error
    # boxes of fixed size without text: Graphviz then asks for no font, and says nothing where there is none;
    # its second phase ends with the order, which is all that is wanted
    lines = [
        "digraph {",
        'graph [phase=2, rankdir=BT, nodesep=0.02]; node [shape=box, fixedsize=true, label=""];',
    ]
    row_of = {thing: row for row, things in enumerate(ranks) for thing in things}
    for row in ranks:
        nodes = "".join(f" n{thing} [width={widths[thing] / 72:.4f}];" for thing in row)
        lines.append(f"{{ rank=same;{nodes} }}")
    lines += [f"n{low} -> n{high} [weight={round(weight)}];" for low, high, weight in links]
    joined = {row_of[low] for low, _, _ in links}
    lines += [
        f"n{low[0]} -> n{high[0]} [style=invis, weight=0];"
        for row, (low, high) in enumerate(pairwise(ranks))
        if row not in joined and low and high
    ]
    # a line within a row fixes its order; where they alone decide, they are drawn from left to right
    lines += [f"n{left} -> n{right} [style=invis, weight=0];" for run in kept for left, right in pairwise(run)]
    lines.append("}")
    with _GRAPHVIZ:
        graph = pygraphviz.AGraph(string="\n".join(lines))
        try:
            graph.layout(prog="dot")
            orders = {thing: graph.get_node(f"n{thing}").attr["order"] for thing in row_of}
        finally:
            graph.close()
    return [sorted(row, key=lambda thing: (int(orders[thing]), thing)) for row in ranks]


def place_ranks(
    ranks: Sequence[Sequence[int]], widths: Sequence[float], links: Sequence[Link], low: float, high: float
) -> list[float]:
    """Give each thing a middle between `low` and `high`: rows keep their order, nothing overlaps, lines are short.

    What is symmetric stays symmetric, which the places that dot gives do not.
    """
    x = [0.0] * len(widths)
    below: list[list[tuple[int, float]]] = [[] for _ in widths]
    above: list[list[tuple[int, float]]] = [[] for _ in widths]
    for down, up, weight in links:
        above[down].append((up, weight))
        below[up].append((down, weight))
    for row in ranks:
        at = (low + high - sum(widths[thing] for thing in row)) / 2
        for thing in row:
            x[thing] = at + widths[thing] / 2
            at += widths[thing]
    for sweep in range(_SWEEPS):
        rising = sweep % 2 == 0
        for row in ranks if rising else reversed(ranks):
            wishes = []
            for thing in row:
                near = below[thing] + above[thing]
                if sweep < _ONE_SIDED:
                    near = (below[thing] if rising else above[thing]) or near
                total = sum(weight for _, weight in near)
                wishes.append(sum(x[other] * weight for other, weight in near) / total if near else x[thing])
            for thing, place in zip(row, spread(wishes, [widths[thing] for thing in row], low, high), strict=True):
                x[thing] = place
    return x
