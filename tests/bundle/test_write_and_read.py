from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from circuitgraph import Bundle
from circuitgraph.bundle import BundleWriter
from circuitgraph.errors import (
    BundleError,
    BundleExistsError,
    IdError,
    MissingFileError,
    NonFiniteError,
    ShapeError,
    UnknownLayerError,
    UnknownNetworkError,
    UnknownPairError,
    UnknownUnitError,
)
from circuitgraph.records import Family, Member, NewBlock
from tests.bundle import planted

STEM, MIXED4C = "planted/stem.conv", "planted/mixed4c"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return planted.write(tmp_path_factory.mktemp("bundle") / "planted.circuit")


def test_what_was_written_is_read(bundle: Bundle) -> None:
    assert bundle.info == planted.info()
    assert list(bundle.layers) == planted.layers()
    assert bundle.families == (planted.FAMILY,)
    assert bundle.manifest.counts == {
        "layers": 5,
        "units": 20,
        "pairs": 5,
        "blocks": 6,
        "edges": 4 * 3 + 2 * 4 + 3 * 4 + 4 + 2 * 5 + 2 * 6,
        "families": 1,
    }
    for layer, bias in zip(bundle.layers[1:], planted.arrays()["bias"][1:], strict=True):
        np.testing.assert_array_equal(bundle.bias(layer.uid), bias)
    assert not bundle.bias("input").any()


def test_the_path_may_be_text_or_a_path_and_the_bundle_a_context_manager(bundle: Bundle) -> None:
    with Bundle.open(str(bundle.path)) as by_text, Bundle.open(bundle.path) as by_path:
        assert by_text.sha256 == by_path.sha256 == bundle.sha256
        assert by_text.layers == by_path.layers


def test_a_dense_pair_is_memory_mapped_and_cannot_be_written(bundle: Bundle) -> None:
    block = bundle.block("input", "stem.conv")
    assert isinstance(block.kernels, np.memmap)
    assert (block.kernels.dtype, block.offset, block.stride, block.form) == (np.float32, (-1, -1), (2, 2), "dense")
    np.testing.assert_array_equal(block.kernels, planted.arrays()["stem"])
    np.testing.assert_array_equal(block.bias, planted.arrays()["bias"][1])
    with pytest.raises(ValueError, match="read-only"):
        block.kernels[0] = 0


def test_ragged_row_blocks_are_padded_to_their_common_window(bundle: Bundle) -> None:
    block = bundle.block(STEM, MIXED4C)
    a = planted.arrays()
    expected = np.zeros((6, 4, 3, 3), dtype=np.float32)
    expected[:2, :, 1, 1] = a["one"][:, :, 0, 0]
    expected[2:5] = a["three"]
    np.testing.assert_array_equal(block.kernels, expected)
    assert (block.offset, block.stride, block.anchor) == ((-1, -1), (1, 1), (1, 1))
    assert block.form == "row block"
    assert block.approximations == ("border",)
    with pytest.raises(ValueError, match="read-only"):
        block.kernels[0] = 0


def test_a_diagonal_pair_is_made_dense(bundle: Bundle) -> None:
    a = planted.arrays()
    expected = np.zeros((5, 6, 2, 2), dtype=np.float32)
    for down, up in enumerate(a["up_channels"]):
        if up >= 0:
            expected[down, up] = a["diagonal"][down]
    np.testing.assert_array_equal(bundle.block("mixed4c", "mixed4d").kernels, expected)


def test_global_and_spatial_pairs_say_so_by_form_and_stride(bundle: Bundle) -> None:
    over_mean, over_map = bundle.block("mixed4d", "head"), bundle.block("mixed4c", "head")
    assert (over_mean.form, over_mean.stride) == ("global", (0, 0))
    assert (over_map.form, over_map.stride, over_map.anchor) == ("spatial", (0, 0), (1.5, 2.5))
    np.testing.assert_array_equal(over_mean.kernels, planted.arrays()["global"])
    np.testing.assert_array_equal(over_map.kernels, planted.arrays()["spatial"])


