"""Nine mistakes that an expansion can make, planted one at a time: the comparison with autograd notices each.

A mistake is a change of text in one function, which must match exactly once: a test that no longer plants its mistake
fails, and does not go silent.
"""

from __future__ import annotations

import importlib
import inspect
from dataclasses import dataclass

import pytest
import torch
from torch import nn

from importers.expand import Expansion
from importers.linearise import linearise
from importers.unit_layers import choose_unit_layers
from tests.importers.autograd import Verdict, compare, randomise

KERNEL, BIAS = 1e-5, 1e-4
SHAPE = (3, 48, 48)
UNITS = ["first", "summed", "beside", "pooled"]


pytestmark = pytest.mark.usefixtures("one_thread")


@dataclass(frozen=True)
class Mistake:
    """A function, a piece of its text, and what is put in its place."""

    module: str
    function: str
    right: str
    wrong: str


MISTAKES = {
    "an offset is one more": Mistake(
        "importers.pieces", "moved", "(offset[0] + stride[0] * by[0],", "(offset[0] + stride[0] * by[0] + 1,"
    ),
    "the stride is ignored as windows grow": Mistake(
        "importers.convolving", "convolve", "step = times(paths.stride, dilation) if", "step = dilation if"
    ),
    "the eps of a batch norm is dropped": Mistake(
        "importers.torch_layers", "batch_norm", "1 / np.sqrt(variance + eps)", "1 / np.sqrt(variance)"
    ),
    "the running variance is not folded": Mistake(
        "importers.torch_layers", "batch_norm", "1 / np.sqrt(variance + eps)", "np.ones(len(variance))"
    ),
    "a shortcut lands at the corner of the window": Mistake(
        "importers.pieces", "part_of", "offset[0] - whole_offset[0], offset[1] - whole_offset[1]", "0, 0"
    ),
    "the order of a concatenation is swapped": Mistake(
        "importers.steps",
        "concatenate",
        "for start, paths in parts for p in",
        "for (start, _), (_, paths) in zip(parts, reversed(parts), strict=True) for p in",
    ),
    "the blocks of groups are swapped": Mistake(
        "importers.convolving",
        "_add_dense",
        "flat = kernel.reshape(groups, mid, -1)",
        "flat = kernel.reshape(groups, mid, -1)[::-1]",
    ),
    "the bias of a batch norm is lost": Mistake(
        "importers.expand", "_convolved", "out * norm.gain + norm.shift", "out * norm.gain"
    ),
    "a ceil-mode pool is taken as padded": Mistake(
        "importers.torch_layers",
        "max_pool",
        "to_pair(padding), is_max",
        "tuple(p + ceil_mode for p in to_pair(padding)), is_max",
    ),
}


class Everything(nn.Module):
    """All that a mistake may lie in: stride, groups, batch norm, a shortcut, a concatenation, a ceil-mode pool."""

    def __init__(self):
        super().__init__()
        self.start = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8, eps=0.2))
        self.first = nn.ReLU()
        self.down = nn.Sequential(nn.Conv2d(8, 8, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU())
        self.inner = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1, groups=2), nn.BatchNorm2d(8))
        self.summed = nn.ReLU()
        self.narrow = nn.Conv2d(8, 5, 1)
        self.wide = nn.Sequential(nn.Conv2d(8, 6, 1), nn.ReLU(), nn.Conv2d(6, 5, 3, padding=1))
        self.beside = nn.ReLU()
        self.pool = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.last = nn.Conv2d(10, 4, 3, padding=1)
        self.pooled = nn.ReLU()

    def forward(self, x):
        x = self.down(self.first(self.start(x)))
        x = self.summed(x + self.inner(x))
        x = self.beside(torch.cat([self.narrow(x), self.wide(x)], 1))
        return self.pooled(self.last(self.pool(x)))


def expand_and_compare() -> Verdict:
    torch.manual_seed(7)
    module = randomise(Everything(), seed=8)
    graph = linearise(module, SHAPE)
    layers, _ = choose_unit_layers(graph, "net", UNITS)
    expansion = Expansion(graph, {own.tensor: own.layer.name for own in layers})
    expanded = {expansion.layers[target]: expansion.expand_layer(target) for target in expansion.targets}
    assert list(expanded) == UNITS
    return compare(module, expanded, SHAPE, channels=2)


def plant(mistake: Mistake, patch: pytest.MonkeyPatch) -> None:
    """Give a function the code of its text with the mistake in it; whoever holds the function has the mistake too."""
    module = importlib.import_module(mistake.module)
    function = getattr(module, mistake.function)
    text = inspect.getsource(function)
    assert text.count(mistake.right) == 1, f"{mistake.function} does not hold {mistake.right!r} once"
    names = dict(vars(module))
    exec(f"from __future__ import annotations\n{text.replace(mistake.right, mistake.wrong)}", names)
    patch.setattr(function, "__code__", names[mistake.function].__code__)


def test_without_a_mistake_the_network_agrees_with_autograd():
    verdict = expand_and_compare()
    assert len(verdict.pairs) == 4
    assert verdict.kernel < KERNEL
    assert verdict.bias < BIAS


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_noticed(name, monkeypatch):
    plant(MISTAKES[name], monkeypatch)
    verdict = expand_and_compare()
    assert verdict.kernel > 100 * KERNEL or verdict.bias > 100 * BIAS


def test_a_mistake_that_is_no_longer_in_the_text_is_not_planted(monkeypatch):
    with pytest.raises(AssertionError, match="does not hold"):
        plant(Mistake("importers.pieces", "moved", "no such text", ""), monkeypatch)
