"""The browser that the other tests look through sees what they must fail on."""

from __future__ import annotations

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from playwright.sync_api import Browser

from tests.web.browsing import Watch
from tests.web.keyboard import Keyboard

FAULTS = {
    "a word on the console": ("<script>console.error('said')</script>", "said", ""),
    "an error nobody caught": ("<script>null.nothing</script>", "Cannot read properties of null", ""),
    "a file that is not there": ("<img src='/none.png' alt=''>", "404", ""),
    "an image elsewhere": ("<img src='http://127.0.0.2:9/a.png' alt=''>", "Failed to load", "http://127.0.0.2:9/a.png"),
    "a call elsewhere": ("<script>navigator.sendBeacon('http://localhost:9/')</script>", "", "http://localhost:9/"),
}


class Handler(BaseHTTPRequestHandler):
    body = ""

    def do_GET(self) -> None:
        is_page = self.path == "/"
        self.send_response(200 if is_page else 404)
        self.end_headers()
        page = "<!doctype html><title>page</title><link rel=icon href=data:,>" + self.body
        self.wfile.write(page.encode() if is_page else b"")

    def log_message(self, *said: object) -> None:
        pass


@pytest.fixture
def address() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("fault", FAULTS)
def test_it_sees(browser: Browser, address: str, fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    body, error, stranger = FAULTS[fault]
    monkeypatch.setattr(Handler, "body", body)
    watch = Watch()
    with browser.new_context() as context:
        watch.look_at(context)
        page = context.new_page()
        page.goto(address, wait_until="networkidle")
    assert error in " ".join(watch.errors)
    assert bool(watch.errors) or not error
    assert watch.strangers == ([stranger] if stranger else [])


def test_it_is_content_with_a_page_without_fault(browser: Browser, address: str) -> None:
    watch = Watch()
    with browser.new_context() as context:
        watch.look_at(context)
        context.new_page().goto(address, wait_until="networkidle")
    assert (watch.errors, watch.strangers, watch.requests) == ([], [], [address])


@pytest.mark.parametrize(
    ("style", "is_seen"),
    [("", True), ("a:focus { outline: none }", False), ("a { position: fixed; left: -900px }", False)],
)
def test_a_focus_that_is_not_seen_is_noted(
    browser: Browser, address: str, style: str, is_seen: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = ":focus-visible { outline: 3px solid red } "
    monkeypatch.setattr(Handler, "body", f"<style>{own}{style}</style><a href='/'>one</a> <a href='/'>two</a>")
    with browser.new_context() as context:
        page = context.new_page()
        page.goto(address)
        keys = Keyboard(page)
        keys.tab_to("two")
        with pytest.raises(AssertionError, match="is reached by Tab"):
            keys.tab_to("three")
    assert (keys.unseen == []) == is_seen