def test_a_kernel_is_the_blocks_kernel_for_every_pair_of_units(bundle: Bundle) -> None:
    for up, down in bundle.pairs:
        block = bundle.block(up, down)
        for u in range(block.up.unit_count):
            for d in range(block.down.unit_count):
                np.testing.assert_array_equal(bundle.kernel(f"{up}:{u}", f"{down}:{d}"), block.kernels[d, u])


def test_bias_belongs_to_the_target_once(bundle: Bundle) -> None:
    first, second = bundle.block("mixed4d", "head"), bundle.block("mixed4c", "head")
    np.testing.assert_array_equal(first.bias, second.bias)


def test_factors_come_back_downstream_first(bundle: Bundle) -> None:
    part = next(part for part in bundle.blocks if part.factor_files)
    conv, reduce = bundle.factors(part)
    np.testing.assert_array_equal(conv, planted.arrays()["conv"])
    np.testing.assert_array_equal(reduce, planted.arrays()["reduce"])


def test_norms_and_dead_flags_follow_from_the_kernels(bundle: Bundle) -> None:
    units = {row["uid"]: row for row in bundle.units.to_pylist()}
    into = np.sqrt(np.square(planted.arrays()["stem"].astype(float)).sum(axis=(1, 2, 3)))
    for channel in range(4):
        assert units[f"{STEM}:{channel}"]["in_norm"] == pytest.approx(into[channel], rel=1e-6)
    assert units["planted/mixed4c:5"]["is_dead"]  # nothing leads to it
    assert units["planted/mixed4d:1"]["is_dead"]  # its row of the diagonal reads no channel
    assert not units["planted/mixed4c:0"]["is_dead"]
    assert not units["planted/input:0"]["is_dead"]


@pytest.mark.parametrize(
    "name", ["planted/mixed4c", "mixed4c", "features.2", "planted/features.2", "features.2.relu#1", "4c", "ed4c"]
)
def test_a_layer_answers_to_uid_name_alias_and_short_form(bundle: Bundle, name: str) -> None:
    assert bundle.layer(name).uid == MIXED4C
    assert str(bundle.unit(f"{name}:4")) == "planted/mixed4c:4"
    assert bundle.block("stem.conv", name).down.uid == MIXED4C


@pytest.mark.parametrize(
    ("name", "error", "said"),
    [
        ("mixed9z", UnknownLayerError, "mixed4d or mixed4c"),
        ("", UnknownLayerError, "has 5"),
        ("d", UnknownLayerError, "does not exist"),  # one letter is too short to be an ending
        ("other/mixed4c", UnknownNetworkError, "holds planted"),
    ],
)
def test_an_unknown_layer_is_a_lookup_error_with_the_next_step(
    bundle: Bundle, name: str, error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said) as caught:
        bundle.layer(name)
    assert isinstance(caught.value, LookupError)
    assert isinstance(caught.value, error)


def test_an_ending_of_several_layers_is_refused_with_their_names(tmp_path: Path) -> None:
    first, *others = planted.layers()[:3]
    renamed = [
        layer.model_copy(update={"uid": f"planted/{name}.conv", "aliases": ()})
        for layer, name in zip(others, "ab", strict=True)
    ]
    with BundleWriter(tmp_path / "x.circuit", planted.info(), [first, *renamed]) as writer:
        for layer in renamed:
            writer.add_target(layer.uid, np.zeros(layer.unit_count), [])
        small = writer.finish()
    assert small.layer("b.conv").name == "b.conv"
    with pytest.raises(UnknownLayerError, match=r"2 layers of planted end so: a\.conv, b\.conv") as caught:
        small.layer("conv")
    assert "a.conv" in caught.value.hint


