"""What stands before the explorer: hosts, tokens, origins, sizes, and errors that tell a stranger nothing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from circuitgraph.web import Explorer, make_app
from circuitgraph.web.render import without_folders
from circuitgraph.web.views import claims
from tests.web.asking import ADA, COOKIE, HOST, ORIGIN, TOKEN, Asking, ask, asking

NEW = {"subject": "net/layer1:0", "predicate": "detects", "object": "feature:car"}
STRANGE_HOSTS = (
    "evil.example",
    "evil.example:8470",
    "127.0.0.1.evil.example:8470",
    "127.0.0.1@evil.example",
    "evil.example#127.0.0.1",
    "localhost.:8470",
    "127.1:8470",
    "2130706433",
    "[::1",
    "[::1]x:8470",
    "[::ffff:127.0.0.1]:8470",
    "127.0.0.1:8470:8470",
    "127.0.0.1:",
    "127.0.0.1:port",
    " 127.0.0.1:8470",
    "127.0.0.1, evil.example",
    "",
    "10.0.0.1:8470",
)
STRANGE_ORIGINS = (
    "http://evil.example",
    "null",
    "",
    "http://127.0.0.1:8471",
    "http://127.0.0.1",
    "http://localhost:8470",
    f"http://{HOST}.evil.example",
    f"http://evil.example@{HOST}",
    f"http://{HOST}@evil.example",
    f"http://evil.example/{HOST}",
    f"file://{HOST}",
    HOST,
    f"//{HOST}",
    "http://[",
    "http://[x]:8470",
)


@pytest.fixture(scope="module")
def _opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asking]:
    with asking(tmp_path_factory.mktemp("security")) as opened:
        yield opened


@pytest.fixture
def user(_opened: Asking) -> Iterator[Asking]:
    """A user who has shown the token; nothing may be written by any test that takes it."""
    before = _opened.written()
    _opened.cookie = COOKIE
    yield _opened
    assert _opened.written() == before


@pytest.mark.parametrize("host", STRANGE_HOSTS)
def test_a_host_that_is_not_ours_is_refused(user: Asking, host: str) -> None:
    answer = user.get("/claims", host=host)
    assert (answer.status, answer.header("set-cookie")) == (421, "")
    assert "detects" not in answer.text


def test_a_request_without_a_host_or_with_two_is_refused(user: Asking) -> None:
    assert user.get("/", host=None).status == 421
    assert user.get("/", headers=[("host", "evil.example")]).status == 421
    assert user.get("/", headers=[("host", HOST)]).status == 421


@pytest.mark.parametrize("host", ["127.0.0.1:8470", "127.0.0.1", "localhost:8470", "LocalHost:8470"])
def test_the_names_of_the_loopback_are_ours(user: Asking, host: str) -> None:
    assert user.get("/", host=host).status == 200


def test_a_number_is_a_host_of_a_public_explorer_and_a_name_only_where_it_is_given(tmp_path: Path) -> None:
    with asking(tmp_path, is_public=True) as opened:
        for host in ("192.0.2.7:8470", "[2001:db8::7]:8470", "[::1]", "127.0.0.1"):
            assert ask(opened.app, "/", host=host).status == 200, host
        for host in ("evil.example", "192.0.2.7.evil.example", "explorer.example", "1.2.3.4.5"):
            assert ask(opened.app, "/", host=host).status == 421, host
        named = make_app(opened.explorer, token=TOKEN, hosts=("explorer.example",))
        assert ask(named, "/", host="explorer.example").status == 200


def test_the_token_becomes_a_cookie_that_no_script_and_no_other_site_sees(user: Asking) -> None:
    user.cookie = ""
    answer = user.get(f"/claims.json?token={TOKEN}&state=all")
    assert (answer.status, answer.header("location")) == (303, "/claims.json?state=all")
    cookie = answer.header("set-cookie")
    assert cookie.startswith(f"circuitgraph-token-8470={TOKEN};")
    assert {"HttpOnly", "SameSite=strict"} <= {part.strip() for part in cookie.split(";")}
    assert TOKEN not in answer.text


@pytest.mark.parametrize("given", ["", "wrong", TOKEN[:-1], f"{TOKEN}x", TOKEN.upper(), "%00", "%ED%A0%80", "é"])
def test_a_wrong_token_gives_no_cookie(user: Asking, given: str) -> None:
    user.cookie = ""
    answer = user.get(f"/?token={given}".encode().decode("latin-1") if given == "é" else f"/?token={given}")
    assert (answer.status, answer.header("location"), answer.header("set-cookie")) == (303, "/", "")


@pytest.mark.parametrize("path", ["//evil.example/", "///evil.example", "/%2F/evil.example", "/%5C%5Cevil.example"])
def test_the_token_cannot_be_used_to_send_a_browser_elsewhere(user: Asking, path: str) -> None:
    where = user.get(f"{path}?token={TOKEN}").header("location")
    assert where.startswith("/")
    assert not where.startswith(("//", "/\\"))


def test_a_cookie_of_another_port_does_not_count(user: Asking) -> None:
    user.cookie = COOKIE.replace("8470", "8471")
    assert user.post("/claims/new", NEW).status == 403


@pytest.mark.parametrize("origin", STRANGE_ORIGINS)
def test_a_form_from_elsewhere_is_refused_although_the_browser_shows_the_token(user: Asking, origin: str) -> None:
    assert user.post("/claims/new", NEW, headers=[("origin", origin)]).status == 403


def test_a_form_that_does_not_say_where_it_comes_from_is_refused(user: Asking) -> None:
    assert user.post("/claims/new", NEW, headers=[]).status == 403
    assert user.post("/claims/new", NEW, headers=[("origin", ORIGIN), ("origin", ORIGIN)]).status == 403
    assert user.post("/claims/new", NEW, headers=[("referer", f"{ORIGIN}/claims/new")]).status == 403


@pytest.mark.parametrize("site", ["cross-site", "same-site", "none"])
def test_a_form_that_the_browser_says_is_of_another_site_is_refused(user: Asking, site: str) -> None:
    assert user.post("/claims/new", NEW, headers=[("origin", ORIGIN), ("sec-fetch-site", site)]).status == 403


def test_writing_without_a_token_or_with_a_wrong_one_is_refused(user: Asking) -> None:
    for cookie in (
        "",
        "circuitgraph-token-8470=",
        "circuitgraph-token-8470=wrong",
        f"circuitgraph-token-8470={TOKEN}x",
    ):
        user.cookie = cookie
        assert user.post("/claims/new", NEW).status == 403
        assert user.post(f"/claims/new?token={TOKEN}", NEW).status == 403
    user.cookie = ""
    assert user.post("/claims/new", {**NEW, "token": TOKEN}).status == 403


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "get", "XPOST"])
def test_only_a_form_that_is_sent_writes(user: Asking, method: str) -> None:
    query = "&".join(f"{name}={value}" for name, value in NEW.items())
    own = ("application/x-www-form-urlencoded", ORIGIN)
    headers = list(zip(("content-type", "origin"), own, strict=True))
    answer = ask(user.app, f"/claims/new?{query}", method=method, headers=headers, body=[query.encode()], cookie=COOKIE)
    assert answer.status in (200, 405)
    assert answer.header("access-control-allow-origin") == ""
    with_claim = f"/claim/{'0' * 64}/dispute?why=x"
    assert ask(user.app, with_claim, method=method, headers=headers, cookie=COOKIE).status in (404, 405)


def test_nothing_can_be_written_to_a_public_explorer_even_with_its_token(tmp_path: Path) -> None:
    with asking(tmp_path, is_public=True) as opened:
        before = opened.written()
        assert opened.post("/claims/new", NEW).status == 403
        assert ask(opened.app, f"/?token={TOKEN}").header("set-cookie") == ""
        assert '<form method="post"' not in opened.get("/claims/new").text
        assert opened.written() == before


def test_nothing_can_be_written_without_an_author_or_a_catalogue(tmp_path: Path) -> None:
    with asking(tmp_path, author=None) as opened:
        assert opened.post("/claims/new", NEW).status == 403
        assert "name no author" in opened.get("/claims/new").text
    with Explorer([], catalogue=tmp_path / "nothing", author=ADA) as explorer:
        app = make_app(explorer, token=TOKEN)
        opened = Asking(app, explorer, tmp_path / "nothing", COOKIE)
        assert opened.post("/claims/new", NEW).status == 403
        assert 'href="/claims"' not in opened.get("/").text
        assert "has no catalogue" in opened.get("/claims.json").json()["error"]["message"]
        assert not (tmp_path / "nothing").exists()


def test_a_body_is_counted_whatever_its_length_is_said_to_be(user: Asking) -> None:
    piece = b"statement=" + b"x" * (1 << 16)
    own = ("origin", ORIGIN)
    assert user.post("/claims/new", {}, body=[piece] * 17, headers=[own]).status == 413
    assert user.post("/claims/new", {}, body=[piece] * 17, headers=[own, ("content-length", "9")]).status == 413
    for said in (str((1 << 20) + 1), "9" * 30, "-1", "1e9", "0x10", "\xb2"):
        assert user.post("/claims/new", {}, headers=[own, ("content-length", said)]).status == 413


def test_a_body_that_breaks_off_is_no_form(user: Asking) -> None:
    said = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"subject=net", "more_body": True} if not said else gone

    async def send(message: dict[str, Any]) -> None:
        said.append(message)

    gone = {"type": "http.disconnect"}
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/claims/new",
        "query_string": b"",
        "headers": [(b"host", HOST.encode()), (b"origin", ORIGIN.encode()), (b"cookie", COOKIE.encode())],
        "scheme": "http",
        "server": ("127.0.0.1", 8470),
    }
    said.append("begun")
    asyncio.run(user.app(scope, receive, send))
    assert said == ["begun"]


@pytest.mark.parametrize("kind", ["multipart/form-data; boundary=x", "text/plain", "application/json", ""])
def test_a_form_that_browsers_do_not_send_is_refused(user: Asking, kind: str) -> None:
    headers = [("origin", ORIGIN), ("content-type", kind)]
    answer = ask(user.app, "/claims/new", method="POST", headers=headers, body=[b"{}"], cookie=COOKIE)
    assert answer.status == 400
    assert "application/x-www-form-urlencoded" in answer.text


def test_a_form_of_many_fields_or_of_other_letters_is_refused(user: Asking) -> None:
    assert user.post("/claims/new", {f"field{n}": "" for n in range(201)}).status == 400
    assert user.post("/claims/new", {}, body=[b"subject=%FF%FE"]).status == 400
    assert user.post("/claims/new", {}, body=[b"subject=\xff"]).status == 400


def test_an_address_that_is_too_long_is_refused(user: Asking) -> None:
    assert user.get(f"/unit/{'a' * 5_000}").status == 414
    assert user.get(f"/claims?author={'a' * 9_000}").status == 414
    assert user.get(f"/claims?author={'a' * 7_000}").status == 200


@pytest.mark.parametrize("path", ["/", "/claims", "/nothing", "/claims.json", "/static/explorer.css", "/?token=x"])
def test_each_answer_carries_the_headers_that_bind_a_browser(user: Asking, path: str) -> None:
    answer = user.get(path)
    policy = answer.header("content-security-policy")
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy
    assert "script-src 'self';" in policy
    assert answer.header("x-content-type-options") == "nosniff"
    assert answer.header("x-frame-options") == "DENY"
    assert answer.header("referrer-policy") == "same-origin"
    assert answer.header("access-control-allow-origin") == ""
    assert answer.header("server") == ""


def test_a_picture_by_itself_is_shut_in(user: Asking) -> None:
    answer = user.get("/unit/net/layer2:0.svg")
    assert answer.header("content-type").startswith("image/svg+xml")
    policy = answer.header("content-security-policy")
    assert "sandbox" in policy
    assert "script" not in policy
    assert "default-src 'none'" in policy


def test_another_site_cannot_make_a_browser_ask_in_the_background(user: Asking) -> None:
    headers = [("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "no-cors"), ("sec-fetch-dest", "image")]
    assert user.get("/claims", headers=headers).status == 403
    headers = [("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")]
    assert user.get("/claims", headers=headers).status == 200


def test_an_error_of_ours_is_in_the_log_under_a_number_and_not_in_the_page(
    user: Asking, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(*given: Any, **options: Any) -> Any:
        raise ZeroDivisionError("a secret of the machine")

    monkeypatch.setattr(claims, "describe_claims", fails)
    with caplog.at_level(logging.ERROR):
        answer = user.get("/claims?author=somebody")
    assert answer.status == 500
    assert "secret" not in answer.text
    assert "ZeroDivisionError" not in answer.text
    number = answer.text.partition("number ")[2][:8]
    assert number in caplog.text
    assert "a secret of the machine" in caplog.text
    assert "somebody" not in caplog.text
    assert user.get("/claims.json").json()["error"]["message"].startswith("this page failed")


def test_what_is_asked_in_another_way_or_is_not_there_is_said_in_a_page(user: Asking) -> None:
    answer = ask(user.app, "/claims", method="DELETE")
    assert (answer.status, answer.header("allow") != "") == (405, True)
    assert "<h1>Not allowed</h1>" in answer.text
    assert "<h1>Not found</h1>" in user.get("/nothing").text
    assert user.get("/nothing.json").json() == {
        "error": {"message": "there is no such page.", "hint": "Begin at the start page, /."}
    }


def test_more_requests_than_are_worked_on_at_once_are_told_to_come_again(user: Asking) -> None:
    guard = user.app.app
    guard._working = 64
    answer = user.get("/")
    guard._working = 0
    assert (answer.status, answer.header("retry-after")) == (503, "1")
    assert user.get("/").status == 200
    assert guard._working == 0


def test_what_fails_is_not_counted_as_working_for_ever(user: Asking) -> None:
    for path in ("/claims", "/nothing", "/claim/zz", "/unit/../x"):
        user.get(path)
    assert user.app.app._working == 0


def test_a_web_socket_is_closed(user: Asking) -> None:
    said: list[Any] = []

    async def send(message: Any) -> None:
        said.append(message)

    asyncio.run(user.app({"type": "websocket", "path": "/", "headers": []}, None, send))
    assert said == [{"type": "websocket.close", "code": 1008}]


def test_a_page_never_holds_the_token(user: Asking) -> None:
    for path in ("/", "/claims", "/claims/new", "/claims/new.json", "/nothing"):
        assert TOKEN not in user.get(path).text


def test_forms_are_shown_only_to_who_has_shown_the_token(user: Asking) -> None:
    assert 'method="post"' not in ask(user.app, "/claims/new").text
    assert 'method="post"' in user.get("/claims/new").text


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("opening /srv/ours/catalogue: it is gone.", "opening catalogue: it is gone."),
        ("reading /srv/n.circuit/kernels/3.npy: 2 bytes.", "reading 3.npy: 2 bytes."),
        ("'/a/b/c.json' has 3 rows", "'c.json' has 3 rows"),
        ("opening C:\\data\\n.circuit: no", "opening n.circuit: no"),
        (
            "unit net/layer1:3 has no /edge; see https://doi.org/10.1/2",
            "unit net/layer1:3 has no /edge; see https://doi.org/10.1/2",
        ),
    ],
)
def test_a_stranger_is_not_told_where_files_lie(said: str, shown: str) -> None:
    assert without_folders(said) == shown
