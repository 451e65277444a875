"""One unit as a picture: what it feeds most above it, what feeds it most below, and the evidence beside its name."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from circuitgraph.draw.image import EvidenceImage, draw_image
from circuitgraph.draw.kernel import check_scale, is_inside, scale_bar
from circuitgraph.draw.marks import (
    INKS,
    MOST_SHOWN_CELLS,
    WORDS,
    brief,
    edge_figures,
    edge_kind,
    edge_tip,
    small_kernel,
)
from circuitgraph.draw.svg import GREY, Markup, Picture, clean, number, shorten, signed, tag, text, wrap
from circuitgraph.errors import GraphError
from circuitgraph.graph import CircuitEdge, CircuitUnit

__all__ = ["draw_unit"]

_WIDTH, _MARGIN = 720.0, 16.0
_PER_ROW = 4
_CARD = (_WIDTH - 2 * _MARGIN) / _PER_ROW
_KERNEL = 124.0
_CARD_HEIGHT = _KERNEL + 58
_SCALE = 190.0
_MOST_EDGES, _MOST_IMAGES = 24, 6


def draw_unit(
    unit: CircuitUnit,
    upstream: Sequence[CircuitEdge],
    downstream: Sequence[CircuitEdge],
    *,
    labels: Mapping[str, str] | None = None,
    upstream_count: int | None = None,
    downstream_count: int | None = None,
    images: Sequence[EvidenceImage] = (),
    facts: Sequence[str] = (),
    title: str = "",
    by: str = "l2",
    scale: float | None = None,
) -> Picture:
    """Draw a unit with its strongest kernels: downstream above it, upstream below, as circuits are drawn.

    Parameters
    ----------
    unit
        Its label, if it has one, is its name in the picture.
    upstream, downstream
        The edges that lead to it and from it, strongest first; at most 24 of each are drawn.
    labels
        What to call the units at the other ends, by uid; their uids are shown in any case.
    upstream_count, downstream_count
        How many edges there are in all; as many as are given if None.
    images
        Feature visualisations, dataset examples; at most 6 are drawn.
    facts
        Lines about the unit, any text: at most 4.
    title
        Any text, shown above; the unit's name if empty.
    by
        What "strongest" means, in a word.
    scale
        The magnitude that has the full colour; upstream and downstream each have their own, the largest, if None.

    Returns
    -------
    Picture
        720 pixels wide; what was left out is said.

    Raises
    ------
    GraphError
        An edge does not lead to or from the unit, or there are fewer edges in all than are given.
    ShapeError
        `scale` is not a finite number above 0.
    """
    names = {uid: brief(label) for uid, label in (labels or {}).items()}
    name = brief(unit.label) or names.get(unit.uid) or _short(unit.uid)
    sides = {
        "Downstream": (list(downstream), downstream_count, "the downstream unit's"),
        "Upstream": (list(upstream), upstream_count, "this unit's"),
    }
    for side, (edges, count, _) in sides.items():
        _check_side(unit, side, edges, count)
    heads = {side: _head(side, len(edges), count, by) for side, (edges, count, _) in sides.items()}
    # beside them stands the scale; bold letters are wider
    size = min(13.0, (_WIDTH - 2 * _MARGIN - _SCALE - 12) / (0.6 * max(map(len, heads.values()))))
    heading = brief(title, 1000) or name
    parts: list[Markup] = [text(shorten(heading, _WIDTH - 32, 16.5), _MARGIN, 26, 16, font_weight="600")]
    y = 42.0
    said = []
    for side, (edges, count, whose) in sides.items():
        if side == "Upstream":
            more, y = _draw_middle(unit, name, facts, images, y)
            parts += more
        whole = len(edges) if count is None else count
        head = text(heads[side], _MARGIN, y + 14, size, font_weight="600")
        more, y, words = _draw_side(side, edges, whole, whose, names=names, y=y, scale=scale)
        parts.append(head)
        parts += more
        said.append(f"{heads[side]}{words}")
    shown = [edge for edges, _, _ in sides.values() for edge in edges[:_MOST_EDGES]]
    if shown:
        legend = "Σ: sum of weights."
        if any(edge_kind(edge) == "mixes" for edge in shown):
            legend += " ↑ ↓ ← → ◉ ◌: sums above, below, left of, right of, at, around the downstream unit's position."
        parts.append(text(legend, _MARGIN, y + 8, 10, fill=GREY))
        y += 22
    return Picture.compose(
        parts, width=_WIDTH, height=math.ceil(y), title=heading, desc=f"{name} ({unit.uid}). {' '.join(said)}"
    )


def _check_side(unit: CircuitUnit, side: str, edges: list[CircuitEdge], count: int | None) -> None:
    act = f"drawing unit {unit.uid}"
    for edge in edges:
        if (edge.down if side == "Upstream" else edge.up) != unit.uid:
            raise GraphError(f"{act}: edge {edge.up} -> {edge.down} is none of its {side.lower()} edges.")
    if count is not None and count < len(edges):
        raise GraphError(f"{act}: {len(edges)} {side.lower()} edges are given, {count} are said to be all.")


def _short(uid: str) -> str:
    return uid.partition("/")[2] or uid


def _head(side: str, given: int, count: int | None, by: str) -> str:
    shown, whole = min(given, _MOST_EDGES), given if count is None else count
    said = f"{side}: showing {shown:,} of {whole:,}"
    return f"{said}, the strongest by {brief(by, 30)}" if whole > shown > 0 else said


def _draw_side(
    side: str,
    edges: list[CircuitEdge],
    whole: int,
    whose: str,
    *,
    names: Mapping[str, str],
    y: float,
    scale: float | None,
) -> tuple[list[Markup], float, str]:
    """Draw what is below a side's head; return it with where it ends and what it says."""
    shown = edges[:_MOST_EDGES]
    full = check_scale(scale, [edge.kernel for edge in shown], "drawing a unit")
    if not shown:
        note = "No edge." if not whole else "None was given."
        return [text(note, _MARGIN, y + 34, 11, fill=GREY)], y + 52, "."
    parts = scale_bar(_WIDTH - _MARGIN - _SCALE, y + 4, _SCALE, full)
    notes: list[str] = []
    if any(is_inside(edge.anchor, edge.kernel) for edge in shown):
        notes.append("Outlined: the downstream unit's own position.")
    if any(edge.share_in is not None for edge in shown):
        notes.append(f"Bar: share of {whose} weight.")
    parts.append(text(" ".join(notes), _MARGIN, y + 32, 10, fill=GREY))
    y += 50
    ends = [edge.up if side == "Upstream" else edge.down for edge in shown]
    tall = _CARD_HEIGHT + (13 if any(names.get(end) for end in ends) else 0)
    tall += 12 if any(max(edge.kernel.shape) > MOST_SHOWN_CELLS for edge in shown) else 0
    words = []
    for place, edge in enumerate(shown):
        other = ends[place]
        name = names.get(other) or _short(other)
        x, top = _MARGIN + place % _PER_ROW * _CARD, y + place // _PER_ROW * tall
        parts.append(_draw_card(edge, other, name, x, top, full))
        up, down = (name, "it") if side == "Upstream" else ("it", name)
        words.append(f"{up} {WORDS[edge_kind(edge)]} {down} (sum {signed(edge.sum, 3)})")
    y += -(-len(shown) // _PER_ROW) * tall + 4
    return parts, y, f": {'; '.join(words)}."


def _draw_card(edge: CircuitEdge, other: str, name: str, x: float, y: float, scale: float) -> Markup:
    kind = edge_kind(edge)
    room = _CARD - 14
    cells, _, _, note = small_kernel(edge, x, y, _KERNEL, scale, widest_cell=44)
    told = f"{edge.up} {WORDS[kind]} {edge.down}: sum {signed(edge.sum, 3)}, l1 {signed(edge.l1, 3)[1:]}"
    parts = [tag("title", f"{told}; {note}" if note else told), *cells]
    at = y + _KERNEL + 10
    if edge.share_in is not None:
        parts += [
            tag("rect", x=x, y=at - 5, width=_KERNEL, height=5, fill="#e3e3e3"),
            tag("rect", x=x, y=at - 5, width=_KERNEL * edge.share_in, height=5, fill=INKS[kind]),
            text(f"{100 * edge.share_in:.3g}%", x + _KERNEL + 5, at + 1, 10, fill=GREY),
        ]
    at += 15
    parts.append(text(shorten(name, room, 12.5), x, at, 12, font_weight="600"))
    at += 13
    if name != _short(other):
        parts.append(text(shorten(_short(other), room, 9.5), x, at, 9.5, fill=GREY))
        at += 13
    figures = edge_figures(edge)
    parts.append(edge_tip(kind, x + 6, at - 9))
    word = "both" if kind == "mixes" else WORDS[kind]
    parts.append(text(f"{word}, {figures}", x + 16, at, 10.5))
    if note:
        parts.append(text(shorten(note, room, 8.5), x, at + 12, 8.5, fill=GREY))
    return tag("g", *parts)


def _draw_middle(
    unit: CircuitUnit, name: str, facts: Sequence[str], images: Sequence[EvidenceImage], y: float
) -> tuple[list[Markup], float]:
    """Draw the unit's own box, with facts and images beside it."""
    box = 168.0
    side = min(160.0, (_WIDTH - 2 * _MARGIN - box - 14) / max(1, min(len(images), _MOST_IMAGES)))
    top = y + 8
    lines = wrap(name, box - 16, 14)
    own = [
        tag("title", f"{name} ({unit.uid})"),
        tag("rect", x=_MARGIN, y=top, width=box, height=56, rx=6, fill="#f2f2f2", stroke="#4d4d4d", stroke_width=1.5),
    ]
    at = top + (26 if name != _short(unit.uid) else 33) - 7 * (len(lines) - 1)
    for line in lines:
        own.append(text(line, _MARGIN + box / 2, at, 13, text_anchor="middle", font_weight="600"))
        at += 14
    if name != _short(unit.uid):
        uid = shorten(_short(unit.uid), box - 8, 10)
        own.append(text(uid, _MARGIN + box / 2, at + 2, 10, fill=GREY, text_anchor="middle"))
    parts = [_rule(y), tag("g", *own)]
    bottom = top + 56
    x = _MARGIN + box + 14
    for image in list(images)[:_MOST_IMAGES]:
        drawn, height = draw_image(image, x, top, side - 8, side - 8)
        parts.append(drawn)
        bottom = max(bottom, top + height)
        x += side
    if len(images) > _MOST_IMAGES:
        left_out = f"Showing {_MOST_IMAGES} of {len(images)} pictures."
        parts.append(text(left_out, _MARGIN + box + 14, bottom + 4, 10, fill=GREY))
        bottom += 12
    # beside the box where it is free, else below the pictures
    left, at = (_MARGIN, bottom + 16) if images else (_MARGIN + box + 14, top + 12)
    for fact in list(facts)[:4]:
        for line in wrap(clean(fact), _WIDTH - _MARGIN - left, 10):
            parts.append(text(line, left, at, 10, fill=GREY))
            bottom = max(bottom, at)
            at += 14
    bottom += 14
    return [*parts, _rule(bottom)], bottom + 10


def _rule(y: float) -> Markup:
    return tag("path", d=f"M{number(_MARGIN)} {number(y)}H{number(_WIDTH - _MARGIN)}", stroke="#e3e3e3", fill="none")
