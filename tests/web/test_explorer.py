"""What the explorer opens and lets go of, and what it says where the catalogue is no longer what it was."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from html import escape
from pathlib import Path

import pytest

from tests.web.asking import asking


def _open_files() -> int:
    # named so on Linux and macOS
    return len(list(Path("/dev/fd").iterdir()))


def test_files_that_ended_threads_opened_are_let_go(tmp_path: Path) -> None:
    with asking(tmp_path) as opened:

        def look() -> int:
            assert opened.explorer.catalogue is not None
            return len(opened.explorer.catalogue.ids())

        def look_in_a_thread() -> int:
            with ThreadPoolExecutor(1) as thread:
                return thread.submit(look).result()

        known = look()
        first = look_in_a_thread()
        before = _open_files()
        assert [look_in_a_thread() for _ in range(20)] == [first] * 20 == [known] * 20
        # at most those of the thread that ended last
        assert _open_files() <= before + 3


@pytest.mark.parametrize("path", ["/", "/features", "/nothing", "/static/nothing", "/search?q=car"])
def test_a_catalogue_that_was_spoilt_meanwhile_is_said_in_a_page(tmp_path: Path, path: str) -> None:
    with asking(tmp_path) as opened:
        assert opened.get("/features").status == 200
        (opened.catalogue / "catalogue.txt").write_text("spoilt")
        answer = opened.get(path)
        assert answer.status == (404 if "nothing" in path else 400)
        assert "default-src 'none'" in answer.header("content-security-policy")
        assert ("its format is" in answer.text) == (answer.status == 400)
        assert opened.post("/claims/new", {"subject": "net/layer1:0"}).status == 403


@pytest.mark.parametrize("is_public", [False, True])
@pytest.mark.parametrize(
    "path", ["/network/net", "/layer/net/layer2", "/unit/net/layer2:3.json", "/edge/net/layer1:0%20->%20net/layer2:3"]
)
def test_a_bundle_that_was_moved_meanwhile_is_said_in_words_of_ours(tmp_path: Path, path: str, is_public: bool) -> None:
    with asking(tmp_path, may_write=not is_public, is_public=is_public) as opened:
        shutil.move(tmp_path / "net.circuit", tmp_path / "away")
        answer = opened.get(path)
        assert answer.status == 503
        assert "the bundle of net (net.circuit) is not where it was" in answer.text
        assert "Errno" not in answer.text
        assert str(tmp_path) not in answer.text
        assert opened.get("/").status == 200
        shutil.move(tmp_path / "away", tmp_path / "net.circuit")
        assert opened.get(path).status == 200


@pytest.mark.parametrize(
    "path", ["/", "/network/net", "/layer/net/layer2", "/unit/net/layer2:3", "/search?q=car", "/around/net/layer2:3"]
)
def test_pages_say_that_the_catalogue_is_gone(tmp_path: Path, path: str) -> None:
    said = "The catalogue, own-catalogue, is not where it was"
    twin = "/index.json" if path == "/" else path.replace("?", ".json?") if "?" in path else f"{path}.json"
    with asking(tmp_path) as opened:
        assert said not in opened.get(path).text
        shutil.move(opened.catalogue, tmp_path / "away")
        page = opened.get(path)
        assert (page.status, said in page.text) == (200, True)
        assert "you write as" not in page.text
        assert "no catalogue yet" not in page.text
        assert any(said in note for note in opened.get(twin).json()["notes"])
        shutil.move(tmp_path / "away", opened.catalogue)
        again = opened.get(path).text
        assert said not in again
        assert "you write as Ada" in again


def test_a_form_that_is_sent_when_the_catalogue_is_gone_is_shown_as_typed(tmp_path: Path) -> None:
    typed = {"subject": "net/layer2:3", "predicate": "detects", "object": "car", "statement": "round <b>wheels</b>"}
    with asking(tmp_path) as opened:
        shutil.move(opened.catalogue, tmp_path / "away")
        for path in ("/claims", "/claims/new", "/features"):
            assert opened.get(path).status == 503
        answer = opened.post("/claims/new", typed)
        assert answer.status == 503
        assert "The catalogue, own-catalogue, is not where it was" in answer.text
        assert answer.header("content-type").startswith("text/html")
        for value in typed.values():
            assert escape(value) in answer.text
        assert not opened.catalogue.exists()
        # strangers still need the token
        opened.cookie = ""
        assert opened.post("/claims/new", typed).status == 403


def test_error_pages_know_who_may_write(tmp_path: Path) -> None:
    with asking(tmp_path) as opened:
        assert "you write as Ada" in opened.get("/nothing").text
        assert "you write as Ada" in opened.get("/unit/net/layer9:1").text
        opened.cookie = ""
        assert "open the address printed at the start" in opened.get("/nothing").text
