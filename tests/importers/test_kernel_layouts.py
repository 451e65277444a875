"""The order of axes of kernels in files is declared or read off the shapes, and never guessed; flat files too."""

from __future__ import annotations

import json

import numpy as np
import pytest
from safetensors.numpy import save_file

from circuitgraph.errors import MappingError, MissingFileError, NonFiniteError, WeightsError
from importers import import_kernels
from importers.weights.kernels import read_kernels
from importers.weights.layouts import KernelLayout, choose_layout
from importers.weights.mapping import read_mapping

AXES = {"OIHW": (0, 1, 2, 3), "HWIO": (2, 3, 1, 0), "OHWI": (0, 2, 3, 1)}
CONVS = [f"conv_{stage}_{place}" for stage in (1, 2, 3) for place in (1, 2)]
MAPPING = """
architecture = "importers.architectures:tiny_vgg"
input_shape = [3, 44, 44]
[kwargs]
width = {width}
classes = {classes}
size = 44
"""


def kernels(layout="OIHW", linear="OI", *, width=4, classes=3, seed=0):
    """Arrays of a TinyVGG in a layout; the same values for a seed."""
    rng, made = np.random.default_rng(seed), {}
    for place, name in enumerate(CONVS):
        kernel = rng.normal(size=(width, width if place else 3, 3, 3)).astype(np.float32)
        made[f"{name}.weight"] = np.ascontiguousarray(kernel.transpose(AXES[layout]))
        made[f"{name}.bias"] = rng.normal(size=width).astype(np.float32)
    matrix = rng.normal(size=(classes, width * 4)).astype(np.float32)
    made["output.weight"] = matrix if linear == "OI" else np.ascontiguousarray(matrix.T)
    made["output.bias"] = np.zeros(classes, dtype=np.float32)
    return made


def mapping_in(folder, *lines, width=4, classes=3):
    path = folder / "map.toml"
    path.write_text("\n".join(lines) + "\n" + MAPPING.format(width=width, classes=classes))
    return path


def state_of(path, mapping, **options):
    module, found, _ = read_kernels(path, mapping=mapping, **options)
    return {name: value.numpy() for name, value in module.state_dict().items()}, found


@pytest.mark.parametrize("kind", ["npz", "safetensors", "json", "dat"])
@pytest.mark.parametrize(("layout", "linear"), [("OIHW", "OI"), ("HWIO", "IO"), ("OHWI", "OI"), ("HWIO", "OI")])
def test_every_layout_is_read_off_the_shapes_in_every_kind_of_file(tmp_path, layout, linear, kind):
    made, lines = kernels(layout, linear), []
    path = tmp_path / f"k.{kind}"
    if kind == "npz":
        np.savez(path, **made)
    elif kind == "safetensors":
        save_file(made, path)
    elif kind == "json":
        path.write_text(json.dumps({name: values.tolist() for name, values in made.items()}))
    else:
        path.write_bytes(b"".join(values.tobytes() for values in made.values()))
        shapes = ", ".join(f'"{name}" = {list(values.shape)}' for name, values in made.items())
        lines = [f"raw = {{ shapes = {{ {shapes} }} }}"]
    state, found = state_of(path, mapping_in(tmp_path, *lines))
    assert (found.layout, found.linear_layout) == (layout, linear)
    for name, values in kernels().items():
        assert np.array_equal(state[name], values)


def test_the_bundles_are_the_same_and_say_the_layout(tmp_path):
    bundles = {}
    for layout, linear in (("OIHW", "OI"), ("HWIO", "IO"), ("OHWI", "OI")):
        np.savez(tmp_path / "k.npz", **kernels(layout, linear))
        bundles[layout] = import_kernels(
            tmp_path / "k.npz", mapping=mapping_in(tmp_path), out=tmp_path / f"{layout}.circuit", fidelity=0
        )
    first = bundles["OIHW"]
    for layout, bundle in bundles.items():
        assert bundle.info.options["layout"] == layout
        assert bundle.info.weights_sha256 == first.info.weights_sha256
        for up, down in first.pairs:
            assert np.array_equal(bundle.block(up, down).kernels, first.block(up, down).kernels)
        bundle.close()


