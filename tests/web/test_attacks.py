"""Strangers' text in every page, picture and twin; addresses that lead out; forms that were forged."""

from __future__ import annotations

import json
import socket
import threading
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest
from playwright.sync_api import Browser

from circuitgraph.bundle import Bundle, BundleWriter
from circuitgraph.catalogue import (
    Author,
    Catalogue,
    add_claim,
    add_feature,
    make_claim,
    make_evidence,
    make_feature,
)
from circuitgraph.catalogue.circuit_making import make_circuit
from circuitgraph.catalogue.families import FamilyRecord
from circuitgraph.catalogue.releases import make_release
from circuitgraph.records import Family, Layer, Member, NetworkInfo, NewBlock
from circuitgraph.web import Explorer, make_app
from circuitgraph.web.links import web_link
from circuitgraph.web.server import listen, server_of
from tests.catalogue.test_hostile import STORED
from tests.web.asking import COOKIE, TOKEN, Asking
from tests.web.browsing import Watch
from tests.web.reading import faults_of_picture, read_page

MARKUP = {
    "script": "<script>window.hit=1</script>",
    "ended title": "</title><script>window.hit=1</script>",
    "ended svg": "</text></svg><script>window.hit=1</script><svg>",
    "image": "<img src=x onerror=window.hit=1>",
    "quoted": '"><img src=x onerror=window.hit=1 x="',
    "single quoted": "' onfocus=window.hit=1 autofocus x='",
    "ended area": "</textarea></select></code></pre><svg onload=window.hit=1>",
    "comment": "--><script>window.hit=1</script><!--",
    "cdata": "]]><script>window.hit=1</script>",
    "template": "{{ 7 * 7 }}{% include '/etc/passwd' %}${7*7}#{7*7}",
    "entity": "&lt;script&gt;window.hit=1&lt;/script&gt; &#60;script&#62;",
    "style": "<style>*{display:none}</style><link rel=stylesheet href=//evil.example>",
    "frame": "<iframe srcdoc='<script>parent.hit=1</script>'></iframe><base href=//evil.example>",
    "json": '\u2028</script><script>window.hit=1</script>", "x": "',
    "utf-7": "+ADw-script+AD4-window.hit=1+ADw-/script+AD4-",
}
ADDRESSES = (
    "javascript:window.hit=1",
    "JaVaScRiPt:window.hit=1//https://a.example",
    "data:text/html,<script>parent.hit=1</script>",
    "vbscript:x",
    "//evil.example/x",
    "https:evil.example",
    'https://a.example/" onclick="window.hit=1',
    "https://a.example\\@evil.example",
    "https://good.example@evil.example",
    "blob:https://a.example/x",
    "file:///etc/passwd",
    '10.1234/x" onclick="window.hit=1',
    "doi:javascript:window.hit=1",
    "\thttps://a.example",
    "https://a.example/\u202egnp.exe",
)
WHOEVER = "Mallory <b>\"'&"


def hostile_bundle(path: Path, text: str) -> Bundle:
    """A network whose importer was told what to say."""
    rng = np.random.default_rng(8)
    layers = [
        Layer(uid=f"net/layer{n}", index=n, kind="activation" if n else "input", unit_count=count, size=(8, 8),
              stride=(1, 1), receptive_field=(1 + 2 * n, 1 + 2 * n))
        for n, count in enumerate((3, 4, 4))
    ]  # fmt: skip
    info = NetworkInfo(
        network="net", architecture=text, weights_sha256="0" * 64, source=text, input_shape=(3, 8, 8), importer="test",
        approximations=(text,), title=text, reference=text,
    )  # fmt: skip
    with BundleWriter(path, info, layers) as writer:
        for up, down in ((layers[0], layers[1]), (layers[1], layers[2])):
            kernels = rng.normal(size=(down.unit_count, up.unit_count, 3, 3)).astype(np.float32)
            bias = np.zeros(down.unit_count, np.float32)
            writer.add_target(down.uid, bias, [NewBlock(up.uid, down.uid, 0, "dense", kernels, (-1, -1), (1, 1))])
        members = tuple(Member(unit=f"net/layer1:{n}", position=n, angle_deg=90.0 * n) for n in range(4))
        writer.add_families(
            [Family(uid="net/layer1!ring", name=text, description=text, reference=text, members=members)]
        )
        return writer.finish()


