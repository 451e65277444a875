"""Families of one layer, found with nothing given but its weights.

A unit's **copy** under a transformation is the unit of its layer that reads the turned or mirrored image of what it
reads (`queries.copies`). Many copies alone are no families: an isotropic population of oriented units has
them at every angle, and few of those close. A **closed family** is a cycle in which each unit is the best copy of
the one before, and all copies are significant: four units for quarter turns (two where a feature looks the same
upside down, as lines do), pairs for half turns and for mirrors.

**Score**: the least cosine of the cycle's copies on the informative part of the kernels, -1 to 1; planted families
reach about 1 / (1 + noise^2). **p** is the largest of the cycle's copies against Gaussian layers of the same
covariance, **q** over all units and transformations of the search (a pair counts once among the finds, and both its
units among the tests: a single pair needs more draws than the default to be found).

How the upstream units move is known for the channels of an image (they do not). For deeper layers it is lifted from
the families found upstream: only upstream units that lie in a found family are read.

Complexity: O(transformations draws n^2 m k^2).

Source: the equivariant families of "Naturally Occurring Equivariance in Neural Networks", Distill 2020.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from circuitgraph.bundle import Bundle
from circuitgraph.errors import MotifError, UnknownPairError
from circuitgraph.progress import SILENT, Progress, Task
from circuitgraph.records import Family
from circuitgraph.turns import TURNS, compose_turns, norm_shares, turns_of
from queries.base import Match, MotifResult, NullModel, Unit, Verdict
from queries.copies import Copies, IsotropicControl, Part, closed_cycles, find_copies, measure_isotropy
from queries.members import family_record
from queries.null_scores import Chance, NullScores
from queries.significance import check_draws, q_values
from queries.weights import Weights, read_weights

__all__ = ["NULLS", "FamilyMatch", "find_families"]

_SURROGATE = NullModel(
    "gaussian_layer", "the layer's covariance averaged over the turns, each kernel's norm", "which unit is whose copy"
)
NULLS = (_SURROGATE,)
"""What a result may be compared with."""
# rot270 says what rot90 says; a family of quarter turns says what its half turns say
_SEARCHED = ("rot90", "rot180", "flip", "flip.rot90", "flip.rot180", "flip.rot270")
_ACT = "finding families"
_SMALL = 16
_IMAGE_CHANNELS = 4
_ISOTROPIC = (
    "isotropic population, no families: units have copies at angles that mean nothing as often as at 90 degrees"
)


@dataclass(frozen=True, kw_only=True)
class FamilyMatch(Match):
    """Units of one layer that are turned or mirrored copies of each other.

    Attributes
    ----------
    transformation
        Takes each member to the next, and the last to the first.
    members
        In the order of the transformation.
    angle_deg
        Angle of each member relative to the first, degrees counter-clockwise; empty for mirror pairs.
    cosines
        Of each member, turned, with the next.
    """

    transformation: str
    members: tuple[Unit, ...]
    angle_deg: tuple[float, ...] = ()
    cosines: tuple[float, ...] = ()

    def bindings(self) -> list[tuple[str, int, Unit]]:
        """Return the members with their places in the family."""
        return [("member", place, unit) for place, unit in enumerate(self.members)]

    def to_family(self, name: str = "", *, description: str = "") -> Family:
        """Return the match as a `Family` of the catalogue; without a name it is called after its first member.

        Raises
        ------
        MotifError
            An array was searched, whose units have no uids.
        """
        short = name or f"{self.transformation} of {str(self.members[0]).rpartition(':')[2]}"
        said = description or f"found by find_families: {self.transformation}, score {self.score:.3f}, q {self.q:.3g}"
        return family_record(self.members, name=short, angles_deg=self.angle_deg or None, description=said)

    def _identity(self) -> dict[str, Any]:
        return {"motif": self.motif, "transformation": self.transformation, "members": list(self.members)}


def find_families(
    source: Any,
    layer: str | None = None,
    *,
    up: str | None = None,
    units: Sequence[Unit] | None = None,
    transformations: Sequence[str] = _SEARCHED,
    up_permutations: Mapping[str, Sequence[int]] | None = None,
    q: float = 0.05,
    draws: int = 80,
    seed: int = 0,
    progress: Progress = SILENT,
) -> MotifResult[FamilyMatch]:
    """Find closed families of one layer.

    Parameters
    ----------
    source, layer
        A `Bundle` and one of its layers, or an array (down, up, row, col).
    up
        Read only this upstream layer; all of them by default.
    units
        Search only among these units of the layer.
    transformations
        Names of `circuitgraph.turns.TURNS`; those that the window does not admit are left out, and it is said.
    up_permutations
        Transformation to the place that each upstream unit goes to when the image is transformed; for a single
        upstream layer. Without it the channels of an image stay where they are, as do up to four upstream units
        of an array; deeper layers of a bundle are read through the families found upstream.

    Returns
    -------
    All closed cycles at `q`, best score first. Their verdict is "undetermined" where the population is isotropic.

    Raises
    ------
    MotifError
        The transformations, permutations or draws do not fit; and whatever `read_weights` raises.
    """
    check_draws(draws, q, act=_ACT)
    names = _checked(transformations, _ACT)
    asked = _Asked(names, q, draws, seed, progress)
    return _find(source, layer, up, units, up_permutations, asked, {})


@dataclass(frozen=True)
class _Asked:
    """What is the same for the layer that was asked for and for all upstream of it."""

    names: Sequence[str]
    q: float
    draws: int
    seed: int
    progress: Progress


def _find(
    source: Any,
    layer: str | None,
    up: str | None,
    units: Sequence[Unit] | None,
    up_permutations: Mapping[str, Sequence[int]] | None,
    asked: _Asked,
    known: dict[str, MotifResult[FamilyMatch]],
) -> MotifResult[FamilyMatch]:
    """Search one layer; `known` has the upstream layers that were searched on the way, by uid."""
    started = time.perf_counter()
    act, names, q, draws, seed = _ACT, asked.names, asked.q, asked.draws, asked.seed
    notes: list[str] = []
    if isinstance(source, Bundle):
        read, parts = _read_bundle(source, layer, up, units, up_permutations, asked, known, notes)
    else:
        read, parts = _read_array(source, units, up_permutations, notes, act)
    down_units = read[0].down_units if read else ()
    usable = [name for name in names if parts and all(name in part.up_permutations for part in parts)]
    left_out = [name for name in names if name not in usable]
    if parts and left_out:
        notes.append(f"not tested, how the upstream units or the window turn is not known: {', '.join(left_out)}")
    tested_count = len(down_units) * len(usable)
    control: IsotropicControl | None = None
    copies: dict[str, Copies] = {}
    if usable:
        with asked.progress.task(act, total=draws, unit="draw") as task:
            copies = find_copies(parts, usable, draws=draws, seed=seed, after_draw=_advancing(task))
        control = _control(parts, copies, q, draws, seed)
        notes += _said(parts, control, copies, len(down_units), q)
    matches = _matches(copies, down_units, parts, control, q)
    return MotifResult(
        motif="families",
        matches=tuple(sorted(matches, key=lambda match: (-match.score, match.id))),
        tested_count=tested_count,
        tested="units x transformations",
        nulls=(_SURROGATE,),
        draws=draws,
        seed=seed,
        level=q,
        source=" and ".join(each.name for each in read) or f"{layer}",
        notes=tuple(notes),
        seconds=time.perf_counter() - started,
        network=read[0].network if read else "",
        weights_sha256=read[0].weights_sha256 if read else "",
        explain_not=_explainer(copies, read, q),
    )


def _checked(transformations: Sequence[str], act: str) -> list[str]:
    names = list(dict.fromkeys(transformations))
    wrong = [name for name in names if name not in TURNS or name == "identity"]
    if wrong or not names:
        raise MotifError(
            f"{act}: {wrong[0]!r} is no transformation." if wrong else f"{act}: no transformation is given.",
            hint=f"There are: {', '.join(name for name in TURNS if name != 'identity')}.",
        )
    return names


def _read_array(
    source: Any,
    units: Sequence[Unit] | None,
    up_permutations: Mapping[str, Sequence[int]] | None,
    notes: list[str],
    act: str,
) -> tuple[list[Weights], list[Part]]:
    weights = read_weights(source, down_units=units, act=act)
    up_count = weights.kernels.shape[1]
    if up_permutations is not None:
        return [weights], [_part(weights, _permutations(up_permutations, up_count, act))]
    if up_count <= _IMAGE_CHANNELS:
        return [weights], [_part(weights, _stay(up_count))]
    notes.append(
        f"cannot tell: how the {up_count} upstream units move is not known; give up_permutations, "
        "or a Bundle, whose upstream layers are searched first"
    )
    return [weights], []


def _read_bundle(
    bundle: Bundle,
    layer: str | None,
    up: str | None,
    units: Sequence[Unit] | None,
    up_permutations: Mapping[str, Sequence[int]] | None,
    asked: _Asked,
    known: dict[str, MotifResult[FamilyMatch]],
    notes: list[str],
) -> tuple[list[Weights], list[Part]]:
    act = _ACT
    if layer is None:
        raise MotifError(
            f"{act}: no layer of {bundle.network} is named.",
            hint=f"Give one of: {', '.join(each.name for each in bundle.layers[1:5])}, ...",
        )
    uid = bundle.layer(layer).uid
    above = [above for above, below in bundle.pairs if below == uid]
    if up is not None:
        wanted = bundle.layer(up).uid
        if wanted not in above:
            raise UnknownPairError(
                f"{act}: no weights lead from {wanted} to {uid}.", hint=f"Upstream of it are: {', '.join(above)}."
            )
        above = [wanted]
    if not above:
        raise MotifError(f"{act}: nothing lies upstream of {uid}.", hint="Name a layer that reads another.")
    if up_permutations is not None and len(above) > 1:
        raise MotifError(
            f"{act}: up_permutations are for one upstream layer, {uid} has {len(above)}.", hint="Give up=."
        )
    read, parts = [], []
    for each in above:
        weights = read_weights(bundle, each, uid, down_units=units, act=act)
        up_count = weights.kernels.shape[1]
        if up_permutations is not None:
            permutations = _permutations(up_permutations, up_count, act)
        elif bundle.layer(each).kind == "input":
            permutations = _stay(up_count)
        else:
            if each not in known:
                known[each] = _find(bundle, each, None, None, None, asked, known)
            read.append(weights)
            parts += _lifted(weights, known[each], notes)
            continue
        read.append(weights)
        parts.append(_part(weights, permutations))
    return read, parts


def _lifted(weights: Weights, upstream: MotifResult[FamilyMatch], notes: list[str]) -> list[Part]:
    """Return the kernels from upstream units whose families say how they move, one part where there are any."""
    families = [match for match in upstream.found if match.transformation == "rot90"]
    if not families:
        notes.append(
            f"cannot tell: {weights.up_layer} has no family of quarter turns, so how its units move is not known"
        )
        return []
    rings = [[weights.up_place(unit) for unit in match.members] for match in families]
    # each unit once: a unit that two cycles share moves with the better of them
    taken: set[int] = set()
    apart = []
    for ring in rings:
        if taken.isdisjoint(ring):
            apart.append(ring)
            taken.update(ring)
    rings = apart
    places = [place for ring in rings for place in ring]
    permutations = {"identity": np.arange(len(places))}
    for name, (is_mirrored, quarters) in TURNS.items():
        if not is_mirrored:
            moved = [
                places.index(place) for ring in rings for place in [*ring * 2][quarters % len(ring) :][: len(ring)]
            ]
            permutations[name] = np.array(moved)
    notes.append(
        f"read through {len(rings)} families of {weights.up_layer}, {len(places)} of {len(weights.up_units)} units"
    )
    cut = Weights(
        kernels=np.ascontiguousarray(weights.kernels[:, places]),
        up_units=tuple(weights.up_units[place] for place in places),
        down_units=weights.down_units,
    )
    return [_part(cut, permutations)]


def _part(weights: Weights, permutations: Mapping[str, NDArray[np.intp]]) -> Part:
    rows, cols = weights.kernels.shape[2:]
    known = {name: places for name, places in permutations.items() if name in turns_of((rows, cols))}
    return Part(np.asarray(weights.kernels, dtype=np.float64), known)


def _stay(up_count: int) -> dict[str, NDArray[np.intp]]:
    return {name: np.arange(up_count) for name in TURNS}


def _permutations(given: Mapping[str, Sequence[int]], up_count: int, act: str) -> dict[str, NDArray[np.intp]]:
    permutations = {"identity": np.arange(up_count)}
    for name, places in given.items():
        asked = np.asarray(places)
        if name not in TURNS or asked.shape != (up_count,) or sorted(asked.tolist()) != list(range(up_count)):
            raise MotifError(
                f"{act}: up_permutations[{name!r}] has {asked.size} places, "
                f"each of the {up_count} upstream units once is wanted.",
                hint="Entry a is the place that upstream unit a goes to, from 0; the name is one of a turn.",
            )
        permutations[name] = asked.astype(np.intp)
    # what follows from two known moves is known: the null is averaged over all of them
    steps = list(permutations)
    for _ in range(2):
        for first, second in product(list(permutations), steps):
            permutations.setdefault(compose_turns(first, second), permutations[second][permutations[first]])
    return permutations


def _advancing(task: Task) -> Iterator[None]:
    while True:
        task.advance()
        yield


def _control(
    parts: Sequence[Part], copies: Mapping[str, Copies], level: float, draws: int, seed: int
) -> IsotropicControl | None:
    """Return the isotropic control where there are copies to doubt and angles at which it can be asked."""
    has_copies = any(bool((each.q <= level).any()) for each in copies.values())
    stays = all(
        np.array_equal(places, np.arange(len(places))) for part in parts for places in part.up_permutations.values()
    )
    is_square = all(part.kernels.shape[2] == part.kernels.shape[3] >= 3 for part in parts)
    if not (has_copies and stays and is_square):
        return None
    quarter = copies.get("rot90", copies.get("rot270"))
    closed_share = 0.0
    if quarter is not None:
        closed = {unit for length in (4, 2) for cycle in closed_cycles(quarter, length, level) for unit in cycle}
        closed_share = len(closed) / max(1, int(np.count_nonzero(quarter.q <= level)))
    kernels = [part.kernels for part in parts]
    return measure_isotropy(kernels, closed_share=closed_share, level=level, draws=draws, seed=seed)


def _said(
    parts: Sequence[Part], control: IsotropicControl | None, copies: Mapping[str, Copies], unit_count: int, level: float
) -> list[str]:
    counts = {name: int(np.count_nonzero(each.q <= level)) for name, each in copies.items()}
    said = ["units with a significant copy: " + ", ".join(f"{name} {count}" for name, count in counts.items())]
    if all(norm_shares(part.kernels)["d4"] > 1 - 1e-9 for part in parts):
        said.append("undetermined: the kernels look the same under every transformation")
    elif unit_count <= _SMALL:
        said.append(f"cannot tell: {unit_count} units are too few for a search that nothing is given to")
    if control is not None:
        angles = ", ".join(f"{angle:g} degrees {count}" for angle, count in control.copy_counts.items())
        said.append(
            f"copies at angles interpolated alike: {angles}; "
            f"{control.best_at_90_share:.2f} of these units fit best at 90 (a third by chance); "
            f"{control.closed_share:.2f} of the quarter-turn copies close"
        )
        if control.is_isotropic:
            said.append(_ISOTROPIC)
    return said


def _matches(
    copies: Mapping[str, Copies],
    units: Sequence[Unit],
    parts: Sequence[Part],
    control: IsotropicControl | None,
    level: float,
) -> list[FamilyMatch]:
    is_isotropic = control is not None and control.is_isotropic
    chosen: list[tuple[str, tuple[int, ...], float]] = []
    implied: set[frozenset[int]] = set()
    for name, each in copies.items():
        for cycle in closed_cycles(each, 4, level) if _is_quarter(name) else []:
            # rot90 and rot270 find the same families, and both tell of their half turns
            if frozenset(cycle) not in implied:
                chosen.append((name, cycle, float(each.q[list(cycle)].max())))
                implied |= {frozenset(cycle), frozenset(cycle[::2]), frozenset(cycle[1::2])}
    pairs = []
    for name, each in copies.items():
        for cycle in closed_cycles(each, 2, level):
            if TURNS[name][0] or frozenset(cycle) not in implied:
                pairs.append((name, cycle))
                implied |= {frozenset(cycle)} if _is_quarter(name) else set()
    # the two units of a pair have one cosine, so a chance pair is two small p values: each pair counts once as a find,
    # but both of its units as tested
    p = np.array([copies[name].p[list(cycle)].max() for name, cycle in pairs])
    q = q_values(p, max(len(pairs), len(units) * len(copies)))
    for (name, cycle), own in zip(pairs, q, strict=True):
        if own <= level:
            chosen.append((name, cycle, max(float(own), float(copies[name].q[list(cycle)].max()))))
    return [
        _match(name, cycle, own, copies[name], units, parts, is_isotropic=is_isotropic) for name, cycle, own in chosen
    ]


def _is_quarter(name: str) -> bool:
    is_mirrored, quarters = TURNS[name]
    return not is_mirrored and quarters % 2 == 1


def _match(
    name: str,
    cycle: tuple[int, ...],
    q: float,
    copies: Copies,
    units: Sequence[Unit],
    parts: Sequence[Part],
    *,
    is_isotropic: bool,
) -> FamilyMatch:
    is_mirrored, quarters = TURNS[name]
    verdict: Verdict = "undetermined" if is_isotropic else "found"
    places = list(cycle)
    members = tuple(units[place] for place in cycle)
    cosines = tuple(float(copies.cosine[place]) for place in cycle)
    return FamilyMatch(
        motif="families",
        units={f"member_{place}": unit for place, unit in enumerate(members)},
        transformation=name,
        members=members,
        angle_deg=() if is_mirrored else tuple(90.0 * quarters * at % 360 for at in range(len(cycle))),
        cosines=cosines,
        score=min(cosines),
        effect=min(cosines) - copies.null_median,
        p=float(copies.p[places].max()),
        q=q,
        null=_SURROGATE.name,
        verdict=verdict,
        shares=_shares([part.kernels[places] for part in parts]),
        notes=(_ISOTROPIC,) if is_isotropic else (),
        chance=_chance(name, places, copies),
    )


def _chance(name: str, places: Sequence[int], copies: Copies) -> Chance:
    """Return the chance of the member that stands out least, which gives the match its p."""
    worst = max(places, key=lambda place: float(copies.p[place]))
    scores = NullScores.of(copies.null_cosines, null=_SURROGATE.name, statistic=f"best cosine under {name}")
    return Chance.counted(scores, float(copies.cosine[worst]), copies.null_cosines)


def _shares(kernels: Sequence[NDArray[np.float64]]) -> dict[str, float]:
    """Return the shares over several upstream layers together."""
    norms = np.array([np.square(each).sum() for each in kernels])
    shares = [norm_shares(each) for each in kernels]
    weight = norms / max(float(norms.sum()), np.finfo(np.float64).tiny)
    return {name: float(sum(w * share[name] for w, share in zip(weight, shares, strict=True))) for name in ("dc", "d4")}


def _explainer(copies: Mapping[str, Copies], read: Sequence[Weights], level: float) -> Callable[..., str]:
    def why_not(*units: Unit) -> str:
        if not copies:
            return "nothing was tested: " + (
                "the upstream units' moves are not known." if read else "there is no layer."
            )
        if not units:
            raise MotifError("families: no units are given.", hint="Name one unit or more: why_not(3, 7).")
        places = [read[0].down_place(unit) for unit in units]
        lines = []
        for name, each in copies.items():
            for place, after in zip(places, [*places[1:], places[0]], strict=True):
                own, best = read[0].down_units[place], read[0].down_units[int(each.partner[place])]
                said = (
                    f"{name} of {own}: its best copy is {best}, cosine {each.cosine[place]:.3f}, q {each.q[place]:.3g}"
                    f" (q <= {level:g} is wanted)"
                )
                if after not in (place, int(each.partner[place])):
                    said += f"; with {read[0].down_units[after]} the cosine is {each.all_cosines[place, after]:.3f}"
                lines.append(said)
        return "\n".join(lines)

    return why_not
