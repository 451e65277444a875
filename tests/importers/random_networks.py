"""Random small convolutional networks, as programs of steps that hypothesis draws and shrinks.

A program is a list of `Step`; each reads earlier tensors (0 is the input) and makes one. Every step is a module
of its own, ``s0``, ``s1``, so that each tensor has a module path by which a test can cut the network there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from hypothesis import strategies as st
from torch import nn


@dataclass(frozen=True)
class Step:
    """One module, the tensors it reads, and what it is made with."""

    kind: str
    reads: tuple[int, ...]
    options: dict[str, Any] = field(default_factory=dict)


class Function(nn.Module):
    """A function of tensors as a module."""

    def __init__(self, function: Callable[..., torch.Tensor], **options: Any) -> None:
        super().__init__()
        self.function, self.options = function, options

    def forward(self, *tensors: torch.Tensor) -> torch.Tensor:
        return self.function(*tensors, **self.options)


def _crop(x, top, bottom, left, right, stride):
    return x[:, :, top : -bottom or None : stride[0], left : -right or None : stride[1]]


def _channels(x, start, stop, every):
    return x[:, start:stop:every]


def _part(x, pieces, which):
    return x.chunk(pieces, 1)[which]


def _split(x, sizes, which):
    return torch.split(x, sizes, dim=1)[which]


def _shuffle(x, groups):
    batch, channels, height, width = x.shape
    return x.view(batch, groups, channels // groups, height, width).transpose(1, 2).reshape(batch, -1, height, width)


def _scaled(x, gain, shift):
    return x * gain + shift


MODULES: dict[str, Callable[..., nn.Module]] = {
    "conv": nn.Conv2d,
    "linear": nn.Linear,
    "bn": nn.BatchNorm2d,
    "relu": nn.ReLU,
    "relu6": nn.ReLU6,
    "dropout": nn.Dropout,
    "identity": nn.Identity,
    "max": nn.MaxPool2d,
    "avg": nn.AvgPool2d,
    "global": nn.AdaptiveAvgPool2d,
    "flatten": nn.Flatten,
    "add": lambda: Function(lambda *xs: sum(xs[1:], xs[0])),
    "concat": lambda: Function(lambda *xs: torch.cat(xs, 1)),
    "crop": lambda **o: Function(_crop, **o),
    "channels": lambda **o: Function(_channels, **o),
    "chunk": lambda **o: Function(_part, **o),
    "split": lambda **o: Function(_split, **o),
    "shuffle": lambda **o: Function(_shuffle, **o),
    "pad": lambda **o: Function(F.pad, **o),
    "mean": lambda: Function(lambda x: x.mean((2, 3))),
    "scaled": lambda **o: Function(_scaled, **o),
    # these have no linear form, or one that is not asked for
    "tanh": nn.Tanh,
    "leaky": nn.LeakyReLU,
    "gelu": nn.GELU,
    "product": lambda: Function(lambda x: x * x),
    "group norm": nn.GroupNorm,
    "dilated max": nn.MaxPool2d,
    "larger": nn.Upsample,
}


class RandomNetwork(nn.Module):
    """A program as a module; it returns the last tensor."""

    def __init__(self, program: list[Step]) -> None:
        super().__init__()
        self.program = program
        for place, step in enumerate(program):
            self.add_module(f"s{place}", MODULES[step.kind](**step.options))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        tensors = [x]
        for place, step in enumerate(self.program):
            tensors.append(getattr(self, f"s{place}")(*(tensors[at] for at in step.reads)))
        return tensors[-1]


@dataclass(frozen=True)
class Drawn:
    """A program, the shape of its input, and the rule for its layers of units."""

    program: list[Step]
    shape: tuple[int, int, int]
    units: str | list[str]
    seed: int

    @property
    def cropped(self) -> int:
        """How many cells crops take from a border: there a window inside the input may reach past a crop."""
        return sum(max(step.options[side] for side in ("top", "bottom", "left", "right")) for step in self.crops)

    @property
    def crops(self) -> list[Step]:
        return [step for step in self.program if step.kind == "crop"]


class _Drawing:
    """A program while it is drawn: what each tensor's shape is at the drawn size."""

    def __init__(self, draw: Callable[..., Any], shape: tuple[int, int, int]) -> None:
        self.draw = draw
        self.program: list[Step] = []
        self.shapes: list[tuple[int, ...]] = [shape]

    def one_of(self, *options: Any) -> Any:
        return self.draw(st.sampled_from(options))

    def add(self, kind: str, reads: tuple[int, ...], **options: Any) -> int | None:
        """Add a step if it runs on the shapes there are."""
        module = MODULES[kind](**options).eval()
        try:
            with torch.no_grad():
                out = module(*(torch.zeros((1, *self.shapes[at])) for at in reads))
        except (RuntimeError, ValueError):
            return None
        if out.numel() == 0 or (
            out.ndim == 4 and min(out.shape[2:]) < 2 and min(self.shapes[reads[0]][1:]) > 1 and kind != "global"
        ):
            return None
        self.program.append(Step(kind, reads, options))
        self.shapes.append(tuple(out.shape[1:]))
        return len(self.program)

    def conv(
        self, at: int, *, same: bool = False, stride: tuple[int, int] | None = None, out: int | None = None
    ) -> Any:
        """Add a convolution, of the map's own size where `same`."""
        mid = self.shapes[at][0]
        kernel = (
            (self.one_of(1, 2, 3, 3, 4, 5), self.one_of(1, 2, 3, 3, 5)) if not same else (self.one_of(1, 3, 5),) * 2
        )
        dilation = (self.one_of(1, 1, 1, 2), self.one_of(1, 1, 1, 2))
        out = self.draw(st.integers(1, 7)) if out is None else out
        groups = self.one_of(*(g for g in range(1, mid + 1) if mid % g == 0 and out % g == 0))
        if stride is None:
            stride = (1, 1) if same else (self.one_of(1, 1, 1, 2, 3), self.one_of(1, 1, 1, 2))
        pad: Any = tuple(d * (k - 1) // 2 for d, k in zip(dilation, kernel, strict=True))
        if not same:
            pad = (self.draw(st.integers(0, kernel[0])), self.draw(st.integers(0, kernel[1])))
            if stride == (1, 1) and self.one_of(0, 0, 1):
                pad = "same"
        return self.add(
            "conv",
            (at,),
            in_channels=mid,
            out_channels=out,
            kernel_size=kernel,
            stride=stride,
            padding=pad,
            dilation=dilation,
            groups=groups,
            bias=self.one_of(True, False),
        )

    def norm(self, at: int) -> int:
        options = {"eps": self.one_of(1e-5, 1e-3, 0.3), "affine": self.one_of(True, True, False)}
        return self.add("bn", (at,), num_features=self.shapes[at][0], **options) or at

    def block(self, at: int) -> int:
        """Convolution, sometimes batch norm, sometimes an activation."""
        made = self.conv(at)
        if made is None:
            return at
        made = self.norm(made) if self.one_of(0, 1) else made
        return self.relu(made) if self.one_of(0, 1, 1, 1) else made

    def relu(self, at: int) -> int:
        return self.add(self.one_of("relu", "relu", "relu6"), (at,)) or at

    def depthwise(self, at: int) -> int:
        mid, copies = self.shapes[at][0], self.one_of(1, 1, 2)
        kernel = self.one_of(1, 2, 3, 5)
        options = {"kernel_size": kernel, "stride": self.one_of(1, 2), "padding": kernel // 2, "groups": mid}
        return self.add("conv", (at,), in_channels=mid, out_channels=mid * copies, **options) or at

    def pool(self, at: int) -> int:
        kernel = (self.one_of(2, 2, 3), self.one_of(2, 2, 3))
        options: dict[str, Any] = {
            "kernel_size": kernel,
            "stride": (self.one_of(1, 2, 2, 3), self.one_of(1, 2, 2)),
            "padding": (self.draw(st.integers(0, kernel[0] // 2)), self.draw(st.integers(0, kernel[1] // 2))),
            "ceil_mode": self.one_of(True, False),
        }
        if self.one_of(0, 1):
            return self.add("max", (at,), **options) or at
        return self.add("avg", (at,), **options, count_include_pad=self.one_of(True, False)) or at

    def residual(self, at: int) -> int:
        """A block with a shortcut: of the map itself or of a 1x1 convolution of the same stride."""
        mid, out = self.shapes[at][0], self.shapes[at][0]
        stride, shortcut = (1, 1), at
        if self.one_of(0, 1):
            stride, out = self.one_of((1, 1), (2, 2), (2, 1)), self.draw(st.integers(1, 6))
            options = {"in_channels": mid, "out_channels": out, "kernel_size": 1, "stride": stride}
            shortcut = self.norm(self.add("conv", (at,), **options) or at)
        inner = self.conv(at, same=True, stride=stride)
        inner = self.relu(inner) if inner and self.one_of(0, 1, 1) else inner
        inner = self.conv(inner, same=True, out=out) if inner else None
        inner = self.norm(inner) if inner and self.one_of(0, 1) else inner
        return (inner and self.add("add", (inner, shortcut))) or at

    def inception(self, at: int) -> int:
        """Branches over the same map, one after the other."""
        ends = []
        for _ in range(self.draw(st.integers(2, 3))):
            branch: int | None = at
            if self.one_of(0, 0, 1):
                branch = self.add(self.one_of("max", "avg"), (at,), kernel_size=3, stride=1, padding=1)
            for _ in range(self.draw(st.integers(0, 2))):
                branch = self.conv(branch, same=True) if branch else None
                branch = self.relu(branch) if branch and self.one_of(0, 1, 1) else branch
            ends.append(at if branch is None else branch)
        return self.add("concat", tuple(ends)) or at

    def again(self, at: int) -> int:
        """Add an earlier tensor of the same shape, or put one of the same size beside it."""
        shape = self.shapes[at]
        earlier = [p for p, s in enumerate(self.shapes) if p != at and s[1:] == shape[1:]]
        if not earlier:
            return self.residual(at)
        other = self.one_of(*earlier)
        if self.shapes[other] == shape and self.one_of(0, 1):
            return self.add("add", (at, other)) or at
        return self.add("concat", (other, at)) or at

    def choice(self, at: int) -> int:
        """Some of the channels, or all in another order."""
        mid = self.shapes[at][0]
        if mid == 1:
            return at
        kind = self.one_of("channels", "chunk", "split", "shuffle")
        if kind == "channels":
            start = self.draw(st.integers(0, mid - 1))
            return (
                self.add(
                    kind, (at,), start=start, stop=self.draw(st.integers(start + 1, mid)), every=self.one_of(1, 1, 2)
                )
                or at
            )
        if kind == "chunk":
            pieces = self.draw(st.integers(2, mid))
            # torch gives fewer pieces where they do not come out even
            count = -(-mid // -(-mid // pieces))
            return self.add(kind, (at,), pieces=pieces, which=self.draw(st.integers(0, count - 1))) or at
        if kind == "split":
            first = self.draw(st.integers(1, mid - 1))
            return self.add(kind, (at,), sizes=[first, mid - first], which=self.one_of(0, 1)) or at
        groups = self.one_of(*(g for g in range(2, mid + 1) if mid % g == 0))
        return self.add(kind, (at,), groups=groups) or at

    def parts(self, at: int) -> int:
        """Split in two, one half worked on, and put together again (ShuffleNet)."""
        mid = self.shapes[at][0]
        if mid < 2:
            return at
        sizes = [self.draw(st.integers(1, mid - 1))]
        sizes.append(mid - sizes[0])
        left = self.add("split", (at,), sizes=sizes, which=0)
        right = self.add("split", (at,), sizes=sizes, which=1)
        worked = self.conv(right, same=True)
        if worked is None:
            return at
        worked = self.relu(worked) if self.one_of(0, 1) else worked
        both = self.add("concat", (left, worked) if self.one_of(0, 1) else (worked, left)) or at
        return self.choice(both) if self.one_of(0, 1) else both

    def border(self, at: int) -> int:
        """Cells cut off or zeros put around."""
        few = st.integers(0, 2)
        if self.one_of(0, 1):
            options = {side: self.draw(few) for side in ("top", "bottom", "left", "right")}
            return self.add("crop", (at,), **options, stride=(self.one_of(1, 1, 2), self.one_of(1, 1, 2))) or at
        pad = [self.draw(few) for _ in range(4)]
        if self.one_of(0, 0, 1):
            pad += [self.draw(few), self.draw(few)]
        return self.add("pad", (at,), pad=pad) or at

    def small(self, at: int) -> int:
        """A step that changes numbers or nothing."""
        kind = self.one_of("bn", "scaled", "dropout", "identity", "relu")
        if kind == "bn":
            return self.norm(at)
        if kind == "scaled":
            return self.add(kind, (at,), gain=self.one_of(0.5, -1.5), shift=self.one_of(0.0, 0.75)) or at
        return self.add(kind, (at,)) or at

    def unlike(self, at: int) -> int:
        """Something that has to be refused."""
        kind = self.one_of("tanh", "leaky", "gelu", "product", "group norm", "dilated max", "larger")
        options: dict[str, dict[str, Any]] = {
            "group norm": {"num_groups": 1, "num_channels": self.shapes[at][0]},
            "dilated max": {"kernel_size": 2, "stride": 1, "dilation": 2},
            "larger": {"scale_factor": 2},
        }
        return self.add(kind, (at,), **options.get(kind, {})) or at

    def tail(self, at: int) -> int:
        """Nothing, or a way to a vector and linear layers."""
        kind = self.one_of("none", "none", "none", "flatten", "global", "mean")
        if kind == "none":
            return at
        if kind == "flatten":
            while self.shapes[at][1] * self.shapes[at][2] > 64:
                smaller = self.add("avg", (at,), kernel_size=2)
                if smaller is None:
                    return at
                at = smaller
        elif kind == "global":
            at = self.add("global", (at,), output_size=1) or at
            if self.one_of(0, 0, 1):
                at = self.add("conv", (at,), in_channels=self.shapes[at][0], out_channels=3, kernel_size=1) or at
        at = (self.add("flatten", (at,)) if kind != "mean" else self.add("mean", (at,))) or at
        for _ in range(self.draw(st.integers(1, 2))):
            at = (
                self.add("linear", (at,), in_features=self.shapes[at][0], out_features=self.draw(st.integers(1, 5)))
                or at
            )
            at = self.relu(at) if self.one_of(0, 1) else at
        return at


def _live(program: list[Step]) -> list[Step]:
    """Leave out what the last tensor does not need."""
    needed = {len(program)}
    for place in range(len(program), 0, -1):
        if place in needed:
            needed |= set(program[place - 1].reads)
    kept = [place for place in range(1, len(program) + 1) if place in needed]
    new = {0: 0, **{old: place for place, old in enumerate(kept, 1)}}
    return [
        Step(program[old - 1].kind, tuple(new[r] for r in program[old - 1].reads), program[old - 1].options)
        for old in kept
    ]


@st.composite
def networks(draw: Callable[..., Any]) -> Drawn:
    """Draw a network with at least one convolution or linear layer."""
    size = st.integers(33, 40)
    shape = (draw(st.integers(1, 4)), draw(size), draw(size))
    drawing = _Drawing(draw, shape)
    at = drawing.block(0)
    grow = [
        *[drawing.block] * 4,
        drawing.depthwise,
        drawing.pool,
        drawing.residual,
        drawing.residual,
        drawing.unlike,
        drawing.inception,
        drawing.again,
        drawing.choice,
        drawing.parts,
        drawing.border,
        drawing.small,
    ]
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.sampled_from(grow))(at)
    at = drawing.relu(at) if draw(st.booleans()) else at
    at = drawing.tail(at)
    program = _live(drawing.program[:at])
    if not any(step.kind in ("conv", "linear") for step in program):
        program.append(
            Step("conv", (len(program),), {"in_channels": drawing.shapes[at][0], "out_channels": 2, "kernel_size": 1})
        )
    activations = [f"s{place}" for place, step in enumerate(program) if step.kind in ("relu", "relu6")]
    some = draw(st.lists(st.sampled_from(activations), unique=True)) if activations else []
    units = draw(st.sampled_from(["auto", "activations", some]))
    return Drawn(program, shape, units, draw(st.integers(0, 2**16)))
