"""Three real trained networks in one database; each answer in Cypher is checked against numpy on the weights file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import platformdirs
import pytest
import torch

from circuitgraph import Bundle, Store
from circuitgraph.bundle.verify import verify_bundle
from circuitgraph.settings import Settings
from importers import import_kernels, import_torch

SQUEEZENET = "squeezenet/squeezenet_v1.0_pruned.npz"
RESNET20 = "resnet20_cifar10/resnet20-12fca82f.th"
TINY_VGG = "tinyvgg/nn_10.json"


@pytest.fixture(scope="module")
def bundles(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Bundle]:
    folder = tmp_path_factory.mktemp("bundles")
    return {
        "squeezenet": import_kernels(
            shared_data / SQUEEZENET, arch="squeezenet1_0", network="squeezenet", out=folder / "squeezenet.circuit"
        ),
        "resnet20": import_torch(
            "importers.architectures:resnet20",
            network="resnet20",
            weights=shared_data / RESNET20,
            input_shape=(3, 32, 32),
            out=folder / "resnet20.circuit",
        ),
        "tiny_vgg": import_kernels(
            shared_data / TINY_VGG, mapping="tiny_vgg", network="tiny_vgg", out=folder / "tiny_vgg.circuit"
        ),
    }


@pytest.fixture(scope="module")
def store(bundles: dict[str, Bundle], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    settings = Settings(
        data_dir=tmp_path_factory.mktemp("data"),
        jars_dir=platformdirs.user_cache_path("circuitgraph") / "jars",
        heap="1g",
        page_cache="512m",
    )
    with Store.open(settings=settings) as opened:
        opened.load(*bundles.values())
        yield opened
        assert opened.server is not None
        opened.server.destroy()


def test_counts_are_those_of_the_articles_layers(bundles: dict[str, Bundle]) -> None:
    counts = {name: bundle.manifest.counts for name, bundle in bundles.items()}
    assert (counts["resnet20"]["pairs"], counts["resnet20"]["edges"]) == (11, 14_256)
    assert (counts["squeezenet"]["pairs"], counts["squeezenet"]["edges"]) == (10, 1_343_776)
    assert (counts["tiny_vgg"]["pairs"], counts["tiny_vgg"]["edges"]) == (8, 640)


def test_every_bundle_is_as_written(bundles: dict[str, Bundle]) -> None:
    for bundle in bundles.values():
        assert verify_bundle(bundle).differences == ()


def test_the_database_holds_every_kernel_of_all_three(store: Store, bundles: dict[str, Bundle]) -> None:
    found = store.query(
        "MATCH (u:Unit)-[e:CONNECTS]->() RETURN u.network AS network, count(*) AS edges, sum(e.l1) AS l1", limit=10
    )
    for row in found:
        blocks = bundles[row["network"]].blocks
        assert row["edges"] == bundles[row["network"]].manifest.counts["edges"]
        assert row["l1"] == pytest.approx(sum(block.l1 for block in blocks), rel=1e-6)
    assert len(found) == 3


def test_squeezenets_strongest_exciters_are_those_of_its_multiplied_out_bottleneck(
    store: Store, shared_data: Path
) -> None:
    weights = np.load(shared_data / SQUEEZENET)
    # fire3 channel 70 is channel 6 of the 3x3 branch, after 64 of the 1x1 branch
    expanded = np.einsum(
        "myx,mu->uyx",
        weights["fire3.expand3x3.W"][6].astype(np.float64),
        weights["fire3.squeeze1x1.W"][:, :, 0, 0].astype(np.float64),
    )
    sums = expanded.sum(axis=(1, 2))
    best = np.argsort(-sums)[:5]
    rows = store.query(
        "MATCH (u:Unit)-[e:CONNECTS]->(:Unit {uid: $unit}) "
        "RETURN u.channel AS up, e.sum AS sum, e.top AS top, e.kernel AS kernel ORDER BY e.sum DESC LIMIT 5",
        unit="squeezenet/fire3:70",
    ).rows
    assert [row["up"] for row in rows] == best.tolist()
    np.testing.assert_allclose([row["sum"] for row in rows], sums[best], rtol=1e-5)
    np.testing.assert_allclose([row["top"] for row in rows], expanded[best, 0].sum(axis=1), rtol=1e-4, atol=1e-6)
    for row, channel in zip(rows, best, strict=True):
        np.testing.assert_allclose(np.reshape(row["kernel"], (3, 3)), expanded[channel], rtol=1e-4, atol=1e-6)


def test_resnets_logits_rest_on_the_units_that_its_last_matrix_says(store: Store, shared_data: Path) -> None:
    state = torch.load(shared_data / RESNET20, weights_only=True, map_location="cpu")["state_dict"]
    matrix = state["module.linear.weight"].double().numpy()
    rows = store.query(
        "MATCH (u:Unit)-[e:CONNECTS]->(c:Unit {network: 'resnet20', layer: 'linear'}) "
        "WITH c, u, e ORDER BY e.sum DESC WITH c, collect([u.channel, e.sum])[0] AS best "
        "RETURN c.channel AS class, best[0] AS up, best[1] AS weight ORDER BY class"
    ).rows
    assert [row["up"] for row in rows] == matrix.argmax(axis=1).tolist()
    np.testing.assert_allclose([row["weight"] for row in rows], matrix.max(axis=1), rtol=1e-6)


def test_resnets_first_kernels_carry_their_batch_norm(store: Store, shared_data: Path) -> None:
    state = torch.load(shared_data / RESNET20, weights_only=True, map_location="cpu")["state_dict"]
    gain = state["module.bn1.weight"].double() / (state["module.bn1.running_var"].double() + 1e-5).sqrt()
    folded = (state["module.conv1.weight"].double() * gain[:, None, None, None]).numpy()
    rows = store.query(
        "MATCH (u:Unit {network: 'resnet20', layer: 'input'})-[e:CONNECTS]->(v:Unit) "
        "RETURN u.channel AS up, v.channel AS down, e.kernel AS kernel, e.l2 AS l2"
    ).rows
    assert len(rows) == 48
    for row in rows:
        wanted = folded[row["down"], row["up"]]
        np.testing.assert_allclose(np.reshape(row["kernel"], (3, 3)), wanted, rtol=1e-5, atol=1e-7)
        assert row["l2"] == pytest.approx(float(np.linalg.norm(wanted)), rel=1e-5)


def test_tiny_vggs_kernels_are_those_of_its_file(store: Store, shared_data: Path) -> None:
    layers = {layer["name"]: layer for layer in json.loads((shared_data / TINY_VGG).read_text())}
    wanted = np.array([unit["weights"] for unit in layers["conv_1_2"]["weights"]])
    rows = store.query(
        "MATCH (u:Unit {network: 'tiny_vgg', layer: 'relu_1_1'})-[e:CONNECTS]->(v:Unit) "
        "RETURN u.channel AS up, v.channel AS down, e.sum AS sum, e.kernel AS kernel"
    ).rows
    assert len(rows) == 100
    for row in rows:
        kernel = wanted[row["down"], row["up"]]
        np.testing.assert_allclose(np.reshape(row["kernel"], (3, 3)), kernel, rtol=1e-5, atol=1e-7)
        assert row["sum"] == pytest.approx(kernel.sum(), rel=1e-4, abs=1e-6)
