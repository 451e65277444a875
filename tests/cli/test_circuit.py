"""``circuitgraph circuit`` and the commands of families: a thin face, whose answers are those of the library."""

from __future__ import annotations

import csv
import io
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from circuitgraph.bundle import Bundle
from circuitgraph.catalogue.circuit_making import circuit_around, make_circuit
from circuitgraph.catalogue.circuits import CircuitRecord, list_circuits
from circuitgraph.catalogue.claims import Author, Claim
from circuitgraph.catalogue.families import FamilyRecord
from circuitgraph.catalogue.local import Catalogue
from circuitgraph.testing.bundles import write_synthetic_bundle
from tests.cli.calling import Call, caller
from tests.cli.running import run

ADA = Author(name="Ada Example")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return write_synthetic_bundle(tmp_path_factory.mktemp("circuit") / "net.circuit", network="net")


@pytest.fixture
def circuit(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Call:
    """Run ``circuitgraph circuit ...`` as Ada on an empty catalogue."""
    Catalogue.open(tmp_path / "cat", create=True).close()
    return caller(tmp_path, capsys, monkeypatch, group="circuit")


def kept(tmp_path: Path) -> list[CircuitRecord]:
    with Catalogue.open(tmp_path / "cat") as catalogue:
        return list_circuits(catalogue, with_superseded=True)


def test_new_from_units_writes_what_the_library_makes(circuit: Call, bundle: Bundle, tmp_path: Path) -> None:
    units = ["--unit", "layer1:2=left", "--unit", "layer2:5=sum of parts", "--unit", "layer3:1"]
    code, out, err = circuit(
        *("new", "--bundle", bundle.path, "--title", "Three", *units, "--label", "layer3:1=a = b"),
        *("--date", "2026-11-21", "--description", "words", "--reference", "doi:10.1/x", "--slug", "trio", "--json"),
    )
    assert code == 0, err
    expected = make_circuit(
        bundle,
        {"layer1:2": "left", "layer2:5": "sum of parts", "layer3:1": ""},
        title="Three",
        labels={"layer3:1": "a = b"},
        author=ADA,
        date="2026-11-21",
        description="words",
        reference="doi:10.1/x",
        slug="trio",
    )
    assert kept(tmp_path) == [expected]
    (row,) = json.loads(out)["rows"]
    assert (row["circuit"], row["units"], row["edges"], row["is_new"]) == (expected.uid, 3, 2, True)
    assert CircuitRecord.read(Path(row["file"]).read_bytes(), where="the file") == expected
    assert f"next: circuitgraph draw circuit {expected.uid}" in err


def test_new_twice_is_one_file_and_a_dry_run_none(circuit: Call, bundle: Bundle, tmp_path: Path) -> None:
    command = ["new", "--bundle", bundle.path, "--title", "Near", "--around", "layer2:5", "--top", 3, "--up", 2]
    command += ["--date", "2026-11-21"]
    code, text, err = circuit(*command, "--dry-run")
    assert (code, kept(tmp_path)) == (0, [])
    expected = circuit_around(bundle, "layer2:5", title="Near", top=3, hops_up=2, author=ADA, date="2026-11-21")
    assert CircuitRecord.read(text, where="stdout") == expected
    assert "was not written" in err
    assert circuit(*command)[0] == 0
    code, out, _ = circuit(*command, "--format", "csv")
    assert code == 0
    assert next(csv.DictReader(io.StringIO(out)))["is_new"] == "False"
    assert len(kept(tmp_path)) == 1


def test_new_with_edges_from_a_query_and_from_a_motif(circuit: Call, bundle: Bundle, tmp_path: Path) -> None:
    pairs = [("net/layer1:2", "net/layer2:5"), ("net/layer2:5", "net/layer3:1")]
    rows = {"rows": [{"up": up, "down": down} for up, down in pairs]}
    (tmp_path / "rows.json").write_text(json.dumps(rows), encoding="utf-8")
    match = {
        "id": "motif:0123456789abcdef",
        "motif": "mine",
        "score": 2.0,
        "units": {"a": pairs[0][0], "b": pairs[0][1]},
    }
    found = {"weights_sha256": bundle.info.weights_sha256, "matches": [{"units": {}}, match]}
    (tmp_path / "found.json").write_text(json.dumps(found), encoding="utf-8")
    begun = ["new", "--bundle", bundle.path]
    assert circuit(*begun, "--title", "q", "--from-query", "rows.json")[0] == 0
    assert circuit(*begun, "--title", "m", "--from-motif", "found.json", "--match", 2)[0] == 0
    chosen = ["--unit", "layer1:2", "--unit", "layer2:5", "--edge", "layer1:2", "layer2:5"]
    assert circuit(*begun, "--title", "e", *chosen)[0] == 0
    by_title = {record.title: record for record in kept(tmp_path)}
    assert {title: [(edge.up, edge.down) for edge in record.edges] for title, record in by_title.items()} == {
        "q": pairs,
        "m": pairs[:1],
        "e": pairs[:1],
    }
    assert by_title["m"].thresholds["origin"] == "motif:0123456789abcdef"
    assert by_title["m"].description == "mine: score 2; no verdict."


def test_a_circuit_is_superseded_listed_and_found_by_its_slug(circuit: Call, bundle: Bundle, tmp_path: Path) -> None:
    begun = ["new", "--bundle", bundle.path, "--title", "Car"]
    assert circuit(*begun, "--unit", "layer1:1")[0] == 0
    (old,) = kept(tmp_path)
    assert circuit(*begun, "--unit", "layer1:1", "--unit", "layer2:1", "--supersedes", "car")[0] == 0
    (new,) = [record for record in kept(tmp_path) if record != old]
    assert new.supersedes == (old.sha256,)
    rows = json.loads(circuit("list", "--json")[1])["tables"]["circuits"]["rows"]
    assert [row["circuit"] for row in rows] == [new.uid]
    rows = json.loads(circuit("list", "--all", "--json")[1])["tables"]["circuits"]["rows"]
    assert {row["circuit"]: row["superseded_by"] for row in rows} == {old.uid: new.uid, new.uid: None}
    assert json.loads(circuit("show", "car", "--json")[1])["uid"] == new.uid


def test_show_prints_roles_labels_of_claims_and_shares(circuit: Call, bundle: Bundle, tmp_path: Path) -> None:
    with Catalogue.open(tmp_path / "cat") as catalogue:
        catalogue.add(
            [Claim(subject="net/layer1:2", predicate="detects", object="feature:wheel", author=ADA, date="2026-01-01")]
        )
    circuit("new", "--bundle", bundle.path, "--title", "Car", "--unit", "layer1:2=part", "--unit", "layer2:5=whole")
    (record,) = kept(tmp_path)
    said = json.loads(circuit("show", "car", "--json")[1])["tables"]
    assert {row["unit"]: (row["role"], row["detects"]) for row in said["units"]["rows"]} == {
        "net/layer1:2": ("part", "wheel"),
        "net/layer2:5": ("whole", None),
    }
    code, out, _ = circuit("show", "car", "--table", "edges", "--format", "csv")
    assert code == 0
    (row,) = csv.DictReader(io.StringIO(out))
    assert float(row["share_in"]) == record.edges[0].share_in
    assert float(row["sum"]) == record.edges[0].sum


def test_draw_writes_the_picture_and_needs_no_catalogue_for_a_file(
    circuit: Call, bundle: Bundle, tmp_path: Path
) -> None:
    circuit("new", "--bundle", bundle.path, "--title", "<Car>", "--unit", "layer1:2=part", "--unit", "layer2:5")
    (record,) = kept(tmp_path)
    code, out, _ = circuit("circuit", "Car", "--bundle", bundle.path, "-o", "a.svg", group="draw")
    assert (code, out) == (1, "")
    assert circuit("circuit", "car", "--bundle", bundle.path, "-o", "a.svg", group="draw")[0] == 0
    path = tmp_path / "cat" / "circuits" / record.file_name
    moved = shutil.move(path, tmp_path / "mine.json")
    shutil.rmtree(tmp_path / "cat")
    without = {"CATALOGUE": "", "DATA_DIR": str(tmp_path)}
    done = circuit("circuit", moved, "--bundle", bundle.path, "-o", "b.svg", "-q", group="draw", **without)
    assert done == (0, "", "")
    assert (tmp_path / "b.svg").read_text() == (tmp_path / "a.svg").read_text()
    assert "&lt;Car&gt;" in (tmp_path / "b.svg").read_text()
    assert circuit("circuit", "car", "--bundle", bundle.path, "-o", "no/b.svg", group="draw")[0] == 1


def test_check_leaves_with_1_and_the_first_differences(circuit: Call, bundle: Bundle, tmp_path: Path) -> None:
    units = [word for channel in range(12) for word in ("--unit", f"layer2:{channel}")]
    circuit("new", "--bundle", bundle.path, "--title", "Wide", "--unit", "layer3:1", *units, "--top", 12)
    circuit("new", "--bundle", bundle.path, "--title", "Other", "--unit", "layer1:1", "--unit", "layer2:1")
    code, out, err = circuit("check", "--bundle", bundle.path, "--json")
    assert (code, err) == (0, "")
    assert {row["verdict"] for row in json.loads(out)["tables"]["circuits"]["rows"]} == {"unchanged"}
    shutil.copytree(bundle.path, tmp_path / "changed.circuit")
    part = next(each for each in bundle.blocks if each.down == "net/layer3")
    kernels = np.load(tmp_path / "changed.circuit" / part.file)
    kernels[1, :7] += 1
    np.save(tmp_path / "changed.circuit" / part.file, kernels)
    code, out, err = circuit("check", "--bundle", "changed.circuit", "--json")
    said = json.loads(out)
    assert code == 1
    counts = {row["circuit"].partition("@")[0]: row["changed"] for row in said["tables"]["circuits"]["rows"]}
    assert counts == {"circuit:other": 0, "circuit:wide": 7}
    assert {row["up"] for row in said["tables"]["edges"]["rows"]} == {f"net/layer2:{channel}" for channel in range(7)}
    assert err.count(" -> net/layer3:1: sum ") == 5
    assert "... and 2 more" in err
    assert "checking circuits: 1 of 2 are not as recorded; circuit:wide@" in err
    assert circuit("check", "other", "--bundle", "changed.circuit")[0] == 0
    code, _, err = circuit("circuit", "wide", "--bundle", "changed.circuit", "-o", "a.svg", group="draw")
    assert code == 1
    assert "5 of 12 edges unchanged, 7 changed" in err
    assert not (tmp_path / "a.svg").exists()
    assert circuit("circuit", "wide", "--bundle", "changed.circuit", "-o", "a.svg", "--anyway", group="draw")[0] == 0
    assert "NOT AS RECORDED: of 12 edges 7 changed" in (tmp_path / "a.svg").read_text()


def test_cite_and_add(circuit: Call, bundle: Bundle, tmp_path: Path) -> None:
    record = make_circuit(bundle, ["layer1:1"], title="From elsewhere", author="Bea Example", date="2026-11-21")
    (tmp_path / "mine.json").write_text(record.text(), encoding="utf-8")
    forged = record.text().replace("Bea", "Eve")
    (tmp_path / "forged.json").write_text(forged, encoding="utf-8")
    code, _, err = circuit("add", "mine.json", "forged.json")
    assert code == 1
    assert "forged.json: the hash says" in err
    assert kept(tmp_path) == []
    assert circuit("add", "mine.json")[0] == 0
    assert "0 of 1 circuits are new" in circuit("add", "mine.json")[2]
    assert kept(tmp_path) == [record]
    for style in ("text", "bibtex", "cff"):
        code, out, err = circuit("cite", "from-elsewhere", "--style", style)
        assert code == 0, err
        assert "From elsewhere" in out
        assert record.sha256 in out
        assert "Bea" in out
    assert circuit("add", "nothing.json")[0] == 1


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ([], 2, "give one of --unit, --around, --from-motif, --from-query; given: none"),
        (["--unit", "layer1:1", "--around", "layer1:1"], 2, "given: --unit, --around"),
        (["--around", "layer1:1", "--edge", "a", "b"], 2, "--edge goes with --unit"),
        (["--unit", "layer1:99"], 1, "layer1 has 16 units, 0 to 15"),
        (["--unit", "layer1:1", "--label", "x"], 2, "'x' is not UNIT=TEXT"),
        (["--unit", "layer1:1", "--date", "soon"], 1, "date: 'soon' is no date in ISO 8601"),
        (["--unit", "layer1:1", "--supersedes", "nix"], 1, "circuit 'nix' is not in the catalogue, which has 0"),
        (["--unit", "layer1:1", "--edge", "layer1:1", "layer2:2"], 1, "net/layer2:2, which is not in the circuit"),
        (["--from-motif", "none.json"], 1, "reading motifs from none.json: it cannot be read"),
        (["--from-query", "none.json"], 1, "reading rows from none.json"),
        (["--from-query", "bad.json"], 1, "it is not JSON"),
        (["--from-query", "list.json"], 1, "row 1 names no two units"),
        (["--from-motif", "one.json", "--match", "2"], 1, "match 2 is asked for, it has 1"),
    ],
)
def test_what_cannot_be_made_says_why_and_writes_nothing(
    arguments: list[str], code: int, said: str, circuit: Call, bundle: Bundle, tmp_path: Path
) -> None:
    (tmp_path / "bad.json").write_text("{", encoding="utf-8")
    (tmp_path / "list.json").write_text("[[1, 2]]", encoding="utf-8")
    (tmp_path / "one.json").write_text('{"matches": [{}]}', encoding="utf-8")
    left, out, err = circuit("new", "--bundle", bundle.path, "--title", "a", *arguments)
    assert (left, out) == (code, "")
    assert said in err
    assert kept(tmp_path) == []