def fill(catalogue: Catalogue, bundle: Bundle) -> None:
    """Say every hostile text wherever a text can stand."""
    mallory, day = Author(name=WHOEVER), "2026-01-01"
    texts = [*MARKUP.values(), *STORED.values()]
    addresses = [*ADDRESSES, *texts]
    for n, text in enumerate(texts):
        short = text.replace("\n", " ").replace("\t", " ").strip()
        who = Author(name=short) if short else mallory
        reference = addresses[n % len(addresses)]
        add_feature(
            catalogue,
            make_feature(
                f"f{n}", name=text, definition=text, synonyms=(text,), author=who, date=day, reference=reference
            ),
        )
        evidence = make_evidence(
            "feature_use",
            statement=text,
            reference=reference,
            figures={short: text, "f": 1.5},
            files=[{"name": short, "sha256": "0" * 64, "media_type": short}],
        )
        claim = add_claim(
            catalogue,
            make_claim(
                f"net/layer{1 + n % 2}:{n % 4}",
                "detects" if n % 2 else "responds_to",
                f"feature:f{n}",
                statement=text,
                reference=reference,
                method=short,
                method_version=short,
                qualifiers={short: text},
                evidence=[evidence],
                author=who,
                date=day,
            ),
        ).claim
        if n % 5 == 0:
            for predicate in ("disputes", "supports"):
                add_claim(
                    catalogue,
                    make_claim(claim.id, predicate, statement=text, reference=reference, author=who, date=day),
                )
        if n % 7 == 0:
            new = make_claim(
                claim.subject,
                "pure",
                statement=text,
                author=mallory,
                date=day,
                supersedes=(claim.id,),
                reference=reference,
            )
            add_claim(catalogue, new)
    for n, reference in enumerate(ADDRESSES):
        add_claim(
            catalogue,
            make_claim("net/layer2:3", "unknown", reference=reference, author=mallory, date=f"2025-01-{n + 1:02}"),
        )
    text = MARKUP["quoted"]
    members = tuple(Member(unit=f"net/layer2:{n}", position=n, angle_deg=90.0 * n) for n in range(3))
    family = Family(uid="net/layer2!ring", name=MARKUP["ended svg"], description=text, members=members)
    catalogue.add_documents(
        [FamilyRecord.from_family(family, author=mallory, date=day, reference=ADDRESSES[0], partition=text)]
    )
    circuit = make_circuit(
        bundle,
        {"net/layer1:0": MARKUP["ended svg"], "net/layer1:1": MARKUP["cdata"], "net/layer2:0": text},
        labels={"net/layer1:0": MARKUP["script"], "net/layer2:0": MARKUP["ended svg"]},
        title=MARKUP["ended title"],
        description=text,
        reference=ADDRESSES[0],
        origin=text,
        author=mallory,
        date=day,
        slug="evil",
    )
    catalogue.add_documents([circuit])
    make_release(catalogue, "evil", author=mallory, date=day, title=MARKUP["script"], note=text, licence=text)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asking]:
    folder = tmp_path_factory.mktemp("attacks")
    bundle = hostile_bundle(folder / "net.circuit", MARKUP["ended title"] + MARKUP["quoted"])
    with Catalogue.open(folder / "catalogue", create=True) as catalogue:
        fill(catalogue, bundle)
    with Explorer([bundle], catalogue=folder / "catalogue", author=Author(name=WHOEVER)) as explorer:
        yield Asking(make_app(explorer, token=TOKEN), explorer, folder / "catalogue", COOKIE)


