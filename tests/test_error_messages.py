"""Bad files, bundles and settings: act, place, value and repair are in the text, and no foreign exception leaks.

What is wrong with weights is told in tests/importers, what is wrong with the server in tests/store.
"""

from __future__ import annotations

import builtins
import inspect
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from circuitgraph import Bundle, errors
from circuitgraph.bundle import BundleWriter
from circuitgraph.bundle.verify import verify_bundle
from circuitgraph.errors import CircuitGraphError
from circuitgraph.settings import read_settings
from tests.bundle import planted
from tests.cli.running import environment


@dataclass(frozen=True)
class Bad:
    """A bad input: what is done, and the act, place, value and repair that the message must hold."""

    do: Callable[[Path], Any]
    kind: type[CircuitGraphError]
    said: tuple[str, ...]
    repair: str


def damaged(change: Callable[[Path], Any]) -> Callable[[Path], Any]:
    def do(path: Path) -> None:
        change(path)
        with Bundle.open(path) as bundle:
            verify_bundle(bundle).raise_if_corrupt(bundle)

    return do


def ask(method: str, *names: str) -> Callable[[Path], Any]:
    return lambda path: getattr(Bundle.open(path), method)(*names)


def setting(name: str, value: str) -> Callable[[Path], Any]:
    return lambda path: read_settings({"CIRCUITGRAPH_CONFIG": str(path / "no.toml"), name: value})


def setting_file(content: str) -> Callable[[Path], Any]:
    def do(path: Path) -> None:
        (path / "config.toml").write_text(content, encoding="utf-8")
        read_settings({"CIRCUITGRAPH_CONFIG": str(path / "config.toml")})

    return do


def write_again(path: Path) -> None:
    BundleWriter(path, planted.info(), planted.layers())


