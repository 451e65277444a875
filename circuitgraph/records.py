"""Typed records of what a bundle and the graph hold.

Spatial pairs are always ``(row, col)``; a stride or offset counts cells of the
upstream layer, a receptive field counts pixels of the network's input.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from circuitgraph.ids import FamilyId, LayerId, UnitId, check_network_name

__all__ = [
    "Agreement",
    "Family",
    "Fidelity",
    "Form",
    "Layer",
    "LayerFidelity",
    "LayerKind",
    "Member",
    "NetworkInfo",
    "NewBlock",
    "RefusedPair",
]

Pair = tuple[int, int]
Form = Literal["dense", "diagonal", "row block", "global", "spatial"]
LayerKind = Literal["input", "activation", "concat", "pooled", "linear"]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Layer(_Record):
    """One layer of units.

    `aliases` are other module paths that name the same tensor. `size` is the map's
    (rows, cols) at the input shape of the import, (1, 1) for a vector. `stride` and
    `receptive_field` are in input pixels, (0, 0) where they are the whole input.
    """

    uid: str
    index: int = Field(ge=0, description="place in topological order, 0 for the input")
    kind: LayerKind
    unit_count: int = Field(ge=1)
    size: Pair
    stride: Pair
    receptive_field: Pair
    aliases: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _uid_follows_the_grammar(self) -> Layer:
        LayerId.parse(self.uid)
        return self

    @property
    def id(self) -> LayerId:
        """The parsed uid."""
        return LayerId.parse(self.uid)

    @property
    def name(self) -> str:
        """The layer's name inside its network."""
        return self.id.layer

    def unit(self, channel: int) -> UnitId:
        """Return the id of the neuron at `channel`."""
        return self.id.unit(channel)


class Member(_Record):
    """A unit's place in a family; `angle_deg` counter-clockwise as displayed, 0 pointing right."""

    unit: str
    position: int = Field(ge=0)
    angle_deg: float | None = None


class Family(_Record):
    """Units of one layer that detect variations of one thing."""

    uid: str
    name: str
    members: tuple[Member, ...]
    description: str = ""
    reference: str = ""

    @model_validator(mode="after")
    def _members_are_of_the_layer(self) -> Family:
        own = FamilyId.parse(self.uid)
        for member in self.members:
            unit = UnitId.parse(member.unit)
            if (unit.network, unit.layer) != (own.network, own.layer):
                raise ValueError(f"{member.unit} is not of the layer of family {self.uid}")
        return self

    def _repr_svg_(self) -> str | None:
        """Draw the family for a notebook, in order of its angles; `circuitgraph.figures.family_figure` adds kernels."""
        from circuitgraph.draw.family import RingMember, draw_family

        ring = {member.unit: RingMember(member.unit, angle_deg=member.angle_deg) for member in self.members}
        return draw_family(list(ring.values()), title=f"{self.name} ({self.uid})").svg if ring else None


class RefusedPair(_Record):
    """Two layers whose kernels an import left out, and why; `hint` is what would admit them."""

    up: str
    down: str
    reason: str
    hint: str = ""


class NetworkInfo(_Record):
    """What a bundle says of its network and of how it was imported.

    `weights_sha256` is over names, shapes and values of the tensors as read, so
    that it does not change with the file that carries them.
    """

    network: str
    architecture: str
    weights_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    source: str = Field(description="the file or object the weights came from, by name, without its folder")
    input_shape: tuple[int, int, int] = Field(description="(channel, row, col)")
    importer: str
    options: Mapping[str, Any] = {}
    approximations: tuple[str, ...] = Field(
        default=(), description="everything that was linearised or dropped, in words"
    )
    title: str = ""
    reference: str = ""

    @field_validator("network")
    @classmethod
    def _network_follows_the_grammar(cls, network: str) -> str:
        return check_network_name(network)