def pages_of(user: Asking, *, most: int) -> Iterator[tuple[str, str]]:
    """Follow all links from the start page, those to other kinds of pages first; yield addresses and pages."""
    waiting, known, per_kind = (
        deque(["/", "/review?since=2025-01-01", "/releases", "/claims/new"]),
        set[str](),
        dict[str, int](),
    )
    found = 0
    while waiting and found < most:
        address = waiting.popleft()
        if address in known:
            continue
        known.add(address)
        kind = address.partition("?")[0].split("/")[1]
        per_kind[kind] = per_kind.get(kind, 0) + 1
        if per_kind[kind] > most // 8:
            continue
        answer = user.get(address)
        if answer.header("content-type").startswith("text/html"):
            assert answer.status < 500, (address, answer.text)
            found += 1
            yield address, answer.text
            waiting.extend(link.partition("#")[0] for link in read_page(answer.text).links)


def twin(address: str, form: str) -> str:
    path, mark, query = address.partition("?")
    return f"{'/index' if path == '/' else path}.{form}{mark}{query}"


@pytest.mark.parametrize("most", [44, pytest.param(1_000, marks=pytest.mark.slow)])
def test_no_text_of_a_stranger_becomes_a_part_of_a_page_a_picture_or_a_twin(hostile: Asking, most: int) -> None:
    kinds: dict[str, int] = {}
    pictures = 0
    before = hostile.written()
    for address, html in pages_of(hostile, most=most):
        kind = address.partition("?")[0].split("/")[1]
        kinds[kind] = kinds.get(kind, 0) + 1
        assert read_page(html).faults == [], address
        if address.partition("?")[0].rpartition(".")[2] in ("svg", "json"):
            continue
        answer = hostile.get(twin(address, "json"))
        assert answer.header("content-type") == "application/json", address
        for name in answer.json().get("pictures", {}):
            separator = "&" if "?" in address else "?"
            picture = hostile.get(f"{twin(address, 'svg')}{separator}picture={quote(name)}")
            assert (picture.status, picture.header("content-type")) == (200, "image/svg+xml"), address
            assert faults_of_picture(picture.text) == [], address
            pictures += 1
    assert {
        "",
        "network",
        "layer",
        "unit",
        "family",
        "feature",
        "features",
        "claim",
        "claims",
        "history",
    } <= kinds.keys()
    assert {"circuits", "circuit", "review", "releases", "release"} <= kinds.keys()
    assert pictures >= 5
    assert hostile.written() == before


NOTICED = (
    *(MARKUP[name] for name in ("script", "ended svg", "image", "style", "frame", "ended area", "cdata")),
    f'<a title="{MARKUP["quoted"]}">',
    f"<a title='{MARKUP['single quoted']}'>",
    "<a href='javascript:x'>",
    "<a href='https://a.example'>",
    "<img src='//evil.example'>",
    "<p style='x'>",
    "<script src='/static/x.js'>alert(1)</script>",
)


@pytest.mark.parametrize("text", NOTICED)
def test_the_reader_would_have_noticed(text: str) -> None:
    assert read_page(text).faults != []
    picture = "<svg xmlns='http://www.w3.org/2000/svg'><{}/></svg>"
    for element in ("script", "foreignObject", "g onload='x'", "image href='http://a.example'", "g fill='url(//a)'"):
        assert faults_of_picture(picture.format(element)) != []


@pytest.mark.parametrize("name", MARKUP)
def test_a_text_is_shown_as_it_was_written(hostile: Asking, name: str) -> None:
    number = list(MARKUP).index(name)
    page = hostile.get(f"/feature/f{number}")
    assert MARKUP[name].split("\u2028")[-1] in "".join(read_page(page.text).text)
    assert hostile.get(f"/feature/f{number}.json").json()["data"]["entry"]["name"] == MARKUP[name]


@pytest.mark.parametrize("address", ADDRESSES)
def test_what_is_no_address_of_the_web_is_no_link(address: str) -> None:
    assert web_link(address) == ""


