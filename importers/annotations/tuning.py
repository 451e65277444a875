"""Tuning curves: how units of one layer respond while one stimulus turns through 360 degrees.

The source is JSON, as Distill published it beside "Curve Detectors" and "Curve Circuits"::

    {"layer": "mixed3b", "neurons": [379, 406, ...], "activations": {"379": [0.0, ...], ...}}

with 720 responses a unit, one every half degree; another number n is taken as steps of 360/n degrees. All units are
tuned to the same stimulus, so they are a family: a `FamilyRecord` with the angle of each, and a `member_of` claim of
each with the evidence "joint_tuning".

From each curve: the peak, where it is greatest; the width, between the two places about the peak where the response
falls to half of it, in degrees (interpolated between samples); and the preferred angle, the circular mean over that
stretch, each sample weighted by what it exceeds the half, which a flat or jagged top moves less than the peak itself.

**The sense of the angle.** The files do not say it. The articles' own figure of them turns clockwise from pointing
right, and the weights between the two published layers agree that they turn clockwise: only so do kernels between
units equally far apart look alike once each is turned upright. Our angles run counter-clockwise, so an angle here is
360 degrees less the source's. What of the curve points there, where it bulges or where it opens, the source does
not say; the angles are comparable with each other, and with nothing else, without that.

References
----------
Cammarata, Goh, Carter, Schubert, Petrov, Olah, "Curve Detectors", Distill 2020, "Joint tuning curves" and "Radial
Tuning Curve". https://doi.org/10.23915/distill.00024.003
Cammarata, Goh, Carter, Voss, Schubert, Olah, "Curve Circuits", Distill 2021. https://doi.org/10.23915/distill.00024.006
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from circuitgraph.bundle import Bundle
from circuitgraph.catalogue.base import BaseCatalogue
from circuitgraph.catalogue.claims import Evidence, FileReference
from circuitgraph.catalogue.families import FamilyRecord
from circuitgraph.errors import AnnotationError
from circuitgraph.ids import UnitId
from circuitgraph.progress import SILENT, Progress
from circuitgraph.records import Member
from importers.annotations.base import AnnotationReport, Item, Reading, RowError, annotate, open_source, read_rows
from importers.annotations.labels import Source
from importers.annotations.neuron_groups import family_slug
from importers.annotations.summit import LAYERS
from importers.annotations.target import Target

__all__ = ["Tuning", "annotate_tuning", "measure_tuning", "read_curves", "read_tuning"]

AUTHOR = "Cammarata, Goh, Carter, Schubert, Petrov, Olah"
DATE = "2020-06-17"
REFERENCE = "https://doi.org/10.23915/distill.00024.003"
NETWORK = "inceptionv1"
FAMILY = "Curve detectors"
METHOD = "tuning curve"

Sense = Literal["clockwise", "counter-clockwise"]

_SAMPLES = 720
_LEAST_SAMPLES = 8
_MOST_SAMPLES = 1_000_000
_DECIMALS = 3
_HINT = 'The file has "layer" and "activations", a list of responses for each unit.'
_DESCRIPTION = (
    "Units of one layer, each tuned to its own angle of one stimulus that turns through 360 degrees. Angles are "
    "counter-clockwise as displayed; the source counts {sense} from {zero:g} degrees. What of the stimulus "
    "points there, the source does not say."
)


@dataclass(frozen=True, slots=True)
class Tuning:
    """What a tuning curve says of its unit; angles in degrees as the source counts them.

    Attributes
    ----------
    peak, peak_angle_deg
        The greatest response, and where it is (the first place, if several are equal).
    preferred_angle_deg
        Circular mean of the stretch about the peak in which the response exceeds half of it, weighted by what it
        exceeds the half.
    width_deg
        Length of that stretch; None if the response falls to half of the peak nowhere, and then the mean goes all
        around, weighted by what exceeds the least response.
    lobe_count
        In how many separate stretches the response exceeds half of the peak.
    sample_count
        How many responses, evenly spaced over 360 degrees.
    """

    peak: float
    peak_angle_deg: float
    preferred_angle_deg: float
    width_deg: float | None
    lobe_count: int
    sample_count: int


def measure_tuning(responses: NDArray[np.float64]) -> Tuning:
    """Measure one tuning curve.

    Parameters
    ----------
    responses
        Of the stimulus at n angles evenly spaced over 360 degrees, the first at 0.

    Raises
    ------
    RowError
        There are too few or too many, one is no finite number, none exceeds 0, or all are equal.

    Examples
    --------
    >>> angles = np.deg2rad(np.arange(720) / 2)
    >>> tuning = measure_tuning(np.exp(4 * np.cos(angles - np.deg2rad(30))))
    >>> tuning.preferred_angle_deg, tuning.width_deg
    (30.0, 68.476)
    """
    values = np.asarray(responses, dtype=np.float64)
    count = len(values) if values.ndim == 1 else 0
    if not _LEAST_SAMPLES <= count <= _MOST_SAMPLES:
        raise RowError(f"{count:,} responses, {_LEAST_SAMPLES} to {_MOST_SAMPLES:,} are taken")
    if not np.isfinite(values).all():
        place = int(np.flatnonzero(~np.isfinite(values))[0])
        raise RowError(f"response {place} is {values[place]}")
    step, top = 360.0 / count, int(values.argmax())
    peak = float(values[top])
    if peak <= 0:
        raise RowError(f"no response exceeds 0, the greatest is {peak:g}")
    if float(values.min()) == peak:
        raise RowError(f"the curve is flat: every response is {peak:g}")
    half = peak / 2
    is_above = values > half
    weights, width = values - float(values.min()), None
    if not is_above.all():
        turned = np.roll(values, -top)
        right, left = _fall(turned, half), _fall(np.roll(turned[::-1], 1), half)
        width = round((right + left) * step, _DECIMALS)
        near = np.zeros(count, dtype=bool)
        near[: int(np.ceil(right))] = True
        near[count - int(np.ceil(left)) + 1 :] = True
        weights = np.where(np.roll(near, top), values - half, 0.0)
    angles = np.deg2rad(np.arange(count) * step)
    mean = np.rad2deg(np.arctan2((weights * np.sin(angles)).sum(), (weights * np.cos(angles)).sum()))
    lobes = int((is_above & ~np.roll(is_above, 1)).sum())
    return Tuning(peak, round(top * step, _DECIMALS), _whole_turn(float(mean)), width, max(1, lobes), count)


def read_tuning(
    path: str | Path,
    *,
    network: str | None = None,
    layer: str | None = None,
    bundle: Bundle | str | Path | None = None,
    family: str = FAMILY,
    sense: Sense = "clockwise",
    zero_deg: float = 0.0,
    first_channel: int = 0,
    author: str = AUTHOR,
    date: str = DATE,
) -> Callable[[Reading], Iterable[Item]]:
    """Return a reader of tuning curves, for `annotate`; each unit counts as a row.

    Parameters
    ----------
    network, layer
        What the file speaks of; ``inceptionv1`` (or the bundle's) and the layer that the file names unless given.
    bundle
        Gives the names and sizes of layers.
    family
        Name of the family that the units are taken as.
    sense, zero_deg
        How the source counts angles: whether they grow clockwise or counter-clockwise as displayed, and where its 0
        points, in degrees counter-clockwise from pointing right.
    author, date
        Who measured and when; those of "Curve Detectors" unless given.

    Raises
    ------
    AnnotationError
        The network is not said, the family has no name, or the author has none.
    """
    path = Path(path)
    target = Target.of(
        network=network or (None if bundle is not None else NETWORK),
        layer=layer,
        bundle=bundle,
        first_channel=first_channel,
    )
    if not target.unit_counts and target.network == NETWORK:
        counts = {f"{NETWORK}/{name}": size for name, size in LAYERS.items()}
        target = replace(target, unit_counts=counts)
    source = Source.of(author, date, REFERENCE)
    if not family.strip() or sense not in get_args(Sense) or not np.isfinite(zero_deg):
        raise AnnotationError(
            f"reading {path}: family {family[:80]!r}, sense {sense!r}, zero {zero_deg}: one of them cannot be used.",
            hint="Give a name, clockwise or counter-clockwise, and a number of degrees.",
        )

    def read(reading: Reading) -> Iterator[Item]:
        data = open_source(path)
        named, curves = _curves(path, data)
        layer_uid = target.layer_uid(target.layer or named)
        file = FileReference(name=f"curves-{layer_uid.partition('/')[2]}.json", sha256=hashlib.sha256(data).hexdigest())
        tuned: dict[str, Tuning] = {}

        def make(row: _Row) -> Iterable[Item]:
            unit = reading.unit(target, row.channel, layer=layer_uid)
            if unit in tuned:
                raise RowError(f"{unit} stands twice")
            tuned[unit] = measure_tuning(_responses(row.responses))
            return ()

        yield from read_rows(reading, curves, make)
        _note(reading, tuned)
        if tuned:
            angles = {unit: _as_ours(each.preferred_angle_deg, sense, zero_deg) for unit, each in tuned.items()}
            order = sorted(angles, key=lambda unit: (angles[unit], UnitId.parse(unit)))
            record = FamilyRecord(
                family=f"{layer_uid}!{family_slug(family, set())}",
                name=family.strip(),
                description=_DESCRIPTION.format(sense=sense, zero=zero_deg),
                members=tuple(
                    Member(unit=unit, position=place, angle_deg=angles[unit]) for place, unit in enumerate(order)
                ),
                author=source.author,
                date=source.date,
                reference=source.reference,
            )
            yield record
            for member, claim in zip(record.members, record.claims(method=METHOD), strict=True):
                yield claim.model_copy(update={"evidence": (_evidence(tuned[member.unit], sense, file),)})

    return read


def annotate_tuning(
    catalogue: BaseCatalogue,
    path: str | Path,
    *,
    network: str | None = None,
    layer: str | None = None,
    bundle: Bundle | str | Path | None = None,
    family: str = FAMILY,
    sense: Sense = "clockwise",
    zero_deg: float = 0.0,
    first_channel: int = 0,
    author: str = AUTHOR,
    date: str = DATE,
    dry_run: bool = False,
    progress: Progress = SILENT,
) -> AnnotationReport:
    """Take tuning curves into a catalogue; see `read_tuning` and `annotate`."""
    read = read_tuning(
        path,
        network=network,
        layer=layer,
        bundle=bundle,
        family=family,
        sense=sense,
        zero_deg=zero_deg,
        first_channel=first_channel,
        author=author,
        date=date,
    )
    return annotate(catalogue, read, Path(path).name, dry_run=dry_run, progress=progress)


def read_curves(data: bytes) -> dict[int, NDArray[np.float64]]:
    """Return the curves of a file, by the channel that it names; what is no curve is left out.

    Raises
    ------
    AnnotationError
        It is no file of tuning curves.
    """
    _, rows = _curves(Path("tuning curves"), data)
    found = {}
    for row in rows:
        try:
            values = _responses(row.responses)
            measure_tuning(values)
        except RowError:
            continue
        if row.channel.isascii() and row.channel.isdigit():
            found[int(row.channel)] = values
    return found


@dataclass(frozen=True, slots=True)
class _Row:
    line: int
    channel: str
    responses: Any

    @property
    def text(self) -> str:
        return self.channel


def _curves(path: Path, data: bytes) -> tuple[str, list[_Row]]:
    """Return the layer that a file names, and its curves."""
    try:
        said = json.loads(data.decode("utf-8-sig"), object_pairs_hook=_once)
    except json.JSONDecodeError as error:
        raise AnnotationError(
            f"reading {path}, line {error.lineno}: it is not JSON ({error.msg}, column {error.colno}).",
            hint="The file may have been cut off; take it from where it came from again.",
        ) from error
    except (ValueError, RecursionError) as error:
        raise AnnotationError(f"reading {path}: it is not JSON ({str(error)[:100]}).", hint=_HINT) from error
    curves = said.get("activations") if isinstance(said, dict) else None
    if not isinstance(curves, dict) or not curves:
        raise AnnotationError(f"reading {path}: it holds no tuning curves.", hint=_HINT)
    layer = said.get("layer", "")
    if not isinstance(layer, str):
        raise AnnotationError(f"reading {path}: its layer is {str(layer)[:80]!r}, no name.", hint=_HINT)
    rows = [_Row(place, unit, responses) for place, (unit, responses) in enumerate(curves.items(), start=1)]
    listed = said.get("neurons", [])
    without = [unit for unit in listed if str(unit) not in curves] if isinstance(listed, list) else []
    return layer, rows + [_Row(len(rows) + place, str(unit), None) for place, unit in enumerate(without, start=1)]


def _responses(said: Any) -> NDArray[np.float64]:
    if said is None:
        raise RowError("it is listed, and has no curve")
    if not isinstance(said, list) or any(isinstance(each, bool) or not isinstance(each, (int, float)) for each in said):
        raise RowError("its curve is no list of numbers")
    try:
        return np.array(said, dtype=np.float64)
    except OverflowError as error:
        raise RowError("its curve holds a number beyond all bounds") from error


def _fall(values: NDArray[np.float64], half: float) -> float:
    """Return after how many steps, interpolated, the response falls to half; it begins above."""
    place = int(np.flatnonzero(values <= half)[0])
    before, after = float(values[place - 1]), float(values[place])
    return place - 1 + (before - half) / (before - after)


def _as_ours(angle: float, sense: Sense, zero_deg: float) -> float:
    return _whole_turn(zero_deg + (angle if sense == "counter-clockwise" else -angle))


def _whole_turn(angle: float) -> float:
    """Return an angle from 0 up to 360, rounded so that it is the same on every machine."""
    return round(angle % 360.0, _DECIMALS) % 360.0


def _evidence(tuning: Tuning, sense: Sense, file: FileReference) -> Evidence:
    figures: dict[str, float | int | str] = {
        "peak": tuning.peak,
        "peak_angle_deg": tuning.peak_angle_deg,
        "preferred_angle_deg": tuning.preferred_angle_deg,
        "lobe_count": tuning.lobe_count,
        "sample_count": tuning.sample_count,
        "sense": sense,
    }
    if tuning.width_deg is not None:
        figures["width_deg"] = tuning.width_deg
    return Evidence(
        code="joint_tuning",
        statement="Response to one stimulus turned through 360 degrees; angles in the source's own sense.",
        figures=figures,
        files=(file,),
        reference=REFERENCE,
    )


def _note(reading: Reading, tuned: dict[str, Tuning]) -> None:
    others = sorted({each.sample_count for each in tuned.values()} - {_SAMPLES})
    for count in others:
        units = sum(each.sample_count == count for each in tuned.values())
        reading.notes.append(f"{units:,} units have {count:,} samples, taken as steps of {360 / count:g} degrees.")
    broad = [unit for unit, each in tuned.items() if each.width_deg is None]
    if broad:
        reading.notes.append(f"{', '.join(broad[:5])}: the response falls to half of its peak nowhere; no width.")
    lobed = [unit for unit, each in tuned.items() if each.lobe_count > 1]
    if lobed:
        reading.notes.append(f"{', '.join(lobed[:5])}: several separate stretches exceed half of the peak.")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("it has a name twice")
    return found