def test_a_channel_beyond_the_last_says_how_many_there_are(bundle: Bundle) -> None:
    for name in ("mixed4c:6", "mixed4c:999999999"):
        with pytest.raises(UnknownUnitError, match="6 units, 0 to 5") as caught:
            bundle.kernel("stem.conv:0", name)
        assert isinstance(caught.value, LookupError)


@pytest.mark.parametrize("name", ["mixed4c", "mixed4c:", ":3", "mixed4c:x", "mixed4c:-1", "mixed4c:" + "9" * 5000])
def test_what_names_no_unit_is_told_the_form(bundle: Bundle, name: str) -> None:
    with pytest.raises(IdError, match="network/layer:channel"):
        bundle.unit(name)


def test_a_pair_with_nothing_between_is_a_lookup_error_that_names_the_sources(bundle: Bundle) -> None:
    for ask in (bundle.block, lambda up, down: bundle.kernel(f"{up}:0", f"{down}:0")):
        with pytest.raises(UnknownPairError, match="no weights lead") as caught:
            ask("input", "head")
        assert isinstance(caught.value, LookupError)
        assert "planted/mixed4d, planted/mixed4c" in caught.value.hint


def test_edges_are_one_row_each_and_add_up_to_the_kernels(bundle: Bundle) -> None:
    seen = 0
    for part, batch in bundle.iter_edges(rows=5):
        seen += batch.num_rows
        kernels = bundle.block(part.up, part.down).kernels
        for row in batch.to_pylist():
            kernel = kernels[row["down"], row["up"]].astype(float)
            assert row["sum"] == pytest.approx(kernel.sum(), abs=1e-5)
            assert row["l1"] == pytest.approx(np.abs(kernel).sum(), rel=1e-6)
            assert row["excitation"] + row["inhibition"] == pytest.approx(row["sum"], abs=1e-5)
    assert seen == bundle.manifest.counts["edges"]


def test_shares_of_a_units_incoming_weight_add_up_to_one_over_all_sources(bundle: Bundle) -> None:
    edges = bundle.edges("head")
    for unit in range(2):
        own = edges["share_in"].to_numpy()[edges["down"].to_numpy() == unit]
        assert own.sum() == pytest.approx(1, abs=1e-6)


def test_strong_edges_are_cut_for_each_pair_of_layers(bundle: Bundle) -> None:
    numbers = {part.block: part for part in bundle.blocks}
    for layer in bundle.layers[1:]:
        for row in bundle.edges(layer.uid).to_pylist():
            part = numbers[row["block"]]
            is_strong = abs(row["sum"]) >= part.strong_sum_cut
            assert row["excites"] == (is_strong and row["sum"] > 0)
            assert row["inhibits"] == (is_strong and row["sum"] < 0)
            is_mixed = row["l2"] >= part.strong_l2_cut and abs(row["sum"]) < 0.2 * row["l1"]
            assert row["mixes"] == is_mixed


def test_cancellation_is_one_minus_l1_over_gross(bundle: Bundle) -> None:
    part = next(part for part in bundle.blocks if part.factor_files)
    edges = bundle.edges("mixed4c")
    own = edges["cancellation"].to_numpy()[edges["block"].to_numpy() == part.block]
    np.testing.assert_allclose(own, 0.5, atol=1e-6)  # gross was given as twice the l1
    assert part.cancellation_median == pytest.approx(0.5, abs=1e-6)
    assert next(other for other in bundle.blocks if not other.factor_files).cancellation_median is None


