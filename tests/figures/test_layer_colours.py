"""A first layer is drawn in its true colours, in whatever order the network reads them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from circuitgraph.bundle import Bundle, BundleWriter
from circuitgraph.draw import draw_rgb
from circuitgraph.figures import layer_figure
from circuitgraph.records import Layer, NetworkInfo, NewBlock
from tests.draw.reading import fills_of, words_of

KERNELS = np.random.default_rng(12).normal(size=(70, 3, 3, 3)).astype(np.float32)


def _bundle(folder: Path, options: dict[str, str]) -> Bundle:
    """Write a network of an image and one layer that reads it."""
    layers = [
        Layer(
            uid=f"net/{name}",
            index=place,
            kind="activation" if place else "input",
            unit_count=count,
            size=(8, 8),
            stride=(1, 1),
            receptive_field=(1 + 2 * place, 1 + 2 * place),
        )
        for place, (name, count) in enumerate([("image", 3), ("conv1", len(KERNELS))])
    ]
    info = NetworkInfo(
        network="net",
        architecture="made",
        weights_sha256="0" * 64,
        source="random numbers",
        input_shape=(3, 8, 8),
        importer="made",
        options=options,
    )
    with BundleWriter(folder / "net.circuit", info, layers) as writer:
        blocks = [NewBlock("net/image", "net/conv1", 0, "dense", KERNELS, (-1, -1), (1, 1))]
        writer.add_target("net/conv1", np.zeros(len(KERNELS), dtype=np.float32), blocks)
        return writer.finish()


@pytest.mark.parametrize(("said", "order"), [(None, "RGB"), ("RGB", "RGB"), ("BGR", "BGR"), ("bgr", "BGR")])
def test_colours_follow_the_order_that_the_import_recorded(tmp_path: Path, said: str | None, order: str) -> None:
    with _bundle(tmp_path, {"input_channels": said} if said else {}) as bundle:
        drawn = fills_of(layer_figure(bundle, "conv1", limit=5))
    assert drawn == fills_of(draw_rgb(KERNELS[:5], order=order))  # type: ignore[arg-type]
    other = "BGR" if order == "RGB" else "RGB"
    assert drawn != fills_of(draw_rgb(KERNELS[:5], order=other))  # type: ignore[arg-type]


def test_channels_that_are_no_colours_are_not_drawn_as_such(tmp_path: Path) -> None:
    with _bundle(tmp_path, {"input_channels": "near infrared, red, blue"}) as bundle:
        figure = layer_figure(bundle, "conv1", limit=5)
    assert "red" not in " ".join(words_of(figure))
    assert any(word.startswith("from image:") for word in words_of(figure))


def test_as_many_units_are_drawn_as_are_asked_for(tmp_path: Path) -> None:
    with _bundle(tmp_path, {}) as bundle:
        figure = layer_figure(bundle, "conv1", limit=66)
    assert len(fills_of(figure)) == 66
    assert "Showing 66 of 70 units." in words_of(figure)
