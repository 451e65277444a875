"""The layers of the handwritten network, and which channels detect what.

Angles are degrees, counter-clockwise as displayed, 0 pointing right. An edge's
angle points from dark to bright, a line's runs along it, and a curve's points
from the centre of its circle to the middle of its arc: the way it bulges.

References
----------
Olah et al., "Zoom In: An Introduction to Circuits", Distill 2020.
https://doi.org/10.23915/distill.00024.001
Cammarata et al., "Curve Circuits", Distill 2021. https://doi.org/10.23915/distill.00024.006
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

__all__ = ["CURVE_RADIUS", "INPUT_SIZE", "LAYERS", "NETWORK", "LayerPlan", "Role", "channels_of"]

NETWORK = "handwritten"
INPUT_SIZE = 97
"""Rows and columns of the input: 97, 49, 25, 13 keep a central cell through every pool."""
CURVE_RADIUS = 12.0
"""Radius in input pixels of the curves and circles that the network detects."""


@dataclass(frozen=True, slots=True)
class Role:
    """Units of one layer that detect variations of one thing, `step_deg` apart (0: no angles)."""

    slug: str
    name: str
    unit_count: int
    description: str
    step_deg: int = 0
    first_deg: int = 0

    @property
    def angles(self) -> tuple[int, ...] | None:
        """The units' angles in degrees, None where they have none."""
        if not self.step_deg:
            return None
        return tuple(self.first_deg + self.step_deg * place for place in range(self.unit_count))


@dataclass(frozen=True, slots=True)
class LayerPlan:
    """One layer: width, kernel size, width of its 1x1 bottleneck (None: no bottleneck), a max pool before it."""

    name: str
    unit_count: int
    kernel: int
    bottleneck: int | None
    is_pooled: bool
    first_channel: int
    roles: tuple[Role, ...]


LAYERS: tuple[LayerPlan, ...] = (
    LayerPlan(
        "conv2d0",
        64,
        7,
        None,
        False,
        5,
        (
            Role("edges", "edges", 24, "Gabor-like edges in luminance; the angle points from dark to bright", 15),
            Role("spots", "dark spots", 1, "a dark spot in a bright surround"),
        ),
    ),
    LayerPlan(
        "conv2d1",
        64,
        5,
        None,
        True,
        11,
        (
            Role("lines", "lines", 12, "lines of either contrast, from the edges on their two sides", 15),
            Role("spots", "dark spots", 1, "a dark spot"),
        ),
    ),
    LayerPlan(
        "conv2d2",
        64,
        5,
        40,
        False,
        17,
        (
            Role("lines", "long lines", 12, "lines, from lines that continue them", 15),
            Role("strands-left", "strands of hair, left", 1, "many parallel lines that fall to the left"),
            Role("strands-right", "strands of hair, right", 1, "the mirror image of strands-left"),
            Role("spots", "dark spots", 1, "a dark spot"),
        ),
    ),
    LayerPlan(
        "mixed3a",
        96,
        5,
        48,
        True,
        23,
        (
            Role("early-curves", "early curves", 24, "short arcs, from lines that turn with them", 15),
            Role("straight", "straight lines", 2, "horizontal and vertical lines", 90),
            Role("fur-left", "fur, left", 1, "fur of a left-facing head; inhibited by strands to the right"),
            Role("fur-right", "fur, right", 1, "the mirror image of fur-left"),
            Role("eyes", "eyes", 1, "a dark spot"),
            Role("snouts", "snouts", 1, "a dark spot over a horizontal line"),
        ),
    ),
    LayerPlan(
        "mixed3b",
        128,
        5,
        64,
        False,
        29,
        (
            Role(
                "curves", "curves", 24, "arcs, excited by early curves along the tangent, inhibited by opposed ones", 15
            ),
            Role("corners", "corners", 4, "two straight lines that meet; the angle points to the tip", 90, 45),
            Role("side-left", "side of a head, left", 1, "fur, eye and snout of a left-facing head"),
            Role("side-right", "side of a head, right", 1, "the mirror image of side-left"),
        ),
    ),
    LayerPlan(
        "mixed4a",
        96,
        5,
        64,
        True,
        31,
        (
            Role("circles", "circles", 1, "curves of all orientations, arranged on a ring"),
            Role("panes", "panes", 1, "four corners around a rectangle"),
            Role("plates", "plates", 1, "two corners at the ends of a long upper edge"),
            Role("head-left", "dog head, left", 1, "a dog's head that faces left; inhibited by the right side"),
            Role("head-right", "dog head, right", 1, "the mirror image of head-left"),
        ),
    ),
    LayerPlan(
        "mixed4b",
        96,
        5,
        48,
        False,
        37,
        (
            Role("windows", "windows", 1, "windows of a car"),
            Role("car-body", "car body", 1, "the body of a car"),
            Role("wheels", "wheels", 1, "wheels of a car"),
            Role("other-vehicle-parts", "other vehicle parts", 5, "parts of other vehicles"),
            Role("head", "dog head, any pose", 1, "the union over left and right heads: the pose-invariant dog head"),
            Role("dog-parts", "dog parts", 5, "parts of dogs that face one way"),
        ),
    ),
    LayerPlan(
        "mixed4c",
        96,
        5,
        48,
        False,
        41,
        (
            Role("car", "car", 1, "windows above, body and wheels below: a pure car unit"),
            Role("other-vehicles", "other vehicles", 7, "vehicles made of the other parts"),
            Role("dogs", "dogs", 12, "dogs, from the pose-invariant head and one part"),
        ),
    ),
    LayerPlan(
        "mixed4d",
        96,
        5,
        48,
        False,
        43,
        (
            Role("dogs", "dogs", 12, "dogs, into each of which the car of mixed4c is spread as well"),
            Role("vehicles", "vehicles", 12, "vehicles, without the car of mixed4c"),
        ),
    ),
    LayerPlan(
        "mixed4e",
        64,
        5,
        48,
        False,
        55,
        (Role("polysemantic", "dogs and vehicles", 1, "a polysemantic unit: two dogs and two vehicles"),),
    ),
)

_SCATTER = 37


@cache
def channels_of(layer: str) -> Mapping[str, tuple[int, ...]]:
    """Return the channels of each role of a layer, in the role's order.

    Roles are scattered over the layer's channels, since a finder must not profit
    from units that lie side by side; 37 has no factor in common with any width.
    """
    plan = next(plan for plan in LAYERS if plan.name == layer)
    found: dict[str, tuple[int, ...]] = {}
    place = 0
    for role in plan.roles:
        found[role.slug] = tuple(
            (plan.first_channel + _SCATTER * (place + step)) % plan.unit_count for step in range(role.unit_count)
        )
        place += role.unit_count
    return found
