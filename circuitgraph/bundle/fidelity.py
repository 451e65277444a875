"""Showing how a bundle's weights were linearised and how well they predict; saving a new measurement of that."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from circuitgraph.bundle import format as fmt
from circuitgraph.bundle.approximations import NOT_MEASURED, pair_approximations
from circuitgraph.bundle.describe import Description
from circuitgraph.bundle.read import Bundle
from circuitgraph.errors import BundleError, DiskFullError
from circuitgraph.records import Fidelity

__all__ = ["describe_approximations", "write_fidelity"]

_PAIR_COLUMNS = ("up", "down", "ignored_activations", "cancellation", "cancellation_p90", "approximations")
_FIDELITY_COLUMNS = (
    "layer",
    "correlation",
    "explained",
    "unit_q1",
    "unit_median",
    "unit_q3",
    "where",
    "positions",
    "constant_units",
    "correlation_anywhere",
    "explained_anywhere",
)


def write_fidelity(bundle: Bundle, fidelity: Fidelity) -> Bundle:
    """Put a measurement in the place of the one in a bundle's manifest, in one step; its hash stays.

    Raises
    ------
    BundleError
        It is not about the layers of the bundle, an import is writing the bundle, or the manifest cannot be written.
    """
    unknown = sorted(set(fidelity.layers) - {layer.uid for layer in bundle.layers})
    if unknown:
        raise BundleError(f"writing {bundle.path}: a fidelity of {unknown[0]} is given, which is no layer of it.")
    file = bundle.path / fmt.MANIFEST
    temporary = file.with_suffix(".json.new")
    lock = FileLock(bundle.path.with_name(bundle.path.name + ".lock"), timeout=0)
    try:
        with lock:
            content = fmt.with_fidelity(json.loads(file.read_text(encoding="utf-8")), fidelity)
            with temporary.open("w", encoding="utf-8") as out:
                out.write(json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False) + "\n")
                out.flush()
                os.fsync(out.fileno())
            temporary.replace(file)
            # removed while it is held: who waits for it finds a new one to lock
            Path(lock.lock_file).unlink(missing_ok=True)
    except Timeout:
        raise BundleError(f"writing {bundle.path}: another process is writing it now.", hint="Wait for it.") from None
    except OSError as error:
        temporary.unlink(missing_ok=True)
        kind = DiskFullError if error.errno in (28, 122) else BundleError
        raise kind(f"writing {file}: {error.strerror or error}; the measurement was not saved.") from error
    return Bundle.open(bundle.path)


def describe_approximations(bundle: Bundle, *, fidelity: Fidelity | None = None) -> list[Description]:
    """Describe what was linearised between each pair of layers, and how well each layer is predicted.

    Parameters
    ----------
    fidelity
        Shown in the place of the one in the manifest.
    """
    measured = fidelity or bundle.fidelity
    rows = [pair_approximations(bundle, up, down) for up, down in bundle.pairs]
    exact = sum(row["ignored_activations"] == 0 and not row["approximations"] for row in rows)
    notes = [
        f"{exact} of {len(rows)} pairs ignore no activation and nothing else: they are exact where no window reaches "
        "over a border"
    ]
    title = f"what was linearised in {bundle.network}"
    pairs = Description("approximations", title, _PAIR_COLUMNS, rows, notes, key_columns=2)
    return [pairs, _fidelity_table(bundle, measured)]


def _fidelity_table(bundle: Bundle, fidelity: Fidelity | None) -> Description:
    title = f"how well the weights of {bundle.network} predict it"
    again = f"circuitgraph inspect {bundle.path} --approximations --weights FILE [--images FOLDER] --save"
    if fidelity is None:
        notes = [f"how well the weights predict was {NOT_MEASURED}; with the weights at hand: {again}"]
        return Description("fidelity", title, _FIDELITY_COLUMNS, [], notes)
    known = [layer for layer in bundle.layers if layer.uid in fidelity.layers]
    rows = [_fidelity_row(layer.name, fidelity, layer.uid) for layer in known]
    notes = [
        f"measured on {fidelity.shown}{_normalised(fidelity)}, seed {fidelity.seed}: the "
        "linear prediction from the true activations of all source layers, negative values set to zero where units "
        "are rectified, against the true activation"
    ]
    borders = [row["layer"] for row in rows if row["where"] == "all"]
    if borders:
        notes.append(
            f"at every position of {', '.join(borders)} a window reaches over a border; the figures are over all "
            "positions"
        )
    missing = [layer.name for layer in bundle.layers[1:] if layer.uid not in fidelity.layers]
    if missing:
        notes.append(f"{', '.join(missing)}: {NOT_MEASURED}")
    return Description("fidelity", title, _FIDELITY_COLUMNS, rows, notes)


def _normalised(fidelity: Fidelity) -> str:
    parts = [
        f"{name} {','.join(f'{value:g}' for value in values)}"
        for name, values in (("mean", fidelity.mean), ("std", fidelity.std))
        if values
    ]
    return f" ({', '.join(parts)})" if parts else ""


def _fidelity_row(name: str, fidelity: Fidelity, uid: str) -> dict[str, Any]:
    found = fidelity.layers[uid]
    own = found.best_known
    low, median, high = own.unit_quartiles or (None, None, None)
    return {
        "layer": name,
        "correlation": own.correlation,
        "explained": own.explained,
        "unit_q1": low,
        "unit_median": median,
        "unit_q3": high,
        "where": "all" if found.interior is None else "interior",
        "positions": own.positions,
        "constant_units": own.constant_units,
        "correlation_anywhere": found.anywhere.correlation,
        "explained_anywhere": found.anywhere.explained,
    }
