"""Tuning curves of a family's units, from the file that its claims rest on."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from circuitgraph.catalogue.base import BaseCatalogue
from circuitgraph.catalogue.claims import Claim, Evidence
from circuitgraph.errors import AnnotationError
from circuitgraph.figures.evidence import find_file
from circuitgraph.ids import UnitId
from importers.annotations.tuning import read_curves

__all__ = ["tuning_of"]

_MOST_BYTES = 1 << 26
_SAMPLES = 360


def tuning_of(catalogue: BaseCatalogue | None, family: str) -> tuple[dict[str, NDArray[np.float64]], tuple[str, ...]]:
    """Return the tuning curves of a family's units, and why there are none.

    A curve is taken from the file that a current `member_of` claim names, where that lies beside the log with the
    claim's hash, and where its greatest response is the one that the claim says.

    Returns
    -------
    curves, notes
        A curve has 360 responses, the first at 0, counter-clockwise as displayed: it is turned so that its preferred
        angle stands where the claim says that the unit's angle is.
    """
    if catalogue is None:
        return {}, ()
    heads = catalogue.heads(catalogue.find(predicate="member_of", object=family))
    claims = catalogue.get_many([head.id for head in heads if not (head.is_superseded or head.is_negated)])
    files: dict[str, dict[int, NDArray[np.float64]]] = {}
    curves: dict[str, NDArray[np.float64]] = {}
    notes: dict[str, None] = {}
    for claim in claims:
        for evidence in claim.evidence:
            if evidence.code != "joint_tuning" or not evidence.files or "preferred_angle_deg" not in evidence.figures:
                continue
            file = evidence.files[0]
            if file.sha256 not in files:
                data, why = find_file(catalogue, file, most_bytes=_MOST_BYTES)
                files[file.sha256] = {} if data is None else _read(data, file.name, notes)
                if data is None:
                    notes[f"no tuning curves: {file.name} {why}"] = None
            curve = _curve(claim, evidence, files[file.sha256])
            if curve is not None:
                curves[claim.subject] = curve
    return curves, tuple(notes)


def _read(data: bytes, name: str, notes: dict[str, None]) -> dict[int, NDArray[np.float64]]:
    try:
        return read_curves(data)
    except AnnotationError:
        notes[f"no tuning curves: {name} holds none"] = None
        return {}


def _curve(claim: Claim, evidence: Evidence, curves: Mapping[int, NDArray[np.float64]]) -> NDArray[np.float64] | None:
    """Return the curve of a claim's unit in our sense of angle, None where the file has no such one."""
    unit, said = UnitId.parse(claim.subject), evidence.figures
    angle, preferred, peak = (
        claim.qualifiers.get("angle_deg"),
        said.get("preferred_angle_deg"),
        said.get("peak"),
    )
    if unit.channel is None or not all(isinstance(each, (int, float)) for each in (angle, preferred, peak)):
        return None
    # a source may count channels from 1: its own greatest response tells which curve it is
    for channel in (unit.channel, unit.channel + 1):
        curve = curves.get(channel)
        if curve is not None and np.isclose(float(curve.max()), float(str(peak)), rtol=1e-6):
            sense = 1.0 if said.get("sense") == "counter-clockwise" else -1.0
            ours = np.arange(_SAMPLES) * (360.0 / _SAMPLES)
            theirs = (float(str(preferred)) + sense * (ours - float(str(angle)))) % 360.0
            at = theirs / 360.0 * len(curve)
            return np.asarray(np.interp(at, np.arange(len(curve) + 1), np.append(curve, curve[0])))
    return None