BAD = {
    "missing bundle": Bad(
        lambda path: Bundle.open(path.with_name("nix.circuit")),
        errors.MissingFileError,
        ("opening", "nix.circuit", "no such bundle"),
        "circuitgraph import",
    ),
    "weights given as a bundle": Bad(
        lambda path: Bundle.open(path / "kernels" / "00010000.npy"),
        errors.BundleError,
        ("opening", "00010000.npy", "a file", "a folder"),
        "circuitgraph import",
    ),
    "half-written bundle": Bad(
        damaged(lambda path: (path / "manifest.json").unlink()),
        errors.BundleError,
        ("opening", "x.circuit", "manifest.json", "not a complete bundle"),
        "Run the import again",
    ),
    "missing file in a bundle": Bad(
        damaged(lambda path: (path / "units.parquet").unlink()),
        errors.BundleCorruptError,
        ("opening", "x.circuit", "units.parquet is missing"),
        "Import the network again",
    ),
    "half a file in a bundle": Bad(
        damaged(lambda path: (path / "units.parquet").write_bytes(b"PAR1")),
        errors.BundleCorruptError,
        ("opening", "x.circuit", "units.parquet has 4 bytes, not "),
        "Import the network again",
    ),
    "stranger in a bundle": Bad(
        damaged(lambda path: (path / "notes.txt").touch()),
        errors.BundleCorruptError,
        ("verifying", "x.circuit", "notes.txt is not in the manifest"),
        "Import the network again",
    ),
    "bundle that is there": Bad(
        write_again, errors.BundleExistsError, ("writing", "x.circuit", "already there"), "--replace"
    ),
    "unknown layer": Bad(
        ask("layer", "mixed4e"),
        errors.UnknownLayerError,
        ("'mixed4e' does not exist in planted", "has 5: input, stem.conv"),
        "Did you mean mixed4",
    ),
    "unknown network": Bad(
        ask("block", "inceptionv1/mixed4c", "mixed4d"),
        errors.UnknownNetworkError,
        ("inceptionv1/mixed4c", "holds planted"),
        "planted/mixed4c",
    ),
    "unknown unit": Bad(
        ask("kernel", "stem.conv:4", "mixed4c:0"),
        errors.UnknownUnitError,
        ("'planted/stem.conv:4' does not exist", "4 units, 0 to 3"),
        "count from 0",
    ),
    "unknown pair": Bad(
        ask("block", "input", "head"),
        errors.UnknownPairError,
        ("planted/input to planted/head",),
        "planted/mixed4d, planted/mixed4c",
    ),
    "no uid": Bad(ask("unit", "mixed4c"), errors.IdError, ("'mixed4c' is not the uid of a unit",), "head:0"),
    "setting in the environment": Bad(
        setting("CIRCUITGRAPH_HEAP", "lots"),
        errors.SettingsError,
        ("'heap'", "environment CIRCUITGRAPH_HEAP", "'lots'"),
        "Set CIRCUITGRAPH_HEAP anew",
    ),
    "setting in the file": Bad(
        setting_file("bolt_port = 99999"),
        errors.SettingsError,
        ("'bolt_port'", "config.toml", "'99999'", "65535"),
        "config.toml",
    ),
    "unknown setting": Bad(
        setting_file("head = '2g'"), errors.SettingsError, ("'head'", "config.toml", "no setting"), "heap"
    ),
    "settings file that is no TOML": Bad(
        setting_file("heap: 2g"), errors.SettingsError, ("reading the settings file", "config.toml"), "Mend the file"
    ),
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return planted.write(tmp_path_factory.mktemp("whole") / "x.circuit").path


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_a_refusal_tells_act_place_value_and_repair(bad: Bad, whole: Path, tmp_path: Path) -> None:
    path = Path(shutil.copytree(whole, tmp_path / "x.circuit"))
    with pytest.raises(bad.kind) as caught:
        bad.do(path)
    first, _, rest = str(caught.value).partition("\n")
    for words in bad.said:
        assert words in first
    assert bad.repair in rest
    assert rest.startswith("  ")
    assert rest.count("\n") == 0, "one line to say what to do"
    assert len(first) < 400


KINDS = [getattr(errors, name) for name in errors.__all__]


@pytest.mark.parametrize("kind", KINDS, ids=errors.__all__)
def test_every_error_is_ours_and_a_builtin_one_and_stands_in_the_tree(kind: type[CircuitGraphError]) -> None:
    assert issubclass(kind, CircuitGraphError)
    names = [base.__name__ for base in kind.__mro__ if hasattr(builtins, base.__name__)]
    assert names[0] not in ("Exception", "BaseException", "object") or kind is CircuitGraphError
    assert kind.__name__ in (errors.__doc__ or "")
    assert inspect.getdoc(kind)


@pytest.mark.parametrize("kind", KINDS, ids=errors.__all__)
def test_an_error_keeps_its_hint_through_a_process_border(kind: type[CircuitGraphError]) -> None:
    error = kind("reading x: 3, not 4.", hint="Give 4.")
    copy = pickle.loads(pickle.dumps(error))
    assert str(copy) == str(error) == "reading x: 3, not 4.\n  Give 4."
    assert (copy.message, copy.hint) == (error.message, error.hint)


def test_an_error_is_caught_by_its_builtin() -> None:
    assert issubclass(errors.UnknownUnitError, LookupError)
    assert issubclass(errors.ShapeError, ValueError)
    assert issubclass(errors.StoreUnavailableError, ConnectionError)
    assert issubclass(errors.MissingExtraError, ImportError)
    assert issubclass(errors.BundleCorruptError, OSError)
    assert issubclass(errors.MissingFileError, FileNotFoundError)


@pytest.mark.parametrize(
    ("missing", "arguments", "extra"),
    [
        ("torch", ["import", "torch", "alexnet"], "torch"),
        ("torch", ["import", "kernels", "x.npz"], "torch"),
        ("neo4j", ["query", "RETURN 1"], "neo4j"),
    ],
)
def test_a_command_whose_extra_is_not_installed_says_what_to_install(
    tmp_path: Path, missing: str, arguments: list[str], extra: str
) -> None:
    # None in sys.modules is how Python itself marks a module that cannot be had
    code = f"import sys; sys.modules[{missing!r}] = None; from circuitgraph.cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=tmp_path,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert f"needs the package '{missing}', which is not installed" in done.stderr
    assert f"pip install 'feature-circuitgraph[{extra}]'" in done.stderr
    assert len(done.stderr.splitlines()) == 2
