"""One edge of a bundle with its kernel, as circuits hold it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from circuitgraph.bundle.blocks import BlockInfo, common_window
from circuitgraph.errors import BundleError, UnknownPairError
from circuitgraph.graph import CircuitEdge
from circuitgraph.kernels import anchor_of

if TYPE_CHECKING:
    from circuitgraph.bundle.read import Bundle

__all__ = ["STRENGTHS", "read_edge"]

STRENGTHS = ("l1", "l2", "share_in")
"""What "strongest" may mean of edges."""


def read_edge(bundle: Bundle, up: str, down: str, *, share_in: float | None = None) -> CircuitEdge:
    """Return the edge from unit `up` to unit `down`, reading no other kernel.

    Parameters
    ----------
    up, down
        Names as `Bundle.unit` takes them; directions too.
    share_in
        What is known of its share of the target's total l1; above 1, as into a long direction, it is left out.

    Returns
    -------
    The kernel lies on the window of the whole pair of layers; where its blocks slide differently, on its own.

    Raises
    ------
    UnknownUnitError, UnknownLayerError, UnknownPairError
        The unit, its layer or the pair of layers does not exist.
    """
    u, d = bundle.unit(up), bundle.unit(down)
    pair = (str(u.layer_id), str(d.layer_id))
    parts = [part for part in bundle.blocks if (part.up, part.down) == pair]
    try:
        kernel = bundle.kernel(str(u), str(d))
        offset, window = common_window(parts)
        anchor = anchor_of(parts[0].form if len(parts) == 1 else "row block", offset, window)
    except UnknownPairError:
        raise
    except BundleError:
        part = next(part for part in parts if part.row_start <= (d.channel or 0) < part.row_stop)
        kernel, anchor = _alone(bundle, part, u.channel or 0, d.channel or 0), part.anchor
    share = None if share_in is None or share_in > 1 else share_in
    attributes = {
        "stride": list(parts[0].stride),
        "approximations": list(dict.fromkeys(word for part in parts for word in part.approximations)),
    }
    return CircuitEdge(str(u), str(d), kernel, anchor=anchor, share_in=share, attributes=attributes)


def _alone(bundle: Bundle, part: BlockInfo, up: int, down: int) -> NDArray[np.float32]:
    row = bundle.stored(part)[down - part.row_start]
    return np.array(row if part.up_file is not None else row[up])
