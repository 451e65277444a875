"""How well weights predict a network: against plain loops, and exactly one where nothing is left out."""

from __future__ import annotations

import copy
import dataclasses
import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from PIL import Image
from torch import nn

from circuitgraph.bundle import Bundle
from circuitgraph.bundle.approximations import approximation_notes, fidelity_summary
from circuitgraph.bundle.fidelity import describe_approximations, write_fidelity
from circuitgraph.bundle.verify import verify_bundle
from circuitgraph.errors import (
    BundleError,
    CircuitGraphError,
    MappingError,
    MissingFileError,
    NonFiniteError,
    ShapeError,
    WeightsError,
)
from importers import Linearisation, import_kernels, import_torch, measure_bundle, measure_fidelity
from importers.images import normalise, read_images, smooth_noise
from tests.importers.autograd import randomise


class Mixed(nn.Module):
    """Bottleneck, max pool, uneven concatenation, shortcut, functional and reused ReLUs, pooled mean, linear head."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 3, 2, 1)
        self.norm = nn.BatchNorm2d(6)
        self.relu = nn.ReLU(inplace=True)
        self.pool = nn.MaxPool2d(3, 2)
        self.squeeze = nn.Conv2d(6, 3, 1)
        self.narrow = nn.Conv2d(3, 4, 1)
        self.wide = nn.Conv2d(3, 5, 3, padding=1)
        self.twist = nn.Conv2d(9, 9, (3, 1), padding=(1, 0), groups=3)
        self.head = nn.Linear(9, 4)

    def forward(self, x):
        x = self.pool(self.relu(self.norm(self.stem(x))))
        x = self.relu(self.squeeze(x))
        x = torch.cat([F.relu(self.narrow(x)), F.relu(self.wide(x), inplace=True)], 1)
        y = self.twist(x)
        y += x
        y = F.relu(y, inplace=True)
        return self.head(F.adaptive_avg_pool2d(y, 1).flatten(1))


UNITS = ["relu#0", "cat", "relu#4"]
SHAPE = (3, 25, 21)


def imported(tmp_path, module, shape=SHAPE, **options):
    return import_torch(module, out=tmp_path / "net.circuit", network="net", input_shape=shape, **options)


def true_maps(module, images):
    """Run the module by hand, and give what its layers of units hold, (image, unit, row, col)."""
    m = copy.deepcopy(module)
    with torch.no_grad():
        x = torch.from_numpy(images)
        first = torch.relu(m.norm(m.stem(x)))
        z = torch.relu(m.squeeze(m.pool(first)))
        second = torch.cat([torch.relu(m.narrow(z)), torch.relu(m.wide(z))], 1)
        third = torch.relu(m.twist(second) + second)
        logits = m.head(third.mean((2, 3)))[:, :, None, None]
    return [each.double().numpy() for each in (x, first, second, third, logits)]


def looped(bundle, layers, maps, index):
    """Predict a layer by loops over images, positions and window cells: (position, unit), and which are interior."""
    down = layers[index]
    predicted, interior = [], []
    for image in range(len(maps[0])):
        for row in range(down.size[0]):
            for col in range(down.size[1]):
                value, is_inside = bundle.bias(down.uid).astype(float), True
                for up in range(index):
                    if (layers[up].uid, down.uid) not in bundle.pairs:
                        continue
                    block = bundle.block(layers[up].uid, down.uid)
                    source = maps[up][image]
                    if block.form == "global":
                        value = value + block.kernels[:, :, 0, 0] @ source.mean((1, 2))
                        continue
                    for i in range(block.kernels.shape[2]):
                        for j in range(block.kernels.shape[3]):
                            r = block.stride[0] * row + block.offset[0] + i
                            c = block.stride[1] * col + block.offset[1] + j
                            if 0 <= r < source.shape[1] and 0 <= c < source.shape[2]:
                                value = value + block.kernels[:, :, i, j] @ source[:, r, c]
                            else:
                                is_inside = False
                predicted.append(value)
                interior.append(is_inside)
    return np.array(predicted), np.array(interior)


def check_against_numpy(found, true, predicted):
    varies = np.ptp(true, axis=0) > 0
    assert found.positions == len(true)
    assert found.constant_units == (~varies).sum()
    true, predicted = true[:, varies], predicted[:, varies]
    assert found.correlation == pytest.approx(np.corrcoef(true.ravel(), predicted.ravel())[0, 1], abs=1e-6)
    explained = 1 - np.square(true - predicted).sum() / np.square(true - true.mean(axis=0)).sum()
    assert found.explained == pytest.approx(explained, abs=1e-5)
    if len(true) < 8:
        assert found.unit_quartiles is None
        return
    own = [np.corrcoef(t, p)[0, 1] if np.ptp(p) > 0 else 0.0 for t, p in zip(true.T, predicted.T, strict=True)]
    assert found.unit_quartiles == pytest.approx(np.quantile(own, [0.25, 0.5, 0.75]), abs=1e-5)


def test_every_figure_is_that_of_plain_loops(tmp_path):
    module = randomise(Mixed(), 3)
    bundle = imported(tmp_path, module, units=UNITS, fidelity=0)
    layers = bundle.layers
    assert len(layers) == 5
    images = smooth_noise(SHAPE, 3, seed=5)
    found = measure_fidelity(bundle, module, images=images, positions=None)
    maps = true_maps(module, images)
    is_lossy = []
    for index, layer in enumerate(layers[1:], start=1):
        predicted, interior = looped(bundle, layers, maps, index)
        if index < 4:
            predicted = np.maximum(predicted, 0)
        true = np.moveaxis(maps[index], 1, 3).reshape(-1, layer.unit_count)
        own = found.layers[layer.uid]
        check_against_numpy(own.anywhere, true, predicted)
        assert interior.any()
        check_against_numpy(own.interior, true[interior], predicted[interior])
        is_lossy.append(own.interior.correlation < 0.999)
    # the pool and the bottleneck's ReLU are what is lost; all else is exact
    assert is_lossy == [False, True, False, False]


def test_with_no_pool_and_every_activation_a_layer_the_prediction_is_exact(tmp_path):
    torch.manual_seed(0)
    module = randomise(Mixed(), 4)
    module.pool = nn.Identity()
    bundle = imported(tmp_path, module, units="activations", fidelity=0)
    for own in measure_fidelity(bundle, module, count=2).layers.values():
        assert own.interior.correlation == pytest.approx(1, abs=1e-6)
        assert own.interior.explained == pytest.approx(1, abs=1e-6)


def test_biases_behind_padding_are_wrong_at_the_border_only(tmp_path):
    module = randomise(nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.Conv2d(4, 5, 5, 2, padding=2), nn.ReLU()), 7)
    own = measure_fidelity(imported(tmp_path, module, (2, 17, 15), fidelity=0), module, positions=None).layers["net/2"]
    assert own.interior.correlation == pytest.approx(1, abs=1e-6)
    assert own.interior.positions == 4 * 5 * 4
    assert own.anywhere.correlation < 0.9999
    assert own.anywhere.positions == 4 * 9 * 8


@pytest.mark.parametrize("change", [{"offset": (0, -1)}, {"offset": (-1, 0)}, {"stride": (1, 1)}])
def test_a_shift_by_a_cell_or_a_lost_stride_shows(tmp_path, change):
    module = randomise(nn.Sequential(nn.Conv2d(2, 4, 3, 2, padding=1), nn.ReLU()), 7)
    bundle = imported(tmp_path, module, (2, 16, 16), fidelity=0)
    white = np.random.default_rng(0).normal(size=(2, 2, 16, 16))
    assert measure_fidelity(bundle, module, images=white).layers["net/1"].interior.correlation > 1 - 1e-6
    bundle.__dict__["blocks"] = tuple(dataclasses.replace(part, **change) for part in bundle.blocks)
    assert measure_fidelity(bundle, module, images=white).layers["net/1"].interior.correlation < 0.8


def test_another_architecture_with_the_same_weights_is_refused(tmp_path):
    module = randomise(nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.ReLU()), 7)
    bundle = imported(tmp_path, module, (2, 16, 16), fidelity=0)
    module[0].padding = (2, 1)
    with pytest.raises(MappingError, match="the module is not the one that was imported"):
        measure_fidelity(bundle, module)


def test_units_that_never_change_are_left_out_and_counted(tmp_path):
    module = randomise(nn.Sequential(nn.Conv2d(2, 6, 3), nn.ReLU()), 1)
    with torch.no_grad():
        module[0].bias[2] = module[0].bias[4] = -1e4
    own = measure_fidelity(imported(tmp_path, module, (2, 12, 12), fidelity=0), module).layers["net/1"]
    assert own.interior.constant_units == 2
    assert own.interior.correlation == pytest.approx(1, abs=1e-6)


def test_a_layer_without_an_interior_position_says_so(tmp_path):
    module = randomise(nn.Sequential(nn.Conv2d(2, 6, 7, padding=3), nn.ReLU()), 1)
    bundle = imported(tmp_path, module, (2, 5, 5), fidelity=2)
    own = bundle.fidelity.layers["net/1"]
    assert own.interior is None
    assert own.anywhere.positions == 50
    assert bundle.fidelity.on("net/1") == "2 images of smooth noise of deviation 1, all positions"
    table = describe_approximations(bundle)[1]
    assert table.rows[0]["where"] == "all"
    assert any("a window reaches over a border" in note for note in table.notes)


def test_an_import_measures_by_default_and_leaves_the_module_as_it_was(tmp_path):
    module = randomise(Mixed(), 3).train()
    calls = []
    module.stem.register_forward_hook(lambda *_: calls.append(1))
    before = {name: value.clone() for name, value in module.state_dict().items()}
    bundle = imported(tmp_path, module)
    assert (bundle.fidelity.image_count, bundle.fidelity.seed) == (4, 0)
    assert set(bundle.fidelity.layers) == {layer.uid for layer in bundle.layers[1:]}
    assert module.training and not calls
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())
    assert all(value.grad is None for value in module.parameters())
    assert verify_bundle(bundle).differences == ()


def test_two_imports_with_other_numbers_of_threads_give_the_same_bytes(tmp_path, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")
    module = randomise(Mixed(), 3)
    threads, texts = torch.get_num_threads(), []
    try:
        for number in (1, 2):
            torch.set_num_threads(number)
            folder = tmp_path / str(number)
            folder.mkdir()
            texts.append((imported(folder, module).path / "manifest.json").read_bytes())
            assert torch.get_num_threads() == number
    finally:
        torch.set_num_threads(threads)
    assert texts[0] == texts[1]
    assert b"fidelity" in texts[0]


def test_what_is_not_measured_is_said(tmp_path):
    bundle = imported(tmp_path, randomise(Mixed(), 3), fidelity=0)
    assert bundle.fidelity is None
    assert "fidelity" not in json.loads((bundle.path / "manifest.json").read_text())
    assert "not measured" in describe_approximations(bundle)[1].notes[0]
    assert "not measured" in fidelity_summary(bundle)
    with pytest.raises(ShapeError, match="-1 images"):
        imported(tmp_path, randomise(Mixed(), 3), fidelity=-1, replace=True)


def test_what_cannot_be_measured_does_not_stop_an_import(tmp_path):
    module = nn.Sequential(nn.Conv2d(2, 3, 3), nn.ReLU(), nn.Conv2d(3, 3, 3), nn.ReLU())
    with torch.no_grad():
        for value in module.parameters():
            value.fill_(1e25)
    bundle = imported(tmp_path, module, (2, 9, 9), units="activations")
    assert bundle.fidelity is None
    with pytest.raises(NonFiniteError, match="an activation of net/3 is NaN or infinite"):
        measure_fidelity(bundle, module)


def test_another_network_or_other_images_are_refused(tmp_path):
    module = randomise(Mixed(), 3)
    bundle = imported(tmp_path, module, fidelity=0)
    with pytest.raises(WeightsError, match="the module's weights are"):
        measure_fidelity(bundle, randomise(Mixed(), 4))
    with pytest.raises(ShapeError, match=r"images of shape \(2, 3, 25, 20\)"):
        measure_fidelity(bundle, module, images=np.zeros((2, 3, 25, 20)))
    with pytest.raises(NonFiniteError, match="a value of the images"):
        measure_fidelity(bundle, module, images=np.full((1, *SHAPE), np.nan))
    with pytest.raises(ShapeError, match="0 images"):
        measure_fidelity(bundle, module, count=0)


def test_a_new_measurement_takes_the_place_of_the_old_one_and_the_hash_stays(tmp_path):
    module = randomise(Mixed(), 3)
    bundle = imported(tmp_path, module)
    images = np.random.default_rng(1).normal(size=(3, *SHAPE)) * 40 + 120
    new = measure_fidelity(bundle, module, images=images, inputs="mine", mean=[120], std=[40])
    saved = write_fidelity(bundle, new)
    assert saved.fidelity == new.rounded()
    assert (saved.fidelity.inputs, saved.fidelity.mean, saved.fidelity.std) == ("mine", (120.0,), (40.0,))
    assert saved.sha256 == bundle.sha256
    assert Bundle.open(bundle.path).fidelity == saved.fidelity != bundle.fidelity
    assert verify_bundle(saved).differences == ()
    assert [path.name for path in tmp_path.iterdir()] == ["net.circuit"]
    plain = normalise(images, mean=[120], std=[40])
    assert measure_fidelity(bundle, module, images=plain).layers == new.layers


def test_a_measurement_of_other_layers_is_not_saved(tmp_path):
    bundle = imported(tmp_path, randomise(Mixed(), 3))
    other = bundle.fidelity.model_copy(update={"layers": {"net/none": bundle.fidelity.layers["net/cat"]}})
    with pytest.raises(BundleError, match="net/none"):
        write_fidelity(bundle, other)


def test_each_pair_says_what_lies_under_it(tmp_path):
    bundle = imported(tmp_path, randomise(Mixed(), 3), units=UNITS)
    pairs, layers = describe_approximations(bundle)
    said = {(row["up"], row["down"]): row for row in pairs.rows}
    lossy = said["relu#0", "cat"]
    assert lossy["ignored_activations"] == 1
    assert lossy["approximations"] == ["max_pool=avg: max pools are taken as the mean over their window"]
    assert 0 < lossy["cancellation"] <= lossy["cancellation_p90"] < 1
    first = said["input", "relu#0"]
    assert (first["ignored_activations"], first["approximations"], first["cancellation"]) == (0, [], None)
    (note,) = approximation_notes(bundle, [("net/relu#0", "net/cat"), ("net/input", "net/relu#0")] * 3)
    correlation = bundle.fidelity.layers["net/cat"].best_known.correlation
    assert note.startswith("relu#0 -> cat: max_pool=avg: max pools are taken as the mean")
    assert f"1 activation ignored on the way; correlation of prediction and activation {correlation:.3f}" in note
    assert {row["layer"] for row in layers.rows} == {layer.name for layer in bundle.layers[1:]}


def test_noise_is_smooth_of_the_asked_deviation_and_repeatable():
    noise = smooth_noise((3, 40, 56), 3, seed=2, deviation=60)
    assert noise.std(axis=(2, 3)) == pytest.approx(60, rel=1e-4)
    assert noise.mean(axis=(2, 3)) == pytest.approx(0, abs=1e-3)
    assert np.corrcoef(noise[0, 0, 1:].ravel(), noise[0, 0, :-1].ravel())[0, 1] > 0.8
    assert np.array_equal(smooth_noise((3, 40, 56), 1, seed=2, deviation=60)[0], noise[0])
    assert not np.array_equal(smooth_noise((3, 40, 56), 1, seed=3, deviation=60)[0], noise[0])
    assert np.isfinite(smooth_noise((5, 1, 1), 2)).all()


def test_images_come_from_a_folder_or_an_array(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name, size in (("b.png", (30, 50)), ("a.png", (40, 40))):
        Image.fromarray(rng.integers(0, 255, (*size, 3), dtype=np.uint8)).save(folder / name)
    (folder / "notes.txt").write_text("no image")
    images = read_images(folder, (3, 20, 20))
    assert images.shape == (2, 3, 20, 20)
    assert 0 <= images.min() < images.max() <= 1
    # "a.png" is halved: each cell is near the mean of four
    whole = np.asarray(Image.open(folder / "a.png"), dtype=float) / 255
    halved = whole.reshape(20, 2, 20, 2, 3).mean((1, 3))
    assert np.corrcoef(np.moveaxis(images[0], 0, 2).ravel(), halved.ravel())[0, 1] > 0.9
    assert read_images(folder, (1, 20, 20), count=1).shape == (1, 1, 20, 20)
    bytes_, floats = tmp_path / "bytes.npy", tmp_path / "floats.npy"
    np.save(bytes_, np.full((2, 3, 4, 4), 255, dtype=np.uint8))
    np.save(floats, np.full((2, 3, 4, 4), 7.0))
    assert read_images(bytes_, (3, 4, 4)).max() == 1
    assert read_images(floats, (3, 4, 4), count=1).tolist() == np.full((1, 3, 4, 4), 7.0).tolist()


def test_images_that_cannot_be_used_are_refused_by_our_own_errors(tmp_path):
    empty, broken = tmp_path / "empty", tmp_path / "broken"
    for folder in (empty, broken):
        folder.mkdir()
    (broken / "x.png").write_bytes(b"not an image")
    np.save(tmp_path / "texts.npy", np.array([["a"]]))
    np.save(tmp_path / "ints.npy", np.zeros((1, 3, 4, 4), dtype=np.int64))
    np.save(tmp_path / "nan.npy", np.full((1, 3, 4, 4), np.nan))
    (tmp_path / "objects.npy").write_bytes(b"\x93NUMPY garbage")
    for name, kind, said in (
        ("none", MissingFileError, "there is no"),
        ("empty", MissingFileError, "holds none of"),
        ("broken", WeightsError, "x.png: it is no image"),
        ("texts.npy", ShapeError, "images x 3x4x4 are wanted"),
        ("ints.npy", WeightsError, "its numbers are int64"),
        ("nan.npy", WeightsError, "NaN or infinite"),
        ("objects.npy", WeightsError, "it is no .npy"),
    ):
        with pytest.raises(kind, match=said):
            read_images(tmp_path / name, (3, 4, 4))
    with pytest.raises(ShapeError, match="5 channels, images have 1 or 3"):
        read_images(empty, (5, 4, 4))
    with pytest.raises(ShapeError, match="2 numbers are given as mean"):
        normalise(np.zeros((1, 3, 4, 4)), mean=[0, 1])
    with pytest.raises(ShapeError, match="a deviation is above 0"):
        normalise(np.zeros((1, 3, 4, 4)), std=[0])


def correlations(found):
    return {uid.partition("/")[2]: own.best_known.correlation for uid, own in found.layers.items()}


def test_the_real_squeezenet_is_predicted_as_well_as_was_known(tmp_path, shared_data):
    weights = shared_data / "squeezenet" / "squeezenet_v1.0_pruned.npz"
    bundle = import_kernels(weights, arch="squeezenet1_0", out=tmp_path / "s.circuit")
    found = correlations(bundle.fidelity)
    assert bundle.fidelity.inputs == "smooth noise of deviation 60"
    assert found["fire3"] == pytest.approx(0.981, abs=0.01)
    assert found["fire5"] == pytest.approx(0.898, abs=0.02)
    # a squeeze unit that is always far below zero: what ignoring a ReLU can cost
    assert found["fire8"] < 0.5
    again = measure_bundle(bundle, weights=weights)
    assert again.rounded() == bundle.fidelity
    with pytest.raises(CircuitGraphError):
        measure_bundle(bundle)


@pytest.mark.slow
def test_averaged_pools_predict_the_real_squeezenet_better_than_their_middle_cells(tmp_path, shared_data):
    weights = shared_data / "squeezenet" / "squeezenet_v1.0_pruned.npz"
    found = {
        rule: correlations(
            import_kernels(
                weights, arch="squeezenet1_0", out=tmp_path / rule, linearisation=Linearisation(max_pool=rule)
            ).fidelity
        )
        for rule in ("avg", "centre")
    }
    assert found["centre"]["fire5"] == pytest.approx(0.871, abs=0.02)
    for layer in ("fire2", "fire5", "fire9"):
        assert found["avg"][layer] > found["centre"][layer]
    assert found["avg"]["fire3"] == found["centre"]["fire3"]


def test_the_real_resnet20_is_exact_from_activation_to_activation(tmp_path, shared_data):
    weights = shared_data / "resnet20_cifar10" / "resnet20-12fca82f.th"
    bundle = import_torch(
        "importers.architectures:resnet20",
        weights=weights,
        input_shape=(3, 32, 32),
        units="activations",
        out=tmp_path / "r.circuit",
    )
    assert set(correlations(bundle.fidelity).values()) == {1.0}
