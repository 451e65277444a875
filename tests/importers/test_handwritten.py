"""The handwritten network has in it what its truth list says, and sees what it was written to see."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from circuitgraph.errors import ShapeError
from circuitgraph.ids import FamilyId, UnitId
from circuitgraph.records import Family
from importers.handwritten import (
    build_handwritten,
    handwritten_families,
    handwritten_truth,
    import_handwritten,
    render_circle,
    render_curve,
)
from importers.handwritten_plan import LAYERS
from importers.handwritten_weights import wished_weights

NAMES = [plan.name for plan in LAYERS]
TURNS = {
    "rot90": lambda kernels: np.rot90(kernels, 1, (2, 3)),
    "rot180": lambda kernels: np.rot90(kernels, 2, (2, 3)),
    "rot270": lambda kernels: np.rot90(kernels, 3, (2, 3)),
    "flip": lambda kernels: kernels[..., ::-1],
}


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def net() -> torch.nn.Module:
    return build_handwritten(0)


def activations(net: torch.nn.Module, images: NDArray[Any], start: str = "conv2d0") -> dict[str, NDArray[Any]]:
    """Activations of every layer from `start` on, which is given its own input."""
    x, found = torch.as_tensor(images), {}
    with torch.no_grad():
        for plan in LAYERS[NAMES.index(start) :]:
            x = torch.nn.functional.max_pool2d(x, 3, 2, 1) if plan.is_pooled and found else x
            x = net.get_submodule(plan.name)(x)
            found[plan.name] = x.numpy()
    return found


def expanded(net: torch.nn.Module, layer: str) -> NDArray[Any]:
    """W2 W1 of a layer, on the pooled map where a pool comes before."""
    weights = {name: value.double().numpy() for name, value in net.get_submodule(layer).state_dict().items()}
    if "reduce.weight" not in weights:
        return weights["conv.weight"]
    return np.einsum("dmyx,mu->duyx", weights["conv.weight"], weights["reduce.weight"][:, :, 0, 0])


def places(uids: tuple[str, ...]) -> list[int]:
    return [UnitId.parse(uid).channel or 0 for uid in uids]


def kernel_of(weights: NDArray[Any], up: str, down: str) -> NDArray[Any]:
    return weights[places((down,))[0], places((up,))[0]]


def layer_of(uid: str) -> str:
    return UnitId.parse(uid).layer


def strongest(values: NDArray[Any]) -> float:
    """The least value among the strongest 2%."""
    return float(np.sort(values.ravel())[-int(np.ceil(0.02 * values.size))])


@pytest.fixture(scope="module")
def curve_responses(net: torch.nn.Module) -> NDArray[Any]:
    """(stimulus, unit, row, col) of the 24 curve units to the 24 curves."""
    found = activations(net, np.stack([render_curve(15 * place) for place in range(24)]))
    return found["mixed3b"][:, places(handwritten_truth().roles["mixed3b!curves"])]


def test_each_layer_has_at_least_64_units_and_a_bottleneck_is_narrower_than_both_neighbours(net):
    found = activations(net, np.zeros((1, 3, 97, 97), np.float32))
    assert [found[name].shape[1:] for name in NAMES] == [
        (64, 97, 97), (64, 49, 49), (64, 49, 49), (96, 25, 25), (128, 25, 25),
        (96, 13, 13), (96, 13, 13), (96, 13, 13), (96, 13, 13), (64, 13, 13),
    ]  # fmt: skip
    for before, plan in pairwise(LAYERS):
        assert plan.bottleneck is None or plan.bottleneck < min(before.unit_count, plan.unit_count)
    with torch.no_grad():
        assert torch.equal(net(torch.zeros(1, 3, 97, 97)), torch.as_tensor(found["mixed4e"]))


def test_the_same_seed_gives_the_same_bits_and_leaves_torchs_random_state_alone(net):
    state = torch.random.get_rng_state()
    again, other = build_handwritten(0), build_handwritten(1)
    assert torch.equal(state, torch.random.get_rng_state())
    for name, value in net.state_dict().items():
        assert torch.equal(value, again.state_dict()[name])
    assert not torch.equal(net.state_dict()["mixed4b.conv.weight"], other.state_dict()["mixed4b.conv.weight"])


def test_a_curve_excites_the_curve_unit_of_its_angle_most(curve_responses):
    assert curve_responses.mean(axis=(2, 3)).argmax(axis=1).tolist() == list(range(24))
    for tuning in (curve_responses[:, :, 12, 12], curve_responses.max(axis=(2, 3))):
        assert tuning.argmax(axis=1).tolist() == list(range(24))
        assert tuning.argmax(axis=0).tolist() == list(range(24))


def test_tuning_curves_fall_off_on_both_sides_and_opposed_curves_do_not_fire(curve_responses):
    tuning = curve_responses[:, :, 12, 12]
    for place in range(24):
        own = np.roll(tuning[:, place], -place)
        assert own[0] > 1.1 * max(own[1], own[-1])
        assert own[0] > own[1] > own[2] > own[3]
        assert own[0] > own[-1] > own[-2] > own[-3]
        assert own[6:19].max() == 0


@pytest.mark.parametrize("seed", [1, 2])
def test_tuning_does_not_hang_on_the_background(seed):
    found = activations(build_handwritten(seed), np.stack([render_curve(15 * place) for place in range(24)]))
    tuning = found["mixed3b"][:, places(handwritten_truth().roles["mixed3b!curves"])].max(axis=(2, 3))
    assert tuning.argmax(axis=1).tolist() == list(range(24))


def test_a_rendered_curve_turns_counter_clockwise_as_displayed():
    assert np.allclose(np.rot90(render_curve(15.0), 1, (1, 2)), render_curve(105.0), atol=1e-6)
    right = render_curve(0.0)[0]
    assert right[48, 48] == 1
    assert right[38, :48].max() > 0
    assert right[38, 49:].max() == 0


def test_a_curve_without_a_size_is_refused():
    with pytest.raises(ShapeError, match="radius is -1"):
        render_curve(0.0, radius=-1.0)


def test_a_circle_excites_the_circle_unit_and_a_single_arc_does_not(net):
    unit = places(handwritten_truth().roles["mixed4a!circles"])[0]
    images = np.stack([render_circle(), *(render_curve(15 * place) for place in range(24))])
    responses = activations(net, images)["mixed4a"][:, unit].max(axis=(1, 2))
    assert responses[0] > 10
    assert responses[1:].max() < 0.1 * responses[0]


def test_strands_of_one_side_excite_that_sides_pathway_and_the_pose_invariant_head(net):
    truth = handwritten_truth()
    images = np.zeros((2, 64, 25, 25), np.float32)
    for side in (0, 1):
        images[side, places(truth.ladder.rungs[0])[side], 8:17, 8:17] = 1
    # mixed3a is given the pooled map of conv2d2
    found = activations(net, images, start="mixed3a")
    for rung in truth.ladder.rungs[1:]:
        peaks = found[layer_of(rung[0])][:, places(rung)].max(axis=(2, 3))
        assert peaks[0, 0] > 20 * peaks[0, 1]
        assert peaks[1, 1] > 20 * peaks[1, 0]
    head = found["mixed4b"][:, places((truth.ladder.u,))[0]].max(axis=(1, 2))
    assert head.min() > 1
    assert abs(head[0] - head[1]) < 0.1 * head.max()


def test_the_car_fires_when_windows_are_above_and_wheels_below_and_not_upside_down(net):
    truth = handwritten_truth()
    images = np.zeros((2, 96, 13, 13), np.float32)
    images[0, places((truth.unit("mixed4b!windows"),))[0], 4:6, 5:8] = 1
    images[0, places((truth.unit("mixed4b!wheels"),))[0], 7:9, 5:8] = 1
    images[1] = images[0, :, ::-1]
    car = activations(net, images, start="mixed4c")["mixed4c"][:, places((truth.unit("mixed4c!car"),))[0], 6, 6]
    assert car[0] > 1
    assert car[1] == 0


@pytest.mark.parametrize("layer", NAMES)
def test_expanded_weights_are_the_wished_ones_and_a_dense_weak_background(net, layer):
    background = expanded(net, layer) - wished_weights(layer)
    norms = np.sqrt((background**2).sum(axis=(2, 3)))
    assert np.sqrt((norms**2).mean()) == pytest.approx(0.02, rel=0.1)
    assert (norms > 0).all()


def test_what_must_be_found_is_eight_times_as_strong_as_the_background():
    truth = handwritten_truth()
    edges = [
        (edge.up, edge.down) for edge in (*truth.car, *truth.mutual_inhibition, *truth.opposed_curves, *truth.circle)
    ]
    edges += [(truth.superposition.unit, client) for client in truth.superposition.clients]
    for up, down in edges:
        assert np.linalg.norm(kernel_of(wished_weights(layer_of(down)), up, down)) > 8 * 0.02


def test_windows_excite_the_car_at_the_top_and_wheels_at_the_bottom_over_mixed_edges(net):
    weights = expanded(net, "mixed4c")
    l2 = np.sqrt((weights**2).sum(axis=(2, 3)))
    sums = np.abs(weights.sum(axis=(2, 3)))
    for edge in handwritten_truth().car:
        kernel = kernel_of(weights, edge.up, edge.down)
        top, bottom, sides = kernel[:2].sum(), kernel[3:].sum(), kernel.sum()
        assert edge.top == 0 or edge.top * top > 1
        assert edge.bottom * bottom > 1
        if edge.kind == "MIXES":
            assert abs(sides) < 0.2 * np.abs(kernel).sum()
            assert np.linalg.norm(kernel) >= strongest(l2)
        else:
            assert sides >= strongest(sums)


def test_pathways_inhibit_each_other_at_three_layers_and_the_head_unites_them(net):
    truth = handwritten_truth()
    assert len({layer_of(edge.down) for edge in truth.mutual_inhibition}) == 3
    assert len(truth.mutual_inhibition) == 6
    for edge in truth.mutual_inhibition:
        sums = expanded(net, layer_of(edge.down)).sum(axis=(2, 3))
        inhibition = kernel_of(sums[..., None, None], edge.up, edge.down).item()
        assert inhibition < -1
        assert -inhibition >= strongest(np.abs(sums))
    for lower, upper in pairwise(truth.ladder.rungs):
        for up, down in zip(lower, upper, strict=True):
            assert kernel_of(expanded(net, layer_of(down)), up, down).sum() > 1
    sums = expanded(net, "mixed4b").sum(axis=(2, 3))
    for side in truth.ladder.rungs[-1]:
        assert kernel_of(sums[..., None, None], side, truth.ladder.u).item() >= strongest(np.abs(sums))


def test_the_car_is_spread_over_exactly_the_twelve_dog_units(net):
    truth = handwritten_truth().superposition
    weights = expanded(net, "mixed4d")
    sums = weights.sum(axis=(2, 3))
    from_car = sums[:, places((truth.unit,))[0]]
    assert sorted(np.flatnonzero(from_car >= strongest(np.abs(sums)))) == sorted(places(truth.clients))
    assert len(set(truth.clients)) == 12
    own = from_car[places(truth.clients)]
    assert own.sum() ** 2 / (own**2).sum() > 11.8
    dogs = places(handwritten_truth().roles["mixed4c!dogs"])
    assert ((sums[places(truth.clients)][:, dogs] > 1).sum(axis=1) == 3).all()


def test_opposed_curves_inhibit_and_similar_ones_excite_along_the_tangent(net):
    truth = handwritten_truth()
    early, curves = truth.roles["mixed3a!early-curves"], truth.roles["mixed3b!curves"]
    weights = expanded(net, "mixed3b")
    sums = np.abs(weights.sum(axis=(2, 3)))
    for edge in truth.opposed_curves:
        assert kernel_of(weights, edge.up, edge.down).sum() <= -strongest(sums)
    for at in range(24):
        for step in (-2, -1, 0, 1, 2):
            assert kernel_of(weights, early[(at + step) % 24], curves[at]).sum() > 0.5
    # a curve that bulges to the right: its upper part, which bulges up and right, lies above and left of the middle
    upper = kernel_of(wished_weights("mixed3b"), early[3], curves[0])
    assert np.unravel_index(upper.argmax(), upper.shape) == (0, 1)


@pytest.mark.parametrize("place", range(len(handwritten_truth().equivariances)))
def test_equivariances_hold_bit_for_bit_before_the_background(place):
    truth = handwritten_truth().equivariances[place]
    weights = wished_weights(layer_of(truth.down_units[0]))
    kernels = weights[np.ix_(places(truth.down_units), places(truth.up_units))]
    assert kernels.any()
    moved = kernels[np.ix_(truth.down_permutation, truth.up_permutation)]
    assert np.array_equal(moved, TURNS[truth.transformation](kernels))


def test_a_quarter_turn_moves_curves_by_six_places_in_four_cycles():
    curves = handwritten_truth().roles["mixed3b!curves"]
    (truth,) = (
        each
        for each in handwritten_truth().equivariances
        if each.down_units == curves and each.transformation == "rot90"
    )
    assert truth.down_permutation == truth.up_permutation == tuple((place + 6) % 24 for place in range(24))
    assert len(truth.down_cycles) == len(truth.up_cycles) == 6
    assert truth.down_cycles[1] == (curves[1], curves[7], curves[13], curves[19])


def test_the_union_list_holds_the_dog_heads_and_the_opposed_curves_and_nothing_that_breaks_the_formula():
    truth = handwritten_truth()
    units = {(union.aL, union.aR, union.bL, union.bR, union.u) for union in truth.unions}
    assert (*truth.ladder.rungs[2], *truth.ladder.rungs[3], truth.ladder.u) in units
    curves, circle = truth.roles["mixed3b!curves"], truth.unit("mixed4a!circles")
    pairs = {frozenset((union.bL, union.bR)) for union in truth.unions if union.u == circle}
    assert all(frozenset((curves[at], curves[at + 12])) in pairs for at in range(12))
    for union in truth.unions:
        middle, down = wished_weights(layer_of(union.bL)), wished_weights(layer_of(union.u))
        six = [
            kernel_of(middle, union.aL, union.bL).sum(),
            -kernel_of(middle, union.aL, union.bR).sum(),
            kernel_of(middle, union.aR, union.bR).sum(),
            -kernel_of(middle, union.aR, union.bL).sum(),
            kernel_of(down, union.bL, union.u).sum(),
            kernel_of(down, union.bR, union.u).sum(),
        ]
        assert min(six) == pytest.approx(union.score, abs=1e-6)
        assert min(six) >= 0.06


def test_no_union_of_curves_is_missing_from_the_list():
    truth = handwritten_truth()
    first = wished_weights("mixed3b").astype(float).sum(axis=(2, 3))
    second = wished_weights("mixed4a").astype(float).sum(axis=(2, 3))
    united = set()
    for left, right in np.argwhere(np.triu(np.ones((128, 128)), 1)):
        one = np.minimum(first[left], -first[right]).max()
        two = np.minimum(first[right], -first[left]).max()
        for u in np.flatnonzero(np.minimum(second[:, left], second[:, right]) >= 0.06):
            if min(one, two) >= 0.06:
                united.add((frozenset((int(left), int(right))), int(u)))
    listed = [each for each in truth.unions if layer_of(each.bL) == "mixed3b"]
    assert {(frozenset(places((each.bL, each.bR))), places((each.u,))[0]) for each in listed} == united


@pytest.mark.parametrize("grouped", [False, True])
def test_families_are_disjoint_and_their_units_exist(grouped):
    families: list[Family] = handwritten_families(grouped=grouped)
    widths = {plan.name: plan.unit_count for plan in LAYERS}
    seen: list[str] = []
    for family in families:
        assert FamilyId.parse(family.uid).network == "handwritten"
        assert family.name
        assert family.description
        assert [member.position for member in family.members] == list(range(len(family.members)))
        for member in family.members:
            unit = UnitId.parse(member.unit)
            assert (unit.channel or 0) < widths[unit.layer]
            seen.append(member.unit)
    assert len(seen) == len(set(seen))
    assert len({family.uid for family in families}) == len(families)
    assert set(seen) == {uid for uids in handwritten_truth().roles.values() for uid in uids}


def test_curve_families_carry_their_angles():
    families = {family.uid: family for family in handwritten_families()}
    angles = [member.angle_deg for member in families["handwritten/mixed3b!curves"].members]
    assert angles == [15.0 * place for place in range(24)]
    assert families["handwritten/mixed4c!car"].members[0].angle_deg is None


def test_the_bundle_holds_the_expanded_weights_and_the_families(net, tmp_path):
    bundle = import_handwritten(tmp_path / "handwritten.circuit")
    assert [layer.name for layer in bundle.layers] == ["input", *NAMES]
    kernels = bundle.block("handwritten/mixed4b", "handwritten/mixed4c").kernels
    assert np.allclose(kernels, expanded(net, "mixed4c"), atol=1e-6)
    assert {family.uid for family in bundle.families} == {family.uid for family in handwritten_families()}