def test_the_same_network_gives_the_same_bytes(bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    again = planted.write(tmp_path / "again.circuit")
    assert again.sha256 == bundle.sha256
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")
    first, second = planted.write(tmp_path / "1.circuit"), planted.write(tmp_path / "2.circuit")
    assert first.manifest.created == "1970-01-01T00:00:00+00:00"
    assert contents(first.path) == contents(second.path)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_other_kernels_give_another_hash(bundle: Bundle, tmp_path: Path) -> None:
    other = planted.write(tmp_path / "other.circuit", changed=[("weights_sha256", "cd" * 32)])
    assert other.sha256 != bundle.sha256


def test_an_existing_bundle_is_kept_unless_replacing_is_asked_for(tmp_path: Path) -> None:
    first = planted.write(tmp_path / "x.circuit")
    with pytest.raises(BundleExistsError, match="already there") as caught:
        planted.write(first.path)
    assert isinstance(caught.value, FileExistsError)
    assert "--replace" in caught.value.hint
    second = planted.write(first.path, replace=True, changed=[("title", "second")])
    assert Bundle.open(first.path).info.title == second.info.title == "second"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.circuit"]


def test_what_is_not_a_bundle_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1.tex").write_text("years of work")
    with pytest.raises(BundleError, match="not a bundle"):
        planted.write(tmp_path / "thesis", replace=True)
    assert (tmp_path / "thesis" / "chapter1.tex").read_text() == "years of work"


def test_a_bundle_for_a_folder_that_is_not_there_names_the_folder(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match=r"the folder .*nowhere does not exist"):
        planted.write(tmp_path / "nowhere" / "x.circuit")


def test_a_family_of_units_that_are_not_there_is_refused(tmp_path: Path) -> None:
    with BundleWriter(tmp_path / "x.circuit", planted.info(), planted.layers()) as writer:
        for unit, error in (("planted/head:2", UnknownUnitError), ("planted/nix:0", UnknownLayerError)):
            layer = unit.rpartition(":")[0]
            with pytest.raises(error):
                writer.add_families(
                    [Family(uid=f"{layer}!f", name="f", members=(Member(unit=unit, position=0),))],
                )


ORIGIN, ONE = (0, 0), (1, 1)


def ones(*shape: int) -> np.ndarray:
    return np.ones(shape, dtype=np.float32)


@pytest.mark.parametrize(
    ("block", "said"),
    [
        (NewBlock(STEM, MIXED4C, 0, "dense", ones(6, 5, 1, 1), ORIGIN, ONE), "do not fit a dense block of 4 sources"),
        (NewBlock(STEM, MIXED4C, 0, "dense", ones(7, 4, 1, 1), ORIGIN, ONE), "rows 0 to 6 of 6 units"),
        (NewBlock(STEM, MIXED4C, -1, "dense", ones(2, 4, 1, 1), ORIGIN, ONE), "rows -1 to 0"),
        (NewBlock(STEM, MIXED4C, 0, "dense", ones(6, 4, 0, 1), ORIGIN, ONE), "do not fit"),
        (NewBlock(STEM, MIXED4C, 0, "dense", ones(6, 4, 1, 1).astype(float), ORIGIN, ONE), "float32 is wanted"),
        (NewBlock(STEM, "planted/head", 0, "dense", ones(2, 4, 1, 1), ORIGIN, ONE), "the block is of planted/head"),
        (NewBlock("planted/head", MIXED4C, 0, "dense", ones(6, 2, 1, 1), ORIGIN, ONE), "not an earlier layer"),
        (NewBlock("planted/nix", MIXED4C, 0, "dense", ones(6, 2, 1, 1), ORIGIN, ONE), "not an earlier layer"),
        (NewBlock(STEM, MIXED4C, 0, "diagonal", ones(6, 1, 1), ORIGIN, ONE), "do not fit a diagonal block"),
        (
            NewBlock(STEM, MIXED4C, 0, "diagonal", ones(2, 1, 1), ORIGIN, ONE, np.array([0, 4], np.int32)),
            "do not fit a diagonal block",
        ),
        (
            NewBlock(STEM, MIXED4C, 0, "diagonal", ones(2, 1, 1), ORIGIN, ONE, np.array([0, -2], np.int32)),
            "do not fit a diagonal block",
        ),
        (NewBlock(STEM, MIXED4C, 0, "dense", ones(6, 4, 1, 1), ORIGIN, ONE, gross=ones(6, 3)), "gross has the shape"),
    ],
)
def test_a_block_that_does_not_fit_is_refused_and_nothing_stays(tmp_path: Path, block: NewBlock, said: str) -> None:
    with (
        pytest.raises(ShapeError, match=said),
        BundleWriter(tmp_path / "x.circuit", planted.info(), planted.layers()) as writer,
    ):
        writer.add_target(MIXED4C, np.zeros(6, np.float32), [block])
    assert list(tmp_path.iterdir()) == []


def test_blocks_of_one_source_that_overlap_are_refused(tmp_path: Path) -> None:
    own = [NewBlock(STEM, MIXED4C, row, "row block", ones(2, 4, 1, 1), ORIGIN, ONE) for row in (0, 1)]
    with (
        pytest.raises(ShapeError, match="overlap"),
        BundleWriter(tmp_path / "x.circuit", planted.info(), planted.layers()) as writer,
    ):
        writer.add_target(MIXED4C, np.zeros(6, np.float32), own)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_weight_that_is_no_number_is_named_with_its_place(tmp_path: Path, bad: float) -> None:
    kernels = ones(6, 4, 3, 3)
    kernels[4, 2, 0, 1] = bad
    kernels[5] = bad
    with (
        pytest.raises(NonFiniteError, match=r"37 of 216 values .* the first at \(4, 2, 0, 1\)") as caught,
        BundleWriter(tmp_path / "x.circuit", planted.info(), planted.layers()) as writer,
    ):
        writer.add_target(MIXED4C, np.zeros(6, np.float32), [NewBlock(STEM, MIXED4C, 0, "dense", kernels, ORIGIN, ONE)])
    assert f"{STEM} -> {MIXED4C}" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_weights_whose_sums_are_beyond_float32_are_refused(tmp_path: Path) -> None:
    kernels = np.full((6, 4, 3, 3), 1e38, dtype=np.float32)
    with (
        pytest.raises(NonFiniteError, match="sums of"),
        BundleWriter(tmp_path / "x.circuit", planted.info(), planted.layers()) as writer,
    ):
        writer.add_target(MIXED4C, np.zeros(6, np.float32), [NewBlock(STEM, MIXED4C, 0, "dense", kernels, ORIGIN, ONE)])


def test_a_pair_of_blocks_that_slide_differently_is_not_forced_into_one_array(tmp_path: Path) -> None:
    with BundleWriter(tmp_path / "x.circuit", planted.info(), planted.layers()[:3]) as writer:
        writer.add_target(STEM, np.zeros(4), [])
        own = [
            NewBlock(STEM, MIXED4C, 0, "global", ones(3, 4, 1, 1), ORIGIN, ORIGIN),
            NewBlock(STEM, MIXED4C, 3, "row block", ones(3, 4, 3, 3), (-1, -1), ONE),
        ]
        writer.add_target(MIXED4C, np.zeros(6), own)
        mixed = writer.finish()
    with pytest.raises(BundleError, match="which no one array holds"):
        mixed.block(STEM, MIXED4C)
    assert mixed.stored(mixed.blocks[0]).shape == (3, 4, 1, 1)


def add_and_finish(writer: BundleWriter) -> None:
    writer.add_target(STEM, np.zeros(4), [])
    writer.finish()


def test_a_bundle_is_not_finished_while_a_target_is_missing(tmp_path: Path) -> None:
    with (
        pytest.raises(BundleError, match=f"nothing was added for {MIXED4C}"),
        BundleWriter(tmp_path / "x.circuit", planted.info(), planted.layers()[:3]) as writer,
    ):
        add_and_finish(writer)
    assert list(tmp_path.iterdir()) == []


def test_opening_a_bundle_needs_neither_torch_nor_neo4j(bundle: Bundle) -> None:
    code = (
        "import sys; from circuitgraph import Bundle; b = Bundle.open(sys.argv[1]); b.block(*b.pairs[0]); "
        "print([name for name in ('torch', 'neo4j', 'rich', 'click') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code, str(bundle.path)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