@pytest.mark.parametrize(
    ("reference", "link"),
    [
        ("https://doi.org/10.23915/distill.00024.001", "https://doi.org/10.23915/distill.00024.001"),
        ("10.23915/distill.00024.001", "https://doi.org/10.23915/distill.00024.001"),
        ("doi:10.1000/a(b)c", "https://doi.org/10.1000/a(b)c"),
        ("http://a.example:8080/x?y=z&w=1#v", "http://a.example:8080/x?y=z&w=1#v"),
    ],
)
def test_an_address_of_the_web_and_a_doi_are_links(reference: str, link: str) -> None:
    assert web_link(reference) == link


@pytest.mark.parametrize("text", MARKUP.values(), ids=MARKUP)
def test_what_is_asked_for_comes_back_as_text(hostile: Asking, text: str) -> None:
    written = quote(text, safe="")
    for address in (
        f"/search?q={written}",
        f"/claims?author={written}&network={written}&predicate={written}&state={written}&first={written}",
        f"/claims/new?subject={written}&object={written}&statement={written}&evidence={written}",
        f"/feature/{written}",
        f"/unit/{written}",
        f"/history/{written}",
        f"/review?since={written}",
        f"/{written}",
        f"/claim/{'0' * 64}?done={written}",
        f"/network/net?picture={written}",
        f"/cypher?q={written}",
    ):
        answer = hostile.get(address)
        assert answer.status < 500, address
        if answer.header("content-type").startswith("text/html"):
            assert read_page(answer.text).faults == [], address
    kept = hostile.post(
        "/claims/new", {"subject": text, "predicate": text, "object": text, "statement": text, "code": text}
    )
    assert kept.status == 400
    assert read_page(kept.text).faults == []


NAMES = (
    "..", "../..", "../../../../etc/passwd", "..%2f..%2f..%2fetc%2fpasswd", "%2e%2e/%2e%2e/etc/passwd",
    "%252e%252e%252fetc%252fpasswd", "..\\..\\etc\\passwd", "..%5c..%5cetc%5cpasswd", "/etc/passwd", "//etc/passwd",
    "%2fetc%2fpasswd", "file:///etc/passwd", "net/../../../etc/passwd", "net/layer1:0/../../../../etc/passwd",
    "net/layer1:0%00", "net/layer1:0%00.svg", "%00", "net%2Flayer1%3A0%0d%0aX-Evil:%201", "net/layer1:-1",
    "net/layer1:99999999999999999999", "net/layer1:0 -> net/layer2:0", "CON", "net.circuit", "manifest.json",
    "~root", "$HOME", "*", "%ff%fe", "%ed%a0%80", "a" * 3_000, ".", "...", "net/.", "net/layer1:0.json.svg.html.json",
    "{{7*7}}", "%7b%7b7*7%7d%7d", "%E2%80%AE", "claims.json%3f", ";ls", "|ls", "`ls`",
)  # fmt: skip
PREFIXES = (
    "/", "/network/", "/layer/", "/unit/", "/edge/", "/family/", "/families/", "/feature/", "/claim/", "/history/",
    "/release/", "/circuit/", "/motifs/", "/motif/", "/around/", "/static/", "/static/../", "/network/net.svg?picture=",
    "/network/net?picture=", "/circuits?first=", "/claims?first=", "/search?q=",
)  # fmt: skip


@pytest.mark.parametrize("part", [7, pytest.param(1, marks=pytest.mark.slow)])
def test_no_address_leads_out(hostile: Asking, part: int) -> None:
    before = hostile.written()
    addresses = [f"{prefix}{name}{ending}" for prefix in PREFIXES for ending in ("", ".json", ".svg") for name in NAMES]
    for address in addresses[::part]:
        answer = hostile.get(address.replace(" ", "%20"))
        assert answer.status < 500, (address, answer.text)
        assert b"root:" not in answer.body
        assert b"format_version" not in answer.body
        assert [key for key, _ in answer.headers if "evil" in key] == []
    assert hostile.written() == before