class Agreement(_Record):
    """How well a layer's activations follow from those of its source layers by the expanded weights.

    Compared are the true activation of a unit at a position and what the linear prediction from the true
    activations of all source layers gives there, negative values set to zero where the layer is one of rectified units.
    Units whose true activation never changes are left out and counted.
    """

    correlation: float | None = Field(description="Pearson, over all units and positions; None where nothing varies")
    explained: float | None = Field(
        description="share of the units' variance, each about its own mean, that the prediction explains; "
        "negative where the units' means would do better"
    )
    unit_quartiles: tuple[float, float, float] | None = Field(
        default=None,
        description="quartiles of the units' own correlations, the median in the middle; None where "
        "there are too few positions for one",
    )
    positions: int = Field(ge=0, description="positions compared, over all images")
    constant_units: int = Field(ge=0, description="units left out because their true activation never changes")


class LayerFidelity(_Record):
    """The agreement for one target layer: where no window reaches over a border of a map, and anywhere.

    `interior` is None where there is no such position.
    """

    interior: Agreement | None
    anywhere: Agreement

    @property
    def best_known(self) -> Agreement:
        """The agreement at interior positions, where the weights are meant to hold, else anywhere."""
        return self.anywhere if self.interior is None else self.interior


class Fidelity(_Record):
    """How well the expanded weights of a network predict it: per target layer, with what it was measured on."""

    inputs: str = Field(description="what the network was shown, in words, as 'smooth noise' or a folder's name")
    image_count: int = Field(ge=1)
    seed: int = Field(ge=0, description="of the noise, and of the choice of positions")
    mean: tuple[float, ...] = Field(default=(), description="taken from each channel of the images; () for none")
    std: tuple[float, ...] = Field(default=(), description="by which each channel was divided; () for none")
    layers: Mapping[str, LayerFidelity]

    def on(self, layer: str) -> str:
        """Say in words what the figures of one layer were measured on."""
        where = "interior" if self.layers[layer].interior is not None else "all"
        return f"{self.shown}, {where} positions"

    @property
    def shown(self) -> str:
        """Say in words what the network was shown."""
        return f"{self.image_count} {'image' if self.image_count == 1 else 'images'} of {self.inputs}"

    def rounded(self, digits: int = 4) -> Fidelity:
        """Return the figures with so many digits after the point, which no order of summing alters."""

        def round_all(value: Any) -> Any:
            if isinstance(value, float):
                return round(value, digits)
            if isinstance(value, Mapping):
                return {name: round_all(each) for name, each in value.items()}
            return tuple(round_all(each) for each in value) if isinstance(value, (list, tuple)) else value

        content = self.model_dump()
        return Fidelity(**{**content, "layers": round_all(content["layers"])})


@dataclass(frozen=True, slots=True)
class NewBlock:
    """The kernels between one upstream layer and some rows of one downstream layer, on the way into a bundle.

    Parameters
    ----------
    up, down
        Uids of the layers.
    row_start
        First downstream channel of the block; it covers as many as `kernels` has rows.
    form
        "dense" and "row block": (down, up, row, col). "global": (down, up, 1, 1), the weight on the
        mean of the upstream map over all its positions. "spatial": (down, up, rows, cols) over the whole map,
        stride (0, 0). "diagonal": (down, row, col), one kernel a target.
    kernels
        float32; what ``T[o, p] = bias[o] + sum K[o, i, u] S[i, stride * p + offset + u]`` calls K.
    offset, stride
        (row, col) in cells of the upstream layer.
    up_channels
        For "diagonal" only: (down,) int32, the upstream channel each target reads, -1 for none.
    gross
        For each edge the sum of ``|W2| |W1|`` over every path and position, (down, up) or, for "diagonal",
        (down,); None where nothing was multiplied out. ``cancellation = 1 - l1 / gross``.
    approximations
        What was linearised on the way, one word or "word=value" each ("max_pool=avg", "border").
    factors
        Where a bottleneck was multiplied out: the folded maps from the one nearest the target
        to the one nearest the source, each (out, in, row, col) float32.
    ignored_activations
        How many activations are ignored on the way, on that with most; None where that is not known.
    """

    up: str
    down: str
    row_start: int
    form: Form
    kernels: NDArray[np.float32]
    offset: Pair
    stride: Pair
    up_channels: NDArray[np.int32] | None = None
    gross: NDArray[np.floating[Any]] | None = None
    approximations: tuple[str, ...] = ()
    factors: tuple[NDArray[np.float32], ...] = field(default=())
    ignored_activations: int | None = None
