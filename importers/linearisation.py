"""What a user chooses about steps that are not linear: what is taken as what, and what is refused."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from circuitgraph.errors import WeightsError

__all__ = ["DEFAULT", "Linearisation", "MaxPoolRule"]

MaxPoolRule = Literal["avg", "centre"]


@dataclass(frozen=True, slots=True)
class Linearisation:
    """How steps with no exact linear form are taken; what is None is refused by name.

    Each choice is recorded on every edge that it lies under.

    Parameters
    ----------
    max_pool
        A max pool as the mean over its window ("avg") or as its middle cell ("centre").
    smooth
        "identity" takes GELU, SiLU, Hardswish, ELU, Mish and the like at slope 1, which they approach above zero.
    leaky
        "identity" takes LeakyReLU and PReLU at slope 1, which they have above zero.
    gate
        What a squeeze-and-excitation gate multiplies a map by: one number, or by the gate's module path an array
        (channel,), for example its mean over images.
    norm_gain
        What stands for 1 / standard deviation in a LayerNorm, and for the factor of a local response norm.

    Raises
    ------
    WeightsError
        A choice is none of those named, or a number is not finite.
    """

    max_pool: MaxPoolRule = "avg"
    smooth: Literal["identity"] | None = None
    leaky: Literal["identity"] | None = None
    gate: float | Mapping[str, NDArray[np.floating[Any]]] | None = None
    norm_gain: float | None = None

    def __post_init__(self) -> None:
        if self.max_pool not in ("avg", "centre"):
            raise WeightsError(f"choosing a linearisation: max_pool is {self.max_pool!r}; 'avg' or 'centre' is wanted.")
        for name in ("smooth", "leaky"):
            if getattr(self, name) not in (None, "identity"):
                raise WeightsError(
                    f"choosing a linearisation: {name} is {getattr(self, name)!r}; 'identity' or nothing is wanted."
                )
        numbers = {"gate": self.gate, "norm_gain": self.norm_gain}
        for name, value in numbers.items():
            if value is not None and not isinstance(value, Mapping) and not math.isfinite(value):
                raise WeightsError(f"choosing a linearisation: {name} is {value}; a finite number is wanted.")

    def to_options(self) -> dict[str, Any]:
        """Return the choices as they go into a bundle's manifest."""
        options: dict[str, Any] = {"max_pool": self.max_pool}
        for name in ("smooth", "leaky", "norm_gain"):
            if getattr(self, name) is not None:
                options[name] = getattr(self, name)
        if self.gate is not None:
            options["gate"] = (
                {path: [float(x) for x in mean] for path, mean in sorted(self.gate.items())}
                if isinstance(self.gate, Mapping)
                else float(self.gate)
            )
        return options


DEFAULT = Linearisation()
"""Max pools as means, and nothing else that is not linear."""
