"""Directions against gradients of the module itself, and the files that they come in."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from circuitgraph.bundle import Bundle, add_directions
from circuitgraph.cli.main import cli
from circuitgraph.errors import (
    BundleError,
    MissingFileError,
    ShapeError,
    UnknownLayerError,
    UnknownUnitError,
    WeightsError,
)
from circuitgraph.testing.bundles import write_synthetic_bundle
from importers import import_torch, read_directions
from importers.architectures import resnet20
from importers.weights.checkpoint import read_tensors
from tests.importers.autograd import expected_gradient, interior, linear_twin, randomise, run_cut


class Small(nn.Module):
    """Strides, a concat of ragged windows, a pool, a residual, and a linear layer after flattening."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm, self.relu1 = nn.Conv2d(3, 6, (3, 5), (2, 1), (1, 2)), nn.BatchNorm2d(6), nn.ReLU()
        self.narrow, self.wide = nn.Conv2d(6, 3, 1), nn.Conv2d(6, 4, 3, padding=1)
        self.relu2, self.pool = nn.ReLU(), nn.MaxPool2d(2)
        self.inner, self.relu3 = nn.Conv2d(7, 7, 3, padding=1, groups=7), nn.ReLU()
        self.last = nn.Linear(7 * 4 * 8, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.relu1(self.norm(self.first(x)))
        x = self.pool(self.relu2(torch.cat([self.narrow(x), self.wide(x)], 1)))
        return self.last(self.relu3(x + self.inner(x)).flatten(1))


def _agree(bundle: Bundle, module: nn.Module, shape: tuple[int, int, int], functional: dict[int, str]) -> set:
    """Compare each pair's kernels between directions with the response of the module along them."""
    rng = np.random.default_rng(3)
    for layer in bundle.layers:
        bundle = add_directions(bundle, layer.uid, rng.normal(size=(2, layer.unit_count)), layout="rows")
    run = run_cut(linear_twin(module), [layer.name for layer in bundle.layers], shape, functional)
    compared = set()
    for down in bundle.layers[1:]:
        # a flattened map is a layer of the bundle that no module computes
        if down.name not in run.computed:
            continue
        parts = [part for part in bundle.directions.blocks if part.down == down.uid and part.down_kind == "direction"]
        between = [part for part in parts if part.up_kind == "direction"]
        blocks = [
            SimpleNamespace(
                up=part.up.partition("/")[2],
                form=part.form,
                row_start=0,
                offset=part.offset,
                stride=part.stride,
                kernels=np.asarray(bundle.stored(part), dtype=np.float64)[:1, :1],
            )
            for part in between
        ]
        n = torch.from_numpy(bundle.directions.coefficients(down.uid)[0].astype(np.float64))
        target = run.computed[down.name]
        sliding = [block for block in blocks if block.form not in ("global", "spatial")]
        place = interior(target, sliding, run.leaves)
        assert place is not None, down.uid
        response = n @ (target[0] if target.ndim == 2 else target[0, :, place[0], place[1]])
        leaves = [run.leaves[block.up] for block in blocks]
        for block, leaf, gradient in zip(
            blocks, leaves, torch.autograd.grad(response, leaves, retain_graph=True), strict=True
        ):
            m = bundle.directions.coefficients(block.up)[0].astype(np.float64)
            along = np.einsum("i,ihw->hw", m, gradient[0].reshape(len(m), *leaf.shape[2:4]).numpy())
            expected = expected_gradient(block, 0, place, torch.Size((1, *along.shape)))[0]
            assert np.linalg.norm(along - expected) <= 1e-5 * np.linalg.norm(along) > 0, (block.up, down.uid)
            compared.add((block.up, down.name))
    return compared


def test_kernels_between_directions_are_the_responses_of_a_small_network_along_them(tmp_path: Path) -> None:
    module = randomise(Small(), 1)
    bundle = import_torch(
        module, input_shape=(3, 16, 16), network="small", out=tmp_path / "small.circuit", units="activations"
    )
    compared = _agree(bundle, module, (3, 16, 16), {})
    assert {("input", "relu1"), ("relu1", "relu2"), ("relu2", "relu3")} <= compared


def test_kernels_between_directions_are_the_responses_of_the_real_resnet20(shared_data: Path, tmp_path: Path) -> None:
    module = resnet20().eval()
    tensors = read_tensors(shared_data / "resnet20_cifar10" / "resnet20-12fca82f.th")
    module.load_state_dict({name: torch.from_numpy(values) for name, values in tensors.items()})
    bundle = import_torch(module, input_shape=(3, 32, 32), network="resnet20", out=tmp_path / "resnet20.circuit")
    compared = _agree(bundle, module, (3, 32, 32), {0: "relu"})
    assert len(compared) == 11


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_synthetic_bundle(tmp_path_factory.mktemp("files") / "net.circuit", network="net").path


MATRIX = np.round(np.random.default_rng(5).normal(size=(3, 12)), 4)
NAMES = ("car", "dog-head", "x.1")


def _csv(path: Path, rows: list[list[object]]) -> Path:
    path.write_text("\n".join(",".join(map(str, row)) for row in rows) + "\n", encoding="utf-8")
    return path


def _written(folder: Path) -> dict[str, tuple[Path, str | None]]:
    """The same directions in every kind of file; the key to ask for, if any."""
    long = [["name", "channel", "weight"]] + [
        [name, f"layer2:{c}" if c % 2 else c, MATRIX[i, c]] for i, name in enumerate(NAMES) for c in range(12)
    ]
    wide = [["name", *range(12)]] + [[name, *row] for name, row in zip(NAMES, MATRIX.tolist(), strict=True)]
    tall = [["channel", *NAMES]] + [[f"net/layer2:{c}", *MATRIX[:, c].tolist()] for c in range(12)]
    np.save(folder / "m.npy", MATRIX)
    np.savez(folder / "m.npz", components=MATRIX.T, names=np.array(NAMES))
    tensor = torch.from_numpy(MATRIX)
    torch.save(tensor.T, folder / "bare.pt")
    torch.save(
        {"state_dict": {"encoder.weight": tensor, "decoder.weight": tensor.T, "b": tensor[0]}}, folder / "sae.pt"
    )
    save_file({"w": tensor.contiguous()}, str(folder / "m.safetensors"))
    return {
        "long csv": (_csv(folder / "long.csv", long), None),
        "wide csv": (_csv(folder / "wide.csv", wide), None),
        "tall csv": (_csv(folder / "tall.csv", tall), None),
        "npy": (folder / "m.npy", None),
        "npz": (folder / "m.npz", None),
        "bare tensor": (folder / "bare.pt", None),
        "autoencoder": (folder / "sae.pt", "decoder.weight"),
        "safetensors": (folder / "m.safetensors", None),
    }


def test_every_kind_of_file_gives_the_same_directions(stored: Path, tmp_path: Path) -> None:
    for kind, (path, key) in _written(tmp_path).items():
        bundle = Bundle.open(shutil.copytree(stored, tmp_path / f"{path.stem}{path.suffix}.circuit"))
        table = read_directions(path, bundle, "layer2", key=key)
        bundle = add_directions(bundle, "layer2", table.coefficients, names=table.names or NAMES)
        assert bundle.directions.names("layer2") == NAMES, kind
        np.testing.assert_array_equal(bundle.directions.coefficients("layer2"), MATRIX.astype(np.float32), err_msg=kind)


WRONG_CSV = {
    "channel that is not there": (
        "name,channel,weight\na,12,1\n",
        UnknownUnitError,
        "line 2: '12' is not in net/layer2",
    ),
    "channel of another layer": ("name,channel,weight\na,layer1:3,1\n", UnknownUnitError, "is not in net/layer2"),
    "matrix without a header": ("0.5,1.5\n1.5,0.5\n", ShapeError, "line 1: it is all numbers; a header is wanted"),
    "channel in words": ("name,channel,weight\na,first,1\n", UnknownUnitError, "line 2: 'first' is no channel"),
    "channel twice": ("name,channel,weight\na,1,1\na,1,2\n", BundleError, "line 3: a has channel 1 twice"),
    "no number": ("name,channel,weight\na,1,high\n", WeightsError, "line 2: 'high' is no number"),
    "missing cell": ("name,channel,weight\na,1\n", ShapeError, "line 2: 2 cells, the header has 3"),
    "missing channels": ("name,0,1\na,1,2\n", ShapeError, "line 1: 2 channels are named, net/layer2 has 12"),
    "only a header": ("name,channel,weight\n", WeightsError, "has 1 lines"),
    "no text": ("\x00\xff", WeightsError, "bad.csv"),
}


@pytest.mark.parametrize("case", WRONG_CSV)
def test_a_table_that_does_not_fit_is_refused_by_its_line(stored: Path, tmp_path: Path, case: str) -> None:
    text, kind, fact = WRONG_CSV[case]
    path = tmp_path / "bad.csv"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(kind) as caught:
        read_directions(path, Bundle.open(stored), "layer2")
    assert fact in str(caught.value).splitlines()[0]


def test_files_that_hold_no_one_matrix_are_refused(stored: Path, tmp_path: Path) -> None:
    bundle = Bundle.open(stored)
    files = _written(tmp_path)
    with pytest.raises(WeightsError, match=r"holds 2 matrices \(encoder\.weight \(3, 12\), decoder\.weight"):
        read_directions(files["autoencoder"][0], bundle, "layer2")
    with pytest.raises(WeightsError, match="holds no 'w_dec', but encoder"):
        read_directions(files["autoencoder"][0], bundle, "layer2", key="w_dec")
    for name in ("m.npy", "m.npz", "sae.pt", "m.safetensors"):
        cut = tmp_path / f"cut{Path(name).suffix}"
        cut.write_bytes((tmp_path / name).read_bytes()[:-200])
        with pytest.raises(WeightsError, match="cut short"):
            read_directions(cut, bundle, "layer2")
    np.save(tmp_path / "pickle.npy", np.array([{}]), allow_pickle=True)
    with pytest.raises(WeightsError, match="pickled objects; nothing was run"):
        read_directions(tmp_path / "pickle.npy", bundle, "layer2")
    with pytest.raises(MissingFileError):
        read_directions(tmp_path / "none.csv", bundle, "layer2")
    (tmp_path / "m.txt").write_text("1")
    with pytest.raises(WeightsError, match=r"ends in \.txt; known are"):
        read_directions(tmp_path / "m.txt", bundle, "layer2")
    with pytest.raises(UnknownLayerError):
        read_directions(files["npy"][0], bundle, "layer9")


def test_directions_are_added_listed_looked_at_and_removed_by_command(
    stored: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(*args: object) -> str:
        cli.main([str(arg) for arg in args], standalone_mode=False)
        return capsys.readouterr().out

    path = shutil.copytree(stored, tmp_path / "net.circuit")
    files = _written(tmp_path)
    assert "has 3 directions" in run("direction", "add", path, "layer2", files["npz"][0], "--normalise", "-q")
    assert "nothing was changed" in run("direction", "add", path, "layer2", files["npz"][0], "--normalise", "-q")
    run("direction", "add", path, "layer2", files["npy"][0], "--names", "a,b,c", "--source", "NMF", "-q")
    listed = run("direction", "list", path, "--format", "csv").splitlines()
    assert [line.split(",")[0] for line in listed[1:]] == [
        f"net/layer2@{name}" for name in ("a", "b", "c", "car", "dog-head", "x.1")
    ]
    assert listed[1].endswith(",NMF") and listed[4].endswith(",m.npz")
    shown = run("inspect", path, "--unit", "layer2@car", "--table", "combines", "--format", "csv").splitlines()
    assert len(shown) == 13
    assert "follow from their kernels" in run("bundle", "verify", path, "-q")
    assert "2 directions removed, 4 left" in run("direction", "remove", path, "layer2", "a", "x.1", "-q")
    assert "4 directions removed, 0 left" in run("direction", "remove", path, "layer2", "--all", "-q")