def test_who_makes_it_must_be_said_and_a_catalogue_be_there(bundle: Bundle, tmp_path: Path) -> None:
    begun = ["circuit", "new", "--bundle", bundle.path, "--title", "a", "--unit", "layer1:1"]
    done = run(*begun, cwd=tmp_path)
    assert done.returncode == 1
    assert "there is no catalogue" in done.stderr
    done = run(*begun, "--dry-run", cwd=tmp_path)
    assert done.returncode == 1
    assert "CIRCUITGRAPH_AUTHOR" in done.stderr


@pytest.fixture
def catalogue(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Call:
    Catalogue.open(tmp_path / "cat", create=True).close()
    return caller(tmp_path, capsys, monkeypatch)


def rows_of(out: str) -> list[dict[str, Any]]:
    return list(json.loads(out)["rows"])


def test_families_are_added_with_their_claims_once_and_a_new_version_takes_their_place(
    catalogue: Call, bundle: Bundle, tmp_path: Path
) -> None:
    path = tmp_path / "groups.json"
    path.write_text(
        '[{"name": "Curves", "units": [3, 1,]}, {"name": "lines", "units": ["layer1:2"]},]', encoding="utf-8"
    )
    add = ["family-add", path, "--bundle", bundle.path, "--layer", "layer1", "--json"]
    code, out, err = catalogue(*add, "--dry-run")
    assert (code, len(rows_of(out))) == (0, 2)
    assert "2 of 2 families would be added, 3 claims" in err
    assert rows_of(catalogue("families", "--json")[1]) == []
    code, _, err = catalogue(*add)
    assert code == 0
    assert "2 of 2 families are new, 3 claims" in err
    assert "0 of 2 families are new, 0 claims" in catalogue(*add)[2]
    path.write_text('{"Curves": [3, 1, 0]}', encoding="utf-8")
    assert "1 of 1 families are new, 1 claims" in catalogue(*add)[2]
    code, _, err = catalogue(*add, AUTHOR="Bea")
    assert "1 of 1 families are new, 3 claims" in err
    with Catalogue.open(tmp_path / "cat") as opened:
        records = opened.documents(FamilyRecord)
        assert len(opened.ids()) == 7
    curves = [record for record in records if record.name == "Curves"]
    assert sorted((len(record.members), record.author.name, len(record.supersedes)) for record in curves) == [
        (2, "Ada Example", 0),
        (3, "Ada Example", 1),
        (3, "Bea", 0),
    ]
    listed = rows_of(catalogue("families", "--layer", "layer1", "--json")[1])
    assert [(row["family"], row["members"]) for row in listed] == [("net/layer1!Curves", 3), ("net/layer1!lines", 1)]
    assert len(rows_of(catalogue("families", "--all", "--json")[1])) == 4
    assert rows_of(catalogue("families", "--network", "other", "--json")[1]) == []


def test_the_families_of_a_bundle_are_added_with_their_angles(catalogue: Call, bundle: Bundle, tmp_path: Path) -> None:
    code, out, _ = catalogue("family-add", "--bundle", bundle.path, "--records-only", "--json")
    assert code == 0
    assert [(row["family"], row["members"], row["angles"]) for row in rows_of(out)] == [("net/layer1!first", 4, 4)]
    with Catalogue.open(tmp_path / "cat") as opened:
        assert [record.to_family() for record in opened.documents(FamilyRecord)] == list(bundle.families)
        assert opened.ids() == []
