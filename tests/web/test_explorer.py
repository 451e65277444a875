"""What the explorer opens and lets go of, and what it says where the catalogue is no longer what it was."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
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
