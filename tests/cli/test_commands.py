from __future__ import annotations

import csv
import io
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from circuitgraph.cli.main import main
from tests.bundle import planted
from tests.cli.running import COMMAND, environment, run


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cli")
    planted.write(folder / "planted.circuit")
    return folder


def test_no_arguments_give_help_and_exit_code_2(folder: Path) -> None:
    done = run(cwd=folder)
    assert done.returncode == 2
    assert "circuitgraph demo" in done.stderr + done.stdout


@pytest.mark.parametrize(
    "arguments", [["--help"], ["-h"], ["inspect", "-h"], ["import", "torch", "--help"], ["--version"]]
)
def test_help_and_version_go_to_stdout_with_exit_code_0(folder: Path, arguments: list[str]) -> None:
    done = run(*arguments, cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert "circuitgraph" in done.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ["nix"],
        ["inspect"],
        ["inspect", "planted.circuit", "--nix"],
        ["inspect", "planted.circuit", "--layer", "head", "--unit", "head:0"],
        ["inspect", "planted.circuit", "--limit", "0"],
        ["inspect", "planted.circuit", "--format", "xml"],
        ["inspect", "planted.circuit", "--table", "nix"],
        ["inspect", "planted.circuit", "--format", "csv"],
        ["import", "torch", "alexnet", "--input", "3x32"],
        ["import", "torch", "alexnet", "--kwargs", "{num_classes: 10}"],
        ["import", "torch", "alexnet", "--kwargs", "[1]"],
        ["import", "torch", "alexnet", "--max-block", "much"],
        ["query"],
        ["query", "RETURN 1", "--timeout", "0"],
        ["load"],
    ],
)
def test_wrong_usage_is_exit_code_2_with_a_way_on_and_nothing_on_stdout(
    folder: Path, arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # in this process, as there are many
    monkeypatch.chdir(folder)
    monkeypatch.setattr("sys.argv", ["circuitgraph", *arguments])
    with pytest.raises(SystemExit) as left:
        main()
    captured = capsys.readouterr()
    assert (left.value.code, captured.out) == (2, "")
    assert "Error: " in captured.err
    assert "--help" in captured.err
    assert "Traceback" not in captured.err


def test_an_error_is_one_message_on_stderr_with_exit_code_1(folder: Path) -> None:
    done = run("inspect", "nix.circuit", cwd=folder)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "error: opening nix.circuit: there is no such bundle.\n  Make one with `circuitgraph import`.\n"
    )


@pytest.mark.parametrize("where", ["before", "after", "variable"])
def test_debug_shows_where_an_error_came_from(folder: Path, where: str) -> None:
    arguments = ["inspect", "nix.circuit"]
    variables = {"CIRCUITGRAPH_DEBUG": "1"} if where == "variable" else {}
    arguments = {"before": ["--debug", *arguments], "after": [*arguments, "--debug"]}.get(where, arguments)
    done = run(*arguments, cwd=folder, variables=variables)
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert "MissingFileError" in done.stderr


def test_what_was_not_expected_is_one_line_too(folder: Path) -> None:
    code = (
        "import circuitgraph.cli.bundle as b; b.Bundle.open = lambda path: 1 / 0\n"
        "from circuitgraph.cli.main import main; main()"
    )
    done = subprocess.run(
        [COMMAND.with_name("python"), "-c", code, "inspect", "x"],
        capture_output=True,
        text=True,
        check=False,
        env=environment(folder),
    )
    assert done.returncode == 1
    assert "did not expect: ZeroDivisionError" in done.stderr
    assert "--debug" in done.stderr
    assert "Traceback" not in done.stderr


def inspected(folder: Path, *arguments: str) -> Any:
    done = run("inspect", "planted.circuit", *arguments, "--json", cwd=folder)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_inspect_gives_one_json_document_with_all_its_tables(folder: Path) -> None:
    found = inspected(folder)
    assert (found["schema"], found["version"], found["network"]) == ("circuitgraph/inspect", 1, "planted")
    assert len(found["bundle_sha256"]) == 64
    assert list(found["tables"]) == ["layers", "pairs"]
    for table in found["tables"].values():
        assert set(table) == {"title", "columns", "rows", "notes"}
        assert all(list(row) == table["columns"] for row in table["rows"])
    stem = found["tables"]["layers"]["rows"][1]
    assert (stem["layer"], stem["units"], stem["map"], stem["aliases"]) == ("stem.conv", 4, [4, 6], [])


def test_inspect_of_a_layer_and_of_a_unit(folder: Path) -> None:
    assert list(inspected(folder, "--layer", "4c")["tables"]) == ["pairs", "units"]
    unit = inspected(folder, "--unit", "4c:3", "--limit", "2")["tables"]
    assert list(unit) == ["kernels_in", "kernels_out"]
    assert len(unit["kernels_in"]["rows"]) == 2
    assert "2 of 4 shown" in unit["kernels_in"]["notes"][0]