def test_a_declared_layout_that_does_not_fit_is_refused_with_the_one_that_does(tmp_path):
    np.savez(tmp_path / "k.npz", **kernels("HWIO", "IO"))
    with pytest.raises(MappingError) as caught:
        read_kernels(tmp_path / "k.npz", mapping=mapping_in(tmp_path, 'layout = "OHWI"'))
    assert "is 3x3x3x4, which read as OHWI with linear layers IO is 3x4x3x3" in caught.value.message
    assert "but conv_1_1.weight is 4x3x3x3" in caught.value.message
    assert "--layout HWIO" in caught.value.hint
    # the argument is stronger than the mapping
    state, _ = state_of(tmp_path / "k.npz", mapping_in(tmp_path, 'layout = "OHWI"'), layout="HWIO")
    assert np.array_equal(state["conv_1_1.weight"], kernels()["conv_1_1.weight"])


def test_kernels_that_several_layouts_fit_are_refused_until_one_is_declared(tmp_path):
    # three channels everywhere, kernels of 3x3, and a square matrix
    made = kernels("HWIO", "IO", width=3, classes=12)
    np.savez(tmp_path / "k.npz", **made)
    sizes = {"width": 3, "classes": 12}
    with pytest.raises(MappingError) as caught:
        read_kernels(tmp_path / "k.npz", mapping=mapping_in(tmp_path, **sizes))
    assert "conv_1_1.weight is 3x3x3x3, which is OIHW as well as HWIO" in caught.value.message
    assert "--layout OIHW" in caught.value.hint
    for given in ({"layout": "HWIO"}, {}):
        lines = [] if given else ['layout = "HWIO"']
        state, _ = state_of(tmp_path / "k.npz", mapping_in(tmp_path, *lines, **sizes), **given)
        assert np.array_equal(state["conv_2_1.weight"], kernels(width=3, classes=12)["conv_2_1.weight"])
        assert np.array_equal(state["output.weight"], kernels(width=3, classes=12)["output.weight"])


def test_one_tensor_decides_for_the_whole_file():
    square, telling = ((3, 3, 3, 3), (3, 3, 3, 3)), ((5, 5, 3, 8), (8, 3, 5, 5))
    full = ((8, 8), (8, 8))
    how = choose_layout({"a": square, "b": telling, "c": full}, layout=None, linear=None, source="k")
    assert how == KernelLayout("HWIO", "IO")
    # a matrix that only fits the other way round beats the custom
    how = choose_layout({"b": telling, "c": full, "d": ((4, 8), (4, 8))}, layout=None, linear=None, source="k")
    assert how == KernelLayout("HWIO", "OI")


@pytest.mark.parametrize(
    ("shapes", "said"),
    [
        ({"a": ((3, 3, 3, 3), (3, 3, 3, 3))}, "a is 3x3x3x3, which is OIHW as well as HWIO"),
        # O = H: rows and channels may be meant
        ({"a": ((5, 3, 5, 5), (5, 3, 5, 5)), "b": ((5, 5, 5, 5), (5, 5, 5, 5))}, None),
        ({"a": ((7, 7, 7, 7), (7, 7, 7, 7)), "b": ((8, 4), (4, 8))}, None),
        ({"c": ((8, 8), (8, 8))}, "c is 8x8, which is OI as well as IO"),
        # kernels of one cell between as many channels: transposed or not
        ({"a": ((1, 1, 6, 6), (6, 6, 1, 1))}, None),
        ({"a": ((6, 1, 1, 6), (6, 6, 1, 1))}, None),
        ({"a": ((2,), (2,))}, None),
    ],
)
def test_what_is_ambiguous_is_refused_and_nothing_else(shapes, said):
    if said is None:
        choose_layout(shapes, layout=None, linear=None, source="k.npz")
        return
    with pytest.raises(MappingError) as caught:
        choose_layout(shapes, layout=None, linear=None, source="k.npz")
    assert said in caught.value.message


def test_a_layout_of_another_name_is_refused(tmp_path):
    np.savez(tmp_path / "k.npz", **kernels())
    with pytest.raises(MappingError, match="layout is 'IHWO'"):
        read_kernels(tmp_path / "k.npz", mapping=mapping_in(tmp_path), layout="IHWO")


RAW = """
[raw]
dtype = "{dtype}"
skip = {skip}
[raw.shapes]
"""


def flat(folder, made, *, dtype="float32", skip=0):
    """Write arrays one after the other, and a mapping that declares them."""
    path = folder / "weights.dat"
    numbers = b"".join(values.astype(np.dtype(dtype).newbyteorder("<")).tobytes() for values in made.values())
    path.write_bytes(bytes(skip) + numbers)
    shapes = "\n".join(f'"{name}" = {list(values.shape)}' for name, values in made.items())
    mapping = mapping_in(folder)
    mapping.write_text(mapping.read_text() + RAW.format(dtype=dtype, skip=skip) + shapes)
    return path, mapping