def test_static_files_are_only_those_of_the_folder(hostile: Asking) -> None:
    for name in (
        "../app.py",
        "%2e%2e/app.py",
        "..%2fapp.py",
        "../templates/base.html",
        "",
        ".",
        "/etc/passwd",
    ):
        answer = hostile.get(f"/static/{name}")
        assert answer.status in (404, 405), name
        assert b"import" not in answer.body
    assert hostile.get("/static/explorer.css").status == 200


def test_a_page_in_json_says_what_the_page_says_and_is_never_taken_for_html(hostile: Asking) -> None:
    answer = hostile.get("/claims.json?state=all")
    assert answer.header("content-type") == "application/json"
    assert answer.header("x-content-type-options") == "nosniff"
    statements = {row["statement"] for row in answer.json()["data"]["rows"]}
    assert statements & {*MARKUP.values(), *STORED.values()}
    assert json.loads(answer.body)["kind"] == "claims"


@pytest.fixture
def served(hostile: Asking) -> Iterator[str]:
    """The hostile explorer behind a real server."""
    with listen("127.0.0.1", 0) as listening:
        server = server_of(hostile.app)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        server.should_exit = True
        thread.join(20)


@pytest.mark.parametrize("most", [12, pytest.param(300, marks=pytest.mark.slow)])
def test_in_a_browser_nothing_runs_and_nothing_is_loaded(
    browser: Browser, served: str, hostile: Asking, most: int
) -> None:
    watch = Watch()
    addresses, kinds = list[str](), set[str]()
    for address, _ in pages_of(hostile, most=max(80, most)):
        kind = address.partition("?")[0].split("/")[1]
        if kind not in kinds or len(addresses) > 20:
            kinds.add(kind)
            addresses.append(address)
    with browser.new_context() as context:
        watch.look_at(context)
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.on("dialog", lambda dialog: (watch.errors.append(f"a dialog: {dialog.message}"), dialog.dismiss()))
        page.goto(f"{served}/?token={TOKEN}")
        for address in addresses[:most]:
            page.goto(served + address)
            assert page.evaluate("window.hit") is None, address
        for address in ("/circuit/", "/family/", "/unit/"):
            found = next((each for each in addresses if each.startswith(address)), "")
            if found:
                # a picture by itself is a document too
                page.goto(served + twin(found, "svg"))
                assert page.evaluate("window.hit") is None, found
    # a policy that had to stop something says so on the console
    assert watch.errors == []
    assert watch.strangers == []


FORGED = """<!doctype html><title>elsewhere</title><body>
<form id="form" method="post" action="{target}/claims/new">
<input name="subject" value="net/layer1:0"><input name="predicate" value="polysemantic"></form>
<script>document.getElementById("form").submit()</script>"""


def test_a_form_on_another_site_writes_nothing_in_a_browser_that_holds_the_token(
    browser: Browser, served: str, hostile: Asking
) -> None:
    before = hostile.written()
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]

        def answer() -> None:
            body = FORGED.format(target=served).encode()
            head = f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {len(body)}\r\n\r\n"
            other.settimeout(30)
            connection, _ = other.accept()
            with connection:
                connection.recv(65_536)
                connection.sendall(head.encode() + body)

        thread = threading.Thread(target=answer)
        thread.start()
        with browser.new_context() as context:
            page = context.new_page()
            page.goto(f"{served}/?token={TOKEN}")
            page.goto(f"{served}/claims/new")
            # it may write
            assert page.locator("form.claim").count() == 1
            with page.expect_response(lambda response: response.url.endswith("/claims/new")) as refused:
                page.goto(f"http://localhost:{port}/")
            assert refused.value.status == 403
        thread.join(30)
    assert hostile.written() == before


def test_a_forged_form_says_by_no_cookie_who_sends_it(hostile: Asking) -> None:
    for header in ([("origin", "https://evil.example")], [("origin", "null")], [("sec-fetch-site", "cross-site")], []):
        before = hostile.written()
        assert (
            hostile.post("/claims/new", {"subject": "net/layer1:0", "predicate": "pure"}, headers=header).status == 403
        )
        assert hostile.written() == before
