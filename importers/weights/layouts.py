"""The order of axes of kernels in a file: declared, or read off the shapes that an architecture wants."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from circuitgraph.errors import MappingError

__all__ = ["KernelLayout", "Layout", "LinearLayout", "choose_layout", "fitting_layouts", "in_our_order"]

Layout = Literal["OIHW", "HWIO", "OHWI"]
LinearLayout = Literal["OI", "IO"]
Shape = tuple[int, ...]

_AXES: Mapping[Layout, tuple[int, int, int, int]] = {"OIHW": (0, 1, 2, 3), "HWIO": (3, 2, 0, 1), "OHWI": (0, 3, 1, 2)}
_LINEAR_AXES: Mapping[LinearLayout, tuple[int, int]] = {"OI": (0, 1), "IO": (1, 0)}


@dataclass(frozen=True, slots=True)
class KernelLayout:
    """The order of axes of a file's convolutions and of its linear layers (O: down, I: up, H: row, W: column)."""

    layout: Layout
    linear: LinearLayout

    def axes(self, rank: int) -> tuple[int, ...]:
        """Return where each of our axes, (down, up, row, col) or (down, up), stands in the file."""
        if rank == 4:
            return _AXES[self.layout]
        return _LINEAR_AXES[self.linear] if rank == 2 else tuple(range(rank))

    def __str__(self) -> str:
        return f"{self.layout} with linear layers {self.linear}"


def in_our_order(values: NDArray[Any], how: KernelLayout) -> NDArray[Any]:
    """Turn an array of the file into (down, up, row, col) or (down, up)."""
    return np.ascontiguousarray(values.transpose(how.axes(values.ndim)))


def choose_layout(
    shapes: Mapping[str, tuple[Shape, Shape]],
    *,
    layout: Layout | None,
    linear: LinearLayout | None,
    source: str,
) -> KernelLayout:
    """Say which order of axes a file's arrays have.

    Parameters
    ----------
    shapes
        By tensor, its shape in the file and the one that the architecture wants.
    layout, linear
        What is declared of convolutions and of linear layers; what is not is read off the shapes of the whole file.
        Linear layers go with convolutions by custom (IO with HWIO, else OI) unless only the other way fits.
    source
        The file's name, for messages.

    Returns
    -------
    KernelLayout
        Where none fits, the one that fits most tensors: the caller says what is wrong.

    Raises
    ------
    MappingError
        Several fit and would give different weights.
    """
    fitting = fitting_layouts(shapes, layout=layout, linear=linear)
    if not fitting:
        found = list(_candidates(layout, linear))
        return min(found, key=lambda how: sum(not _fits(own, want, how) for own, want in shapes.values()))
    if len(fitting) > 1:
        first, second = fitting[:2]
        tensor = next(name for name, (own, _) in shapes.items() if _moved(own, first) != _moved(own, second))
        own = shapes[tensor][0]
        names = [first.layout, second.layout] if len(own) == 4 else [first.linear, second.linear]
        key, option = ("layout", f" --layout {names[0]}, or") if len(own) == 4 else ("linear_layout", "")
        raise MappingError(
            f"importing {source}: {tensor} is {'x'.join(map(str, own))}, which is {names[0]} as well as {names[1]}, "
            "and no other tensor of the file decides it.",
            hint=f"Say which it is:{option} {key} = {names[0]!r} in a --mapping file.",
        )
    return fitting[0]


def fitting_layouts(
    shapes: Mapping[str, tuple[Shape, Shape]],
    *,
    layout: Layout | None = None,
    linear: LinearLayout | None = None,
) -> list[KernelLayout]:
    """Return the orders of axes that fit all shapes and give different weights; parameters are `choose_layout`'s."""
    candidates = list(_candidates(layout, linear))
    by_custom = [how for how in candidates if how.linear == _custom(how.layout)]
    rest = [how for how in candidates if how not in by_custom]
    for group in (by_custom, rest):
        fitting: dict[tuple[Shape, ...], KernelLayout] = {}
        for how in group:
            if all(_fits(own, want, how) for own, want in shapes.values()):
                fitting.setdefault(tuple(_moved(own, how) for own, _ in shapes.values()), how)
        if fitting:
            return list(fitting.values())
    return []


def _custom(layout: Layout) -> LinearLayout:
    return "IO" if layout == "HWIO" else "OI"


def _candidates(layout: Layout | None, linear: LinearLayout | None) -> Iterator[KernelLayout]:
    layouts: Sequence[Layout] = [layout] if layout else ["OIHW", "HWIO", "OHWI"]
    for own in layouts:
        linears: Sequence[LinearLayout] = [linear] if linear else [_custom(own), "OI" if own == "HWIO" else "IO"]
        for one in linears:
            yield KernelLayout(own, one)


def _fits(own: Shape, want: Shape, how: KernelLayout) -> bool:
    return tuple(own[axis] for axis in how.axes(len(own))) == want


def _moved(own: Shape, how: KernelLayout) -> Shape:
    """Return the order that entries are read in; axes of one entry do not matter."""
    return tuple(axis for axis in how.axes(len(own)) if own[axis] != 1)
