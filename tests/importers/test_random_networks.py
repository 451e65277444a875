"""Random small networks: expanded weights agree with autograd, or an error of ours refuses them; nothing else."""

from __future__ import annotations

import warnings
from collections import Counter

import hypothesis
import pytest
import torch
from hypothesis import HealthCheck, given, settings

from circuitgraph.errors import CircuitGraphError
from importers.expand import Expansion
from importers.linearise import linearise
from importers.unit_layers import UnitRuleWarning, choose_unit_layers
from tests.importers.autograd import compare, randomise
from tests.importers.random_networks import Drawn, RandomNetwork, networks

# torch says once that an even window of the map's own size needs an uneven pad
pytestmark = [pytest.mark.filterwarnings("ignore:Using padding='same'"), pytest.mark.usefixtures("one_thread")]

KERNEL, BIAS = 1e-5, 1e-4


def expand_or_refuse(drawn: Drawn, module: torch.nn.Module) -> tuple[dict, list[str], list[str]]:
    """Expand every layer: {layer: (bias, blocks)}, all layers, and what was said where one was refused."""
    try:
        graph = linearise(module, drawn.shape)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UnitRuleWarning)
            chosen, _ = choose_unit_layers(graph, "net", drawn.units)
    except CircuitGraphError as error:
        return {}, [], [str(error)]
    expansion = Expansion(graph, {own.tensor: own.layer.name for own in chosen})
    expanded, refused = {}, []
    for target in expansion.targets:
        layer = expansion.layers[target]
        try:
            planned = {pair.up for pair in expansion.plan(target)}
        except CircuitGraphError as error:
            refused.append(str(error))
            with pytest.raises(type(error)):
                expansion.expand_layer(target)
            continue
        bias, blocks = expansion.expand_layer(target)
        assert {block.up for block in blocks} <= planned
        expanded[layer] = (bias, blocks)
    return expanded, [expansion.layers[target] for target in expansion.targets], refused


def judge(drawn: Drawn) -> str:
    """Say "agreed", "refused" or "border" (a term at the border was dropped, and recorded); raise on a difference."""
    torch.manual_seed(drawn.seed)
    module = randomise(RandomNetwork(drawn.program), seed=drawn.seed)
    expanded, layers, refused = expand_or_refuse(drawn, module)
    exact = {layer for layer, (_, blocks) in expanded.items() if not any("border" in b.approximations for b in blocks)}
    cut = {layer: expanded.get(layer, (None, [])) for layer in layers}
    if exact:
        # a linear layer after a flattened map fits one size only, where some windows may be too wide
        is_fixed = any(step.kind == "flatten" for step in drawn.program)
        options = {"sizes": (), "may_be_unplaced": True} if is_fixed else {}
        options["may_cancel"] = True
        verdict = compare(module, cut, drawn.shape, only=exact, margin=drawn.cropped, seed=drawn.seed, **options)
        assert verdict.kernel < KERNEL, (verdict.kernel, drawn)
        assert verdict.bias < BIAS, (verdict.bias, drawn)
    return "refused" if refused else "agreed" if len(exact) == len(expanded) else "border"


def run(count: int, seed: int) -> Counter:
    """Judge random networks, always the same for a seed, and count what came out."""
    outcomes: Counter = Counter()

    @hypothesis.seed(seed)
    @settings(max_examples=count, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(networks())
    def check(drawn: Drawn) -> None:
        outcomes[judge(drawn)] += 1

    check()
    return outcomes


def test_a_few_random_networks_agree_with_autograd_or_are_refused():
    outcomes = run(25, seed=0)
    assert outcomes["agreed"] > 0.5 * outcomes.total()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 4))
def test_many_random_networks_agree_with_autograd_or_are_refused(seed):
    outcomes = run(500, seed)
    assert outcomes.total() >= 500
    assert outcomes["refused"] < 0.3 * outcomes.total()
    assert outcomes["agreed"] > 0.5 * outcomes.total()