def test_every_format_holds_the_same_rows(folder: Path) -> None:
    rows = inspected(folder)["tables"]["pairs"]["rows"]
    lines = run("inspect", "planted.circuit", "--format", "ndjson", cwd=folder).stdout.splitlines()
    own = [row for row in map(json.loads, lines) if row.pop("table") == "pairs"]
    assert own == rows
    text = run("inspect", "planted.circuit", "--format", "csv", "--table", "pairs", cwd=folder).stdout
    from_csv = list(csv.DictReader(io.StringIO(text)))
    assert [row["up"] for row in from_csv] == [row["up"] for row in rows]
    assert [json.loads(row["window"]) for row in from_csv] == [row["window"] for row in rows]
    assert [float(row["l1"]) for row in from_csv] == [row["l1"] for row in rows]
    table = run("inspect", "planted.circuit", cwd=folder).stdout
    head = next(number for number, line in enumerate(table.splitlines()) if line.startswith("up "))
    shown = [line.split()[:2] for line in table.splitlines()[head + 1 :]]
    assert shown == [[row["up"], row["down"]] for row in rows]


def test_the_format_may_come_from_the_environment_and_the_switch_wins(folder: Path) -> None:
    by_variable = run("config", "show", cwd=folder, variables={"CIRCUITGRAPH_FORMAT": "json"})
    assert json.loads(by_variable.stdout)["schema"] == "circuitgraph/settings"
    switched = run("config", "show", "--format", "csv", cwd=folder, variables={"CIRCUITGRAPH_FORMAT": "json"})
    assert switched.stdout.startswith("setting,value,from,meaning\n")
    short = run("config", "show", "--json", cwd=folder, variables={"CIRCUITGRAPH_FORMAT": "csv"})
    assert json.loads(short.stdout)["version"] == 1


def test_verify_says_what_was_looked_at_and_quiet_says_no_more(folder: Path) -> None:
    loud = run("bundle", "verify", "planted.circuit", cwd=folder)
    quiet = run("bundle", "verify", "planted.circuit", "--quiet", cwd=folder)
    assert loud.returncode == quiet.returncode == 0
    assert "58 edges follow from their kernels" in loud.stdout
    assert quiet.stdout == loud.stdout
    assert (bool(loud.stderr), quiet.stderr) == (True, "")


def test_verify_of_a_damaged_bundle_is_exit_code_1_naming_the_file(tmp_path: Path) -> None:
    file = planted.write(tmp_path / "x.circuit").path / "kernels" / "00010000.npy"
    file.write_bytes(file.read_bytes()[:-1] + b"\x01")
    done = run("bundle", "verify", "x.circuit", "-q", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert "kernels/00010000.npy is not what the manifest says" in done.stderr


def test_config_show_tells_origins_and_never_a_password(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('heap = "3g"\npassword = "hunter2"\n', encoding="utf-8")
    variables = {"CIRCUITGRAPH_STORE": "bolt://me:hunter2@host:7687", "CIRCUITGRAPH_ROW_LIMIT": "5"}
    for form in ("table", "json", "ndjson", "csv"):
        done = run("config", "show", "--format", form, cwd=tmp_path, variables=variables)
        assert done.returncode == 0
        assert "hunter2" not in done.stdout + done.stderr
    rows = json.loads(run("config", "show", "--json", cwd=tmp_path, variables=variables).stdout)["rows"]
    by_name = {row["setting"]: row for row in rows}
    assert (by_name["heap"]["value"], by_name["heap"]["from"]) == ("3g", f"file {tmp_path / 'config.toml'}")
    assert by_name["row_limit"]["from"] == "environment CIRCUITGRAPH_ROW_LIMIT"
    assert by_name["password"]["value"] == "set"
    rows = json.loads(run("config", "show", "--json", cwd=folder).stdout)["rows"]
    assert next(row for row in rows if row["setting"] == "password")["value"] == "unset"


def test_a_reader_that_leaves_early_is_no_error(folder: Path) -> None:
    for arguments in ("config show", "inspect planted.circuit --unit 4c:3 --json"):
        said = set(run(*arguments.split(), cwd=folder).stderr.splitlines())
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-c", f"{COMMAND} {arguments} | head -c 1; {COMMAND} {arguments} | true"],
            cwd=folder,
            env=environment(folder),
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, set(done.stderr.splitlines()) - said) == (0, set())


def test_a_version_in_the_environment_is_not_taken_for_an_option(folder: Path) -> None:
    variables = {"CIRCUITGRAPH_VERSION": "0.1.0", "CIRCUITGRAPH_HELP": "see the docs"}
    done = run("config", "show", cwd=folder, variables=variables)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("setting")
