"""ONNX sums and products: with constants, of two maps, of a map and a gate; activations written out as such."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from importers.linear_ops import Activation, Add, Gate, Scale
from importers.onnx_file import Constant, Unread
from importers.onnx_nonlinear import SQUASHED
from importers.onnx_steps import NO_OPTION, Call, Data, Step, pointwise, refuse

__all__ = ["ARITHMETIC"]


def _scaled(x: Data, gain: Constant | float = 1.0, shift: Constant | float = 0.0) -> Step:
    return pointwise(Scale(_per_channel(gain, x), _per_channel(shift, x)), x)


def _per_channel(value: Constant | float, x: Data) -> NDArray[np.float64]:
    """Read a constant that is the same at every position, (channel,)."""
    if isinstance(value, Unread):
        raise refuse(f"its constant cannot be had: {value.reason}", NO_OPTION)
    last = x.is_channels_last
    channels = x.base_shape[0] if last else x.shape[0]
    array = np.asarray(value, dtype=np.float64)
    if array.size == 1:
        return np.full(channels, float(array.reshape(-1)[0]))
    try:
        full = np.broadcast_to(array, (1, *x.shape))[0]
    except ValueError:
        raise refuse(f"a constant of shape {array.shape} is put on a map of {x.shape}", NO_OPTION) from None
    rows = full.reshape(-1, channels).T if last else full.reshape(channels, -1)
    if not (rows == rows[:, :1]).all():
        raise refuse(
            f"a constant of shape {array.shape} that differs by position is put on {channels} channels", NO_OPTION
        )
    own: NDArray[np.float64] = rows[:, 0].copy()
    return own


def _add(call: Call) -> Step:
    a, b = call.inputs
    if isinstance(a, Data) and isinstance(b, Data):
        return _sum([a, b])
    return _scaled(call.data(0), shift=_known(b)) if isinstance(a, Data) else _scaled(call.data(1), shift=_known(a))


def _known(value: Data | Constant | None) -> Constant:
    if value is None or isinstance(value, Data):
        raise refuse("an input is left out")
    return value


def _sum(parts: list[Data], factors: tuple[float, ...] = ()) -> Step:
    shapes = {part.shape for part in parts}
    if len(shapes) > 1:
        raise refuse(f"shapes {' and '.join(map(str, sorted(shapes)))} are added by broadcasting", NO_OPTION)
    last = all(part.is_channels_last for part in parts)
    own: list[Data | Step] = [part.whole() if last else part for part in parts]
    for place, factor in enumerate(factors):
        if factor != 1:
            own[place] = _scaled(parts[place], gain=factor)
    return Step(Add(), own, like=parts[0] if last else None)


def _sub(call: Call) -> Step:
    a, b = call.inputs
    if isinstance(a, Data) and isinstance(b, Data):
        return _sum([a, b], (1.0, -1.0))
    if isinstance(a, Data):
        other = _known(b)
        return _scaled(a, shift=other if isinstance(other, Unread) else -other)
    return _scaled(call.data(1), gain=-1.0, shift=_known(a))


def _mul(call: Call) -> Step | Data:
    a, b = call.inputs
    if not isinstance(a, Data):
        return _multiplied(call.data(1), _known(a))
    if not isinstance(b, Data):
        return _multiplied(a, _known(b))
    for x, factor in ((a, b), (b, a)):
        found = _written_out(x, factor)
        if found is not None:
            kind, source, gain = found
            active = pointwise(Activation(option="smooth", kind=kind), source)
            return active if gain == 1 else Step(Scale(*_gain_only(gain, source)), [active], active.like)
    for x, gate in ((a, b), (b, a)):
        if _squashed(gate) is not None and _squashed(x) is None and _broadcasts(gate.shape, x.shape):
            step = pointwise(Gate(""), x)
            return Step(step.op, step.inputs, step.like, gate)
    raise refuse(
        "a product of two activations is not linear",
        "Only a (hard) sigmoid as one of the factors is taken as a gate (--gate); no option admits others.",
    )


def _gain_only(gain: float, x: Data) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return _per_channel(gain, x), _per_channel(0.0, x)


def _multiplied(x: Data, gain: Constant | float) -> Step | Data:
    step = _scaled(x, gain=gain)
    node = x.steps[x.base]
    # the last step of an activation that is written out undoes the one before
    if isinstance(step.op, Scale) and isinstance(node.op, Scale) and not np.any(node.op.shift):
        active = x.steps[node.inputs[0]]
        if isinstance(active.op, Activation) and active.op.kind and np.allclose(node.op.gain * step.op.gain, 1):
            return Data(active.name, x.shape, x.index, x.maker, steps=x.steps)
    return step


def _div(call: Call) -> Step | Data:
    a, b = call.inputs
    if isinstance(b, Data) or not isinstance(a, Data):
        raise refuse("a division by an activation is not linear", NO_OPTION)
    other = _known(b)
    with np.errstate(divide="ignore"):
        return _multiplied(a, other if isinstance(other, Unread) else 1 / other.astype(np.float64))


def _neg(call: Call) -> Step:
    return _scaled(call.data(), gain=-1.0)


def _variadic_sum(call: Call) -> Step | Data:
    parts = [call.data(place) for place in range(len(call.inputs))]
    return parts[0] if len(parts) == 1 else _sum(parts)


def _mean_of_inputs(call: Call) -> Step | Data:
    parts = [call.data(place) for place in range(len(call.inputs))]
    return parts[0] if len(parts) == 1 else _sum(parts, (1 / len(parts),) * len(parts))


def _squashed(x: Data) -> tuple[str, Data] | None:
    """For a (hard) sigmoid: what its product with its own input is called, and that input."""
    if x.maker is not None and x.steps[x.base].op is SQUASHED:
        return ("hardswish" if x.maker.op_type == "HardSigmoid" else "silu"), x.maker.data()
    # written out: relu6(x + 3) / 6
    bounded = _input_of_scaling(x, 1 / 6, 0.0)
    if bounded is not None and bounded.maker is not None and bounded.maker.op_type == "Clip":
        own = bounded.steps[bounded.base].op
        if isinstance(own, Activation) and own.approximations == ("ceiling=6",):
            source = _input_of_scaling(bounded.maker.data(), 1.0, 3.0)
            if source is not None:
                return "hardswish", source
    return None


def _written_out(x: Data, factor: Data) -> tuple[str, Data, float] | None:
    """Read ``x * factor`` as ``gain * activation(source)``, if it is one: (its name, source, gain)."""
    squashed = _squashed(factor)
    if squashed is not None:
        # x * sigmoid(1.702 * x) stands for a GELU; times a negative number it would go to zero where x is large
        times = _multiple(squashed[1], x)
        return (squashed[0], x, 1.0) if times is not None and times > 0 else None
    made = factor.maker
    if made is None:
        return None
    if made.op_type == "Tanh":
        inner = made.data().maker
        is_mish = inner is not None and inner.op_type == "Softplus" and _is_same(inner.data(), x)
        return ("mish", x, 1.0) if is_mish else None
    for share in (1.0, 0.5):
        inside = factor if share == 1 else _input_of_scaling(factor, share, 0.0)
        source = None if inside is None else _source_of_erf(inside)
        times = None if source is None else _multiple(x, source)
        if source is not None and times is not None:
            return "gelu", source, _plain(2 * share * times)
    bounded = factor.steps[factor.base].op
    if made.op_type == "Clip" and isinstance(bounded, Activation) and bounded.approximations == ("ceiling=6",):
        source = _input_of_scaling(made.data(), 1.0, 3.0)
        times = None if source is None else _multiple(x, source)
        if source is not None and times is not None:
            return "hardswish", source, _plain(6 * times)
    return None


def _plain(gain: float) -> float:
    """Take what float32 constants leave of 1 as 1."""
    return 1.0 if math.isclose(gain, 1.0, rel_tol=1e-6) else gain


def _source_of_erf(x: Data) -> Data | None:
    """Return the tensor y that ``x = 1 + erf(y / sqrt(2))`` is made of."""
    inside = _input_of_scaling(x, 1.0, 1.0)
    if inside is None or inside.maker is None or inside.maker.op_type != "Erf":
        return None
    return _input_of_scaling(inside.maker.data(), math.sqrt(0.5), 0.0)


def _input_of_scaling(x: Data, gain: float, shift: float) -> Data | None:
    """Return what `x` is ``gain * input + shift`` of."""
    node, made = x.steps[x.base], x.maker
    if made is None or not isinstance(node.op, Scale):
        return None
    if not (np.allclose(node.op.gain, gain, rtol=1e-3) and np.allclose(node.op.shift, shift, rtol=1e-3)):
        return None
    return next((value for value in made.inputs if isinstance(value, Data)), None)


def _is_same(a: Data, b: Data) -> bool:
    if a.base != b.base or a.shape != b.shape:
        return False
    return a is b or (a.index is None and b.index is None) or (a.is_channels_last and b.is_channels_last)


def _multiple(a: Data, b: Data) -> float | None:
    """Return which multiple of `b` the tensor `a` is, if it is one."""
    if _is_same(a, b):
        return 1.0
    node = a.steps[a.base]
    if not isinstance(node.op, Scale) or np.any(node.op.shift) or a.maker is None or np.ptp(node.op.gain):
        return None
    is_of_b = any(isinstance(value, Data) and _is_same(value, b) for value in a.maker.inputs)
    return float(node.op.gain[0]) if is_of_b else None


def _broadcasts(small: tuple[int, ...], large: tuple[int, ...]) -> bool:
    return len(small) == len(large) and all(a in (1, b) for a, b in zip(small, large, strict=True))


ARITHMETIC: Mapping[str, Callable[[Call], Any]] = {
    "Add": _add,
    "Sub": _sub,
    "Mul": _mul,
    "Div": _div,
    "Neg": _neg,
    "Sum": _variadic_sum,
    "Mean": _mean_of_inputs,
}
