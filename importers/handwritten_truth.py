"""What there is to be found in the handwritten network: its families, and a list of every pattern in it.

Two kinds of truth are kept apart. What was planted (equivariances, the dog-head
ladder, the car and its superposition) is listed by role. Unions are **computed by
brute force** from the wished weights, because circuits that were planted for
another reason satisfy the formula too: two opposed curves inhibit each other's
sources and are united by the circle. The numbers come from plain loops over units
and share no code with the finders of `queries`.

References
----------
Olah et al., "Zoom In: An Introduction to Circuits", Distill 2020.
https://doi.org/10.23915/distill.00024.001
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Literal

from circuitgraph.ids import FamilyId, LayerId
from circuitgraph.records import Family, Member
from importers.handwritten_plan import LAYERS, NETWORK, Role, channels_of
from importers.handwritten_weights import wished_weights

__all__ = [
    "EdgeTruth",
    "EquivarianceTruth",
    "LadderTruth",
    "SuperpositionTruth",
    "Truth",
    "UnionTruth",
    "handwritten_families",
    "handwritten_truth",
    "unions_by_brute_force",
]

ZOOM_IN = "https://doi.org/10.23915/distill.00024.001"
CURVE_CIRCUITS = "https://doi.org/10.23915/distill.00024.006"
_CURVE_SLUGS = {"early-curves", "curves", "circles", "lines", "edges"}
_GROUPS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "mixed4b": {
        "vehicle-parts": ("windows", "car-body", "wheels", "other-vehicle-parts"),
        "dog-parts": ("head", "dog-parts"),
    },
    "mixed4c": {"vehicles": ("car", "other-vehicles")},
}
_ROT90: tuple[tuple[str, str, str, str], ...] = (
    ("conv2d0", "edges", "conv2d1", "lines"),
    ("conv2d1", "lines", "conv2d2", "lines"),
    ("conv2d2", "lines", "mixed3a", "early-curves"),
    ("conv2d2", "lines", "mixed3a", "straight"),
    ("mixed3a", "early-curves", "mixed3b", "curves"),
    ("mixed3a", "straight", "mixed3b", "corners"),
    ("mixed3b", "curves", "mixed4a", "circles"),
    ("mixed3b", "corners", "mixed4a", "panes"),
)
_LADDER = (("conv2d2", "strands"), ("mixed3a", "fur"), ("mixed3b", "side"), ("mixed4a", "head"))


Transformation = Literal["rot90", "rot180", "rot270", "flip"]
_TURNS: tuple[tuple[int, Transformation], ...] = ((90, "rot90"), (180, "rot180"), (270, "rot270"))


@dataclass(frozen=True, slots=True)
class EquivarianceTruth:
    """T(W[b, a]) equals W[down_permutation[b], up_permutation[a]] for all places a, b of the two lists of units.

    `transformation` turns or mirrors each kernel: "rot90" is ``np.rot90(k=1)``, counter-clockwise
    as displayed, "flip" a left-right mirror. Cycles are tuples of uids.
    """

    up_units: tuple[str, ...]
    down_units: tuple[str, ...]
    transformation: Transformation
    up_permutation: tuple[int, ...]
    down_permutation: tuple[int, ...]

    @property
    def up_cycles(self) -> tuple[tuple[str, ...], ...]:
        """The cycles of the upstream permutation."""
        return _cycles(self.up_units, self.up_permutation)

    @property
    def down_cycles(self) -> tuple[tuple[str, ...], ...]:
        """The cycles of the downstream permutation."""
        return _cycles(self.down_units, self.down_permutation)


@dataclass(frozen=True, slots=True)
class UnionTruth:
    """Two cases united: aL excites bL and inhibits bR, aR the reverse, and both b excite u.

    `score` is the least of the six |kernel sums| of the wished weights. aL and aR are
    the best of their layer for this pair; others may satisfy the formula as well.
    """

    aL: str  # noqa: N815
    aR: str  # noqa: N815
    bL: str  # noqa: N815
    bR: str  # noqa: N815
    u: str
    score: float


@dataclass(frozen=True, slots=True)
class LadderTruth:
    """Two mirrored pathways, (left, right) layer by layer, that inhibit each other at each step; `u` unites them."""

    rungs: tuple[tuple[str, str], ...]
    u: str


@dataclass(frozen=True, slots=True)
class SuperpositionTruth:
    """A pure unit that is spread over clients which detect something else."""

    unit: str
    causes: tuple[str, ...]
    clients: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class EdgeTruth:
    """One edge that must be found over the strong edges; `top` and `bottom` are 1, -1, or 0 for weak or none."""

    up: str
    down: str
    kind: Literal["EXCITES", "INHIBITS", "MIXES"]
    top: int = 0
    bottom: int = 0


@dataclass(frozen=True, slots=True)
class Truth:
    """Everything that is in the handwritten network.

    `roles` names the units: ``roles["mixed4c!car"]`` is a tuple of uids in the role's order.
    """

    roles: Mapping[str, tuple[str, ...]]
    equivariances: tuple[EquivarianceTruth, ...]
    unions: tuple[UnionTruth, ...]
    ladder: LadderTruth
    superposition: SuperpositionTruth
    car: tuple[EdgeTruth, ...]
    mutual_inhibition: tuple[EdgeTruth, ...]
    opposed_curves: tuple[EdgeTruth, ...]
    circle: tuple[EdgeTruth, ...]

    def unit(self, role: str) -> str:
        """Return the uid of a role that has one unit, as ``mixed4c!car``."""
        (only,) = self.roles[role]
        return only


def handwritten_families(*, grouped: bool = False) -> list[Family]:
    """Return the known families and single roles, disjoint, each as a family of its layer.

    Parameters
    ----------
    grouped
        Join windows, body, wheels and the other vehicle parts into one family, the car with the
        other vehicles, and the heads with the dog parts: what a null that permutes inside families
        needs, since there is nothing to permute in a family of one.
    """
    families = []
    for plan in LAYERS:
        left = {role.slug: role for role in plan.roles}
        groups = _GROUPS.get(plan.name, {}) if grouped else {}
        for slug, slugs in groups.items():
            units = tuple(uid for each in slugs for uid in _units(plan.name, each))
            texts = "; ".join(left.pop(each).description for each in slugs)
            families.append(_family(plan.name, slug, slug.replace("-", " "), units, None, texts))
        for role in left.values():
            families.append(
                _family(plan.name, role.slug, role.name, _units(plan.name, role.slug), role.angles, role.description)
            )
    return families


@cache
def handwritten_truth() -> Truth:
    """Return the list of every pattern in the handwritten network; computed once, about 0.1 s."""
    unit = {f"{plan.name}!{role.slug}": _units(plan.name, role.slug) for plan in LAYERS for role in plan.roles}
    (car,) = unit["mixed4c!car"]
    (windows,), (body,), (wheels,) = (unit[f"mixed4b!{slug}"] for slug in ("windows", "car-body", "wheels"))
    rungs = tuple((unit[f"{layer}!{slug}-left"][0], unit[f"{layer}!{slug}-right"][0]) for layer, slug in _LADDER)
    inhibition = tuple(
        EdgeTruth(upper[side], lower[1 - side], "INHIBITS") for upper, lower in pairwise(rungs) for side in (0, 1)
    )
    (circle,), (head,) = unit["mixed4a!circles"], unit["mixed4b!head"]
    early, curves = unit["mixed3a!early-curves"], unit["mixed3b!curves"]
    return Truth(
        roles=unit,
        equivariances=tuple(_equivariances()),
        unions=tuple(
            union
            for up, middle, down in zip(LAYERS, LAYERS[1:], LAYERS[2:], strict=False)
            for union in unions_by_brute_force(up.name, middle.name, down.name)
        ),
        ladder=LadderTruth(rungs, head),
        superposition=SuperpositionTruth(car, (windows, body, wheels), unit["mixed4d!dogs"]),
        car=(
            EdgeTruth(windows, car, "MIXES", top=1, bottom=-1),
            EdgeTruth(wheels, car, "MIXES", top=-1, bottom=1),
            EdgeTruth(body, car, "EXCITES", bottom=1),
        ),
        mutual_inhibition=inhibition,
        opposed_curves=tuple(EdgeTruth(early[(at + 12) % 24], curves[at], "INHIBITS") for at in range(24)),
        circle=tuple(EdgeTruth(curve, circle, "EXCITES") for curve in curves),
    )


def unions_by_brute_force(up: str, middle: str, down: str, *, threshold: float = 0.06) -> list[UnionTruth]:
    """List every pair of middle units, and every unit that unites them, that satisfies the union formula.

    Plain loops over the wished weights of three layers in a row. All six kernel sums must reach
    `threshold`: 0.06 is three times the rms of the background's kernel sums, so what is weaker is
    not in the network in any sense that can be found.

    Returns
    -------
    One quintuple for each (bL, bR, u), with the best aL and aR. Left and right are a convention,
    the formula is the same with both swapped: bL stands before bR in the order of the roles.
    """
    first, second = _sums(middle), _sums(down)
    in_order = [channel for channels in channels_of(middle).values() for channel in channels]
    found = []
    for place, left in enumerate(in_order):
        for right in in_order[place + 1 :]:
            best = [(0.0, -1), (0.0, -1)]
            for a in range(len(first[left])):
                best[0] = max(best[0], (min(first[left][a], -first[right][a]), a))
                best[1] = max(best[1], (min(first[right][a], -first[left][a]), a))
            if min(best)[0] < threshold:
                continue
            for u, row in enumerate(second):
                score = min(best[0][0], best[1][0], row[left], row[right])
                if score >= threshold:
                    sources = (_uid(up, best[0][1]), _uid(up, best[1][1]))
                    found.append(UnionTruth(*sources, _uid(middle, left), _uid(middle, right), _uid(down, u), score))
    return found


def _sums(layer: str) -> list[list[float]]:
    sums: list[list[float]] = wished_weights(layer).astype(float).sum(axis=(2, 3)).tolist()
    return sums


def _equivariances() -> list[EquivarianceTruth]:
    found = []
    for up, up_slug, down, down_slug in _ROT90:
        a, b = _role(up, up_slug), _role(down, down_slug)
        units = (_units(up, up_slug), _units(down, down_slug))
        for turn, name in _TURNS:
            found.append(EquivarianceTruth(*units, name, _moved(a, 1, turn), _moved(b, 1, turn)))
        found.append(EquivarianceTruth(*units, "flip", _moved(a, -1, 180), _moved(b, -1, 180)))
    for (up, up_slug), (down, down_slug) in pairwise(_LADDER):
        found.append(EquivarianceTruth(_sides(up, up_slug), _sides(down, down_slug), "flip", (1, 0), (1, 0)))
    found.append(EquivarianceTruth(_sides("mixed4a", "head"), _units("mixed4b", "head"), "flip", (1, 0), (0,)))
    return found


def _moved(role: Role, sign: int, turn: int) -> tuple[int, ...]:
    """Return the place to which each angle goes when it becomes ``sign * angle + turn``."""
    angles = role.angles
    if angles is None:
        return tuple(range(role.unit_count))
    period = role.step_deg * role.unit_count
    return tuple((sign * angle + turn - role.first_deg) % period // role.step_deg for angle in angles)


def _cycles(units: tuple[str, ...], permutation: tuple[int, ...]) -> tuple[tuple[str, ...], ...]:
    cycles, seen = [], set[int]()
    for start in range(len(units)):
        cycle, place = [], start
        while place not in seen:
            seen.add(place)
            cycle.append(units[place])
            place = permutation[place]
        if cycle:
            cycles.append(tuple(cycle))
    return tuple(cycles)


def _role(layer: str, slug: str) -> Role:
    return next(role for plan in LAYERS if plan.name == layer for role in plan.roles if role.slug == slug)


def _units(layer: str, slug: str) -> tuple[str, ...]:
    return tuple(_uid(layer, channel) for channel in channels_of(layer)[slug])


def _sides(layer: str, slug: str) -> tuple[str, ...]:
    return _units(layer, f"{slug}-left") + _units(layer, f"{slug}-right")


def _uid(layer: str, channel: int) -> str:
    return str(LayerId(NETWORK, layer).unit(channel))


def _family(
    layer: str, slug: str, name: str, units: tuple[str, ...], angles: tuple[int, ...] | None, text: str
) -> Family:
    members = tuple(
        Member(unit=uid, position=place, angle_deg=None if angles is None else float(angles[place]))
        for place, uid in enumerate(units)
    )
    reference = CURVE_CIRCUITS if slug in _CURVE_SLUGS else ZOOM_IN
    return Family(
        uid=str(FamilyId(NETWORK, layer, slug)), name=name, members=members, description=text, reference=reference
    )
