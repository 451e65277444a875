"""The log keeps what was acknowledged: writers at once, kills, torn lines, and branches merged by git."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from circuitgraph.catalogue import Author, Claim, ClaimLog
from circuitgraph.errors import CatalogueError, ClaimError, MissingFileError

WRITER = """
import sys
from circuitgraph.catalogue import Author, Claim, ClaimLog
folder, name, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
log = ClaimLog.open(folder)
for place in range(count):
    claim = Claim(subject=f"net/a:{place}", predicate="pure", author=Author(name=name), date="2020-01-01")
    log.append([claim])
    print(claim.id, flush=True)
"""


def claims_of(name: str, count: int) -> list[Claim]:
    return [
        Claim(subject=f"net/a:{place}", predicate="pure", author=Author(name=name), date="2020-01-01")
        for place in range(count)
    ]


def ids_in(log: ClaimLog) -> set[str]:
    return {claim.id for claim in log.claims()}


def writer(log: ClaimLog, name: str, count: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(log.folder), name, str(count)], stdout=subprocess.PIPE, text=True
    )


def test_claims_come_back_once_however_often_they_are_added(tmp_path: Path) -> None:
    log = ClaimLog.open(tmp_path / "catalogue", create=True)
    claims = claims_of("one", 300)
    assert len(log.append(claims).added) == 300
    again = log.append([*claims, *claims])
    assert (again.added, again.already_there) == ([], 600)
    assert ids_in(ClaimLog.open(log.folder)) == {claim.id for claim in claims}
    assert sum(1 for _ in log.claims()) == 300


def test_a_folder_that_is_no_catalogue_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match="there is no catalogue"):
        ClaimLog.open(tmp_path)
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(CatalogueError, match="holds other things"):
        ClaimLog.open(tmp_path, create=True)


def test_nothing_is_written_where_the_catalogue_no_longer_is(tmp_path: Path) -> None:
    log = ClaimLog.open(tmp_path / "catalogue", create=True)
    log.folder.rename(tmp_path / "elsewhere")
    with pytest.raises(MissingFileError, match="no catalogue any more"):
        log.append(claims_of("one", 1))
    assert not log.folder.exists()
    (tmp_path / "elsewhere").rename(log.folder)
    assert len(log.append(claims_of("one", 1)).added) == 1


def test_a_torn_line_is_cut_and_said_at_the_next_append(tmp_path: Path) -> None:
    log = ClaimLog.open(tmp_path, create=True)
    first, second = claims_of("one", 1)[0], claims_of("two", 1)[0]
    path = tmp_path / "claims" / f"{second.id[6:8]}.jsonl"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(second.line().encode()[:100])
    assert [line.data for line in log.torn()] == [second.line().encode()[:100]]
    assert ids_in(log) == set()
    report = log.append([first, second])
    assert report.torn == [f"{path.name}: 100 bytes after the last whole line were cut away"]
    assert ids_in(log) == {first.id, second.id}
    assert log.torn() == []


def test_a_claim_in_the_wrong_file_and_a_changed_one_are_named(tmp_path: Path) -> None:
    log = ClaimLog.open(tmp_path, create=True)
    (claim,) = claims_of("one", 1)
    log.append([claim])
    own = tmp_path / "claims" / f"{claim.id[6:8]}.jsonl"
    other = tmp_path / "claims" / ("00.jsonl" if own.name != "00.jsonl" else "01.jsonl")
    own.rename(other)
    with pytest.raises(ClaimError, match=rf"{other.name}, byte 0: .* does not belong into this file"):
        list(log.claims())
    other.rename(own)
    own.write_text(own.read_text().replace("net/a:0", "net/a:1"))
    with pytest.raises(ClaimError, match=f"{own.name}, byte 0: the id says"):
        list(log.claims())


def test_a_changed_line_does_not_keep_the_claim_itself_out(tmp_path: Path) -> None:
    log = ClaimLog.open(tmp_path, create=True)
    claims = claims_of("one", 40)
    log.append(claims)
    own = tmp_path / "claims" / f"{claims[0].id[6:8]}.jsonl"
    own.write_text(own.read_text().replace(claims[0].subject, "net/b:0", 1))
    assert log.append(claims).added == [claims[0].id]
    assert log.append(claims).added == []
    assert claims[0].line() in own.read_text().splitlines()


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("mine")
    for folder in (tmp_path / "notes", tmp_path / "notes" / "cat"):
        with pytest.raises(CatalogueError, match="notes is a file, a catalogue is a folder"):
            ClaimLog.open(folder, create=True)
    assert (tmp_path / "notes").read_text() == "mine"


def check_writers(log: ClaimLog, processes: int, count: int) -> None:
    writers = [writer(log, f"writer {number}", count) for number in range(processes)]
    said = [process.communicate(timeout=300)[0].split("\n")[:-1] for process in writers]
    assert [process.returncode for process in writers] == [0] * processes
    assert sorted(ids_in(log)) == sorted(uid for lines in said for uid in lines if uid.startswith("claim:"))
    assert len(ids_in(log)) == processes * count
    assert log.torn() == []


def test_writers_at_once_lose_nothing(tmp_path: Path) -> None:
    check_writers(ClaimLog.open(tmp_path, create=True), 4, 25)


@pytest.mark.slow
def test_32_writers_of_100_claims_each_lose_nothing(tmp_path: Path) -> None:
    check_writers(ClaimLog.open(tmp_path, create=True), 32, 100)


def check_kills(log: ClaimLog, kills: int) -> None:
    acknowledged: set[str] = set()
    for number in range(kills):
        process = writer(log, f"killed {number}", 1_000_000)
        assert process.stdout is not None
        # the kill comes while the claim after the last one that is read is being written
        for _ in range(1 + number % 7):
            acknowledged.add(process.stdout.readline().strip())
        os.kill(process.pid, signal.SIGKILL)
        acknowledged |= {line for line in process.communicate()[0].split("\n")[:-1] if len(line) == 70}
        assert acknowledged <= ids_in(ClaimLog.open(log.folder))
    log.append(claims_of("after", 50))
    assert log.torn() == []


def test_what_was_acknowledged_survives_kills(tmp_path: Path) -> None:
    check_kills(ClaimLog.open(tmp_path, create=True), 4)


@pytest.mark.slow
def test_what_was_acknowledged_survives_50_kills(tmp_path: Path) -> None:
    check_kills(ClaimLog.open(tmp_path, create=True), 50)


def test_two_branches_merge_in_git_to_the_union(tmp_path: Path) -> None:
    def git(*words: str) -> None:
        settings = ["-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false"]
        subprocess.run(["git", *settings, *words], cwd=tmp_path, check=True, capture_output=True)

    log = ClaimLog.open(tmp_path, create=True)
    log.append(claims_of("base", 200))
    git("init", "-b", "main")
    git("add", ".")
    git("commit", "-m", "base")
    git("checkout", "-b", "other")
    log.append(claims_of("left", 1000) + claims_of("both", 100))
    git("add", ".")
    git("commit", "-m", "left")
    git("checkout", "main")
    log.append(claims_of("right", 1000) + claims_of("both", 100))
    git("add", ".")
    git("commit", "-m", "right")
    git("merge", "other")
    expected = [
        claim.id
        for name, count in (("base", 200), ("left", 1000), ("right", 1000), ("both", 100))
        for claim in claims_of(name, count)
    ]
    assert sorted(claim.id for claim in log.claims()) == sorted(expected)
