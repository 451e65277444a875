"""A unit's strongest kernels, compared with numpy over whole blocks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from circuitgraph.bundle import Bundle, add_directions
from circuitgraph.bundle.ranked_edges import Side, rank_edges
from circuitgraph.errors import BundleError, UnknownUnitError
from circuitgraph.testing.bundles import write_synthetic_bundle


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return write_synthetic_bundle(
        tmp_path_factory.mktemp("view") / "s.circuit", unit_counts=(3, 16, 12, 8), with_every_form=True
    )


def norms_of(bundle: Bundle, unit: str, side: str) -> dict[str, float]:
    """Uid of each neighbour to the l2 of the kernel between, over whole blocks; zero kernels are no edges."""
    uid = bundle.unit(unit)
    layer, channel, found = str(uid.layer_id), uid.channel, {}
    for up, down in bundle.pairs:
        if layer == (down if side == "upstream" else up):
            kernels = bundle.block(up, down).kernels.astype(np.float64)
            l2 = np.sqrt(np.square(kernels).sum(axis=(2, 3)))
            far, own = (up, l2[channel]) if side == "upstream" else (down, l2[:, channel])
            found |= {f"{far}:{place}": float(value) for place, value in enumerate(own) if value > 0}
    return found


@pytest.mark.parametrize("unit", ["layer1:0", "layer1:9", "layer2:11", "layer3:0", "layer3:3", "layer3:7", "layer0:2"])
def test_the_strongest_kernels_are_those_of_the_whole_blocks(bundle: Bundle, unit: str) -> None:
    view = bundle.view(unit, top=5)
    for side, far in (("upstream", "up"), ("downstream", "down")):
        norms = norms_of(bundle, unit, side)
        edges = getattr(view, side)
        assert [getattr(edge, far) for edge in edges] == sorted(norms, key=lambda uid: -norms[uid])[:5]
        assert getattr(view, f"{side}_count") == len(norms)
        for edge in edges:
            np.testing.assert_array_equal(edge.kernel, bundle.kernel(edge.up, edge.down))
            parts = [
                p for p in bundle.blocks if (p.up, p.down) == tuple(u.rpartition(":")[0] for u in (edge.up, edge.down))
            ]
            assert edge.anchor == bundle.block(parts[0].up, parts[0].down).anchor


def test_shares_are_of_all_that_leads_into_the_unit_from_every_layer(bundle: Bundle) -> None:
    into = {
        f"{up}:{place}": np.abs(kernel.astype(np.float64)).sum()
        for up, down in bundle.pairs
        if down.endswith("layer3")
        for place, kernel in enumerate(bundle.block(up, down).kernels[5])
    }
    view = bundle.view("layer3:5", top=4, by="share_in")
    assert [edge.up for edge in view.upstream] == sorted(into, key=lambda uid: -into[uid])[:4]
    for edge in view.upstream:
        assert edge.share_in == pytest.approx(into[edge.up] / sum(into.values()), rel=1e-5)
    # the same edge says the same from its other end
    back = bundle.view(view.upstream[0].up, top=64)
    seen = next(edge for edge in back.downstream if edge.down == view.uid)
    assert seen.share_in == pytest.approx(view.upstream[0].share_in, rel=1e-6)


def test_ranking_by_share_downstream_is_not_ranking_by_l2(bundle: Bundle) -> None:
    table = {
        f"{down}:{row['down']}": row["share_in"]
        for up, down in bundle.pairs
        if up.endswith("layer1")
        for row in bundle.edges(down).to_pylist()
        if row["up"] == 3 and next(p.up for p in bundle.blocks if p.block == row["block"]) == up and row["l1"] > 0
    }
    view = bundle.view("layer1:3", top=6, by="share_in")
    assert [edge.down for edge in view.downstream] == sorted(table, key=lambda uid: -table[uid])[:6]


@pytest.mark.parametrize("side", ["upstream", "downstream"])
def test_by_inhibition_what_inhibits_most_comes_first(bundle: Bundle, side: Side) -> None:
    own, kernels = bundle.unit(str(bundle.layers[1].unit(3))), {}
    for up, down in bundle.pairs:
        if str(own.layer_id) == (down if side == "upstream" else up):
            block = bundle.block(up, down).kernels.astype(np.float64)
            row = block[own.channel] if side == "upstream" else block[:, own.channel]
            far = up if side == "upstream" else down
            kernels |= {f"{far}:{place}": kernel for place, kernel in enumerate(row) if kernel.any()}
    wanted = sorted(kernels, key=lambda uid: float(np.minimum(kernels[uid], 0).sum()))
    found = {by: rank_edges(bundle, str(own), side, by=by).rows for by in ("inhibition", "-inhibition", "-sum")}
    assert len(wanted) > 2
    assert [row["unit"] for row in found["inhibition"]] == wanted
    assert [row["unit"] for row in found["-inhibition"]] == wanted[::-1]
    assert [row["unit"] for row in found["-sum"]] == sorted(kernels, key=lambda uid: float(kernels[uid].sum()))


def test_a_view_says_what_the_table_of_units_says(bundle: Bundle) -> None:
    row = next(row for row in bundle.units.to_pylist() if row["uid"].endswith("layer2:7"))
    view = bundle.view("layer2:7", top=2)
    for name in ("bias", "in_norm", "out_norm", "is_dead", "kind", "layer"):
        assert getattr(view, name) == row[name]
    assert view.left_out == "showing 2 of 16 upstream and 2 of 8 downstream kernels, the strongest by l2"
    assert not bundle.view("layer2:7", top=64).left_out


def test_a_direction_has_neurons_and_directions_as_neighbours(tmp_path: Path) -> None:
    bundle = write_synthetic_bundle(tmp_path / "d.circuit", unit_counts=(3, 6, 5))
    rng = np.random.default_rng(3)
    one, two = rng.normal(size=(1, 6)), rng.normal(size=(1, 5))
    with (
        add_directions(bundle, "layer1", one, names=["a"]) as first,
        add_directions(first, "layer2", two, names=["b"]) as both,
    ):
        view = both.view("layer1@a", top=64)
        kernels = both.block("layer1", "layer2").kernels.astype(np.float64)
        expected = np.einsum("u,durc->drc", one[0], kernels)
        norms = {f"synthetic/layer2:{place}": np.linalg.norm(each) for place, each in enumerate(expected)}
        norms["synthetic/layer2@b"] = np.linalg.norm(np.einsum("d,drc->rc", two[0], expected))
        assert [edge.down for edge in view.downstream] == sorted(norms, key=lambda uid: -norms[uid])
        assert (view.kind, view.upstream_count) == ("direction", 3)


def test_what_cannot_be_shown_is_refused_with_the_bounds(bundle: Bundle) -> None:
    with pytest.raises(BundleError, match="top=65"):
        bundle.view("layer1:0", top=65)
    with pytest.raises(BundleError, match="by='size'"):
        bundle.view("layer1:0", by="size")  # type: ignore[arg-type]
    with pytest.raises(UnknownUnitError):
        bundle.view("layer1:99")


def test_of_a_large_block_only_what_is_at_the_unit_is_opened(tmp_path: Path) -> None:
    bundle = write_synthetic_bundle(tmp_path / "w.circuit", unit_counts=(2, 300, 5000), window=(1, 1), seed=4)
    view = bundle.view("layer1:299", top=3)
    assert view.downstream_count == 5000
    strong = np.abs(bundle.block("layer1", "layer2").kernels[:, 299, 0, 0])
    assert [edge.down for edge in view.downstream] == [f"synthetic/layer2:{i}" for i in np.argsort(-strong)[:3]]
    assert "units" in vars(bundle) and bundle.view("layer2:4999").upstream_count == 300