@pytest.mark.parametrize(("dtype", "skip"), [("float32", 0), ("float64", 0), ("float32", 20)])
def test_a_flat_file_is_cut_at_its_declared_shapes(tmp_path, dtype, skip):
    path, mapping = flat(tmp_path, kernels("OHWI"), dtype=dtype, skip=skip)
    state, found = state_of(path, mapping)
    assert found.layout == "OHWI"
    for name, values in kernels().items():
        assert np.array_equal(state[name], values)


def test_a_folder_of_flat_files_has_one_for_each_tensor(tmp_path):
    made = kernels("HWIO", "IO")
    _, mapping = flat(tmp_path, made)
    folder = tmp_path / "weights"
    folder.mkdir()
    for name, values in made.items():
        (folder / f"{name}.dat").write_bytes(values.tobytes())
    state, _ = state_of(folder, mapping)
    assert np.array_equal(state["conv_3_2.weight"], kernels()["conv_3_2.weight"])
    (folder / "conv_3_2.weight.dat").unlink()
    with pytest.raises(MissingFileError, match=r"conv_3_2\.weight\.dat does not exist"):
        state_of(folder, mapping)


def test_a_flat_file_of_another_length_is_refused_with_both_numbers(tmp_path):
    path, mapping = flat(tmp_path, kernels())
    whole = path.read_bytes()
    path.write_bytes(whole[:-4])
    with pytest.raises(WeightsError) as caught:
        state_of(path, mapping)
    assert f"has {len(whole) - 4:,} bytes" in caught.value.message
    assert f"take {len(whole):,}" in caught.value.message
    path.write_bytes(whole + whole)
    with pytest.raises(WeightsError) as caught:
        state_of(path, mapping)
    assert "dtype = 'float64'" in caught.value.hint


def test_a_flat_file_without_declared_shapes_is_refused(tmp_path):
    path, _ = flat(tmp_path, kernels())
    for given in ({"mapping": mapping_in(tmp_path)}, {"arch": "importers.architectures:tiny_vgg"}):
        with pytest.raises(MappingError) as caught:
            read_kernels(path, **given)
        assert "[raw] shapes" in caught.value.hint


@pytest.mark.parametrize(
    ("shapes", "said"),
    [('"a" = [0, 3]', "at least 1"), ('"a" = [1, 1, 1, 1, 2]', "1 to 4 sides"), ('"a" = ["x"]', "raw.shapes")],
)
def test_shapes_that_are_none_are_refused(tmp_path, shapes, said):
    (tmp_path / "w.dat").write_bytes(bytes(8))
    mapping = mapping_in(tmp_path)
    mapping.write_text(mapping.read_text() + RAW.format(dtype="float32", skip=0) + shapes)
    with pytest.raises(MappingError, match=said):
        read_kernels(tmp_path / "w.dat", mapping=mapping)


def test_a_name_that_leads_out_of_the_folder_is_refused(tmp_path):
    (tmp_path / "weights").mkdir()
    (tmp_path / "a.dat").write_bytes(bytes(4))
    mapping = mapping_in(tmp_path)
    mapping.write_text(mapping.read_text() + RAW.format(dtype="float32", skip=0) + '"../a" = [1]')
    with pytest.raises(MappingError, match="no name of a file"):
        read_kernels(tmp_path / "weights", mapping=mapping)


def test_numbers_that_are_none_are_refused_by_name_and_place(tmp_path):
    made = kernels("HWIO", "IO")
    made["conv_2_1.weight"][2, 1, 0, 3] = np.inf
    np.savez(tmp_path / "k.npz", **made)
    path, declared = flat(tmp_path, made)
    with pytest.raises(NonFiniteError, match=r"conv_2_1\.weight has inf at \[2, 1, 0, 3\]"):
        read_kernels(path, mapping=declared)
    with pytest.raises(NonFiniteError, match=r"conv_2_1\.weight has inf at \[2, 1, 0, 3\]"):
        read_kernels(tmp_path / "k.npz", mapping=mapping_in(tmp_path))


def test_half_an_npz_is_refused(tmp_path):
    np.savez(tmp_path / "k.npz", **kernels())
    whole = (tmp_path / "k.npz").read_bytes()
    for share in (0.2, 0.5, 0.95):
        (tmp_path / "k.npz").write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(WeightsError, match=r"k\.npz .* is cut short or not a \.npz file"):
            read_kernels(tmp_path / "k.npz", mapping=mapping_in(tmp_path))


def test_a_mapping_says_what_it_leaves_open(tmp_path):
    assert read_mapping(mapping_in(tmp_path)).layout is None
    assert read_mapping("squeezenet1_0_caffe").layout == "OIHW"
