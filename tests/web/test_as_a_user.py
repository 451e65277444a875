"""Somebody new walks through the explorer in a real browser: with a mouse, and with the keyboard alone."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from playwright.sync_api import Page, expect

from circuitgraph.bundle import Bundle
from circuitgraph.catalogue import Catalogue
from circuitgraph.catalogue.circuits import CircuitRecord
from importers.handwritten_truth import handwritten_truth
from tests.web.exploring import Explored
from tests.web.keyboard import Keyboard

CAR = handwritten_truth().unit("mixed4c!car")
LEAST_SHARE = 0.15
DOUBT = "In two of nine a bus stands there."


def kernels_into(bundle: Bundle, unit: str) -> np.ndarray:
    """All kernels into a unit, (up, row, col), from the one layer that feeds it."""
    layer, channel = unit.rsplit(":", 1)
    (block,) = [part for part in bundle.blocks if part.down == layer]
    return np.asarray(bundle.block(block.up, block.down).kernels[int(channel)], dtype=np.float64)


def excites_most_at_the_top(handwritten: Path, unit: str) -> tuple[int, float]:
    """The upstream channel whose weights above the centre add up to most, and what they add up to."""
    with Bundle.open(handwritten) as bundle:
        tops = kernels_into(bundle, unit)
        tops = tops[:, : tops.shape[1] // 2].sum(axis=(1, 2))
    return int(tops.argmax()), float(tops.max())


def edges_above(handwritten: Path, record: CircuitRecord, least: float) -> set[tuple[str, str]]:
    """The edges of a circuit that have so large a share of all weights into their downstream unit."""
    with Bundle.open(handwritten) as bundle:
        shares = {}
        for edge in record.edges:
            size = np.abs(kernels_into(bundle, edge.down)).sum(axis=(1, 2))
            shares[edge.up, edge.down] = size[int(edge.up.rsplit(":", 1)[1])] / size.sum()
    return {pair for pair, share in shares.items() if share >= least}


def circuits_in(folder: Path) -> dict[str, CircuitRecord]:
    with Catalogue.open(folder) as catalogue:
        return {record.title: record for record in catalogue.documents(CircuitRecord)}


def assert_it_was_done(explored: Explored, handwritten: Path, title: str, kept: int) -> None:
    """Look into the catalogue's folder: the circuit and the dispute are there, and nothing else is new."""
    records = circuits_in(explored.catalogue)
    assert set(records) == {"Dog head, either way", title}
    old, new = records["Dog head, either way"], records[title]
    assert {(edge.up, edge.down) for edge in new.edges} == edges_above(handwritten, old, LEAST_SHARE)
    assert len(new.edges) == kept < len(old.edges)
    with Catalogue.open(explored.catalogue) as catalogue:
        disputes = [claim for claim in catalogue.claims() if claim.predicate == "disputes"]
        (about,) = catalogue.get_many([disputes[0].subject])
    assert [(claim.statement, claim.author.name) for claim in disputes] == [(DOUBT, "Ada Example")]
    assert (about.subject, about.object) == (CAR, "feature:car")


def test_from_the_start_page_to_the_history(page: Page, own_explorer: Explored, handwritten: Path) -> None:
    page.goto(own_explorer.entrance)
    # the token is in no address that could be handed on
    assert page.url == own_explorer.at("/")
    page.get_by_role("combobox", name="Search").fill("car")
    page.get_by_role("button", name="Search").click()
    page.get_by_role("main").get_by_role("listitem").filter(has_text=CAR).get_by_role("link").first.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("car")

    page.get_by_role("link", name="at the top").first.click()
    channel, top = excites_most_at_the_top(handwritten, CAR)
    row = page.get_by_role("table", name=re.compile("^Upstream")).locator("tbody tr").first
    expect(row).to_contain_text(f"mixed4b:{channel}")
    expect(row).to_contain_text("window")
    expect(row).to_contain_text(f"{top:.4g}")

    page.get_by_role("navigation", name="Main").get_by_role("link", name="Circuits").click()
    page.get_by_role("link", name=re.compile("dog-head|Dog head")).first.click()
    page.get_by_role("link", name=re.compile("^Change it")).click()
    record = circuits_in(own_explorer.catalogue)["Dog head, either way"]
    expect(page.get_by_role("status").filter(has_text="edges")).to_contain_text(f"{len(record.edges)} edges")
    kept = len(edges_above(handwritten, record, LEAST_SHARE))
    page.get_by_label("Least share", exact=True).fill(str(LEAST_SHARE))
    page.get_by_role("button", name="Draw").click()
    expect(page.get_by_role("status").filter(has_text="edges")).to_contain_text(f"{kept} edges")
    assert f"min_share={LEAST_SHARE}" in page.url

    page.get_by_label("Title").fill("Dog head, the strong edges")
    page.get_by_role("button", name=re.compile("^Save")).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Dog head, the strong edges")
    with page.expect_download() as fetched:
        page.get_by_role("link", name="SVG").click()
    svg = Path(fetched.value.path()).read_bytes()
    root = ElementTree.fromstring(svg)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert "Dog head, the strong edges" in "".join(root.itertext())

    page.get_by_role("combobox", name="Search").fill(CAR)
    page.get_by_role("button", name="Search").click()
    page.get_by_role("main").get_by_role("link", name=re.compile("detects car")).first.click()
    page.get_by_text("Dispute this claim").click()
    page.get_by_label("What speaks against it").fill(DOUBT)
    page.get_by_role("button", name="Dispute", exact=True).click()
    expect(page.get_by_role("main")).to_contain_text("disputed")
    page.get_by_role("link", name=re.compile("^All that was ever said")).click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(CAR)
    expect(page.get_by_role("main")).to_contain_text(DOUBT)
    assert_it_was_done(own_explorer, handwritten, "Dog head, the strong edges", kept)


def test_the_same_by_keyboard_alone(page: Page, own_explorer: Explored, handwritten: Path) -> None:
    keys = Keyboard(page)
    record = circuits_in(own_explorer.catalogue)["Dog head, either way"]
    kept = len(edges_above(handwritten, record, LEAST_SHARE))
    page.goto(own_explorer.entrance)
    keys.write("Search", "car")
    expect(page.get_by_role("option").filter(has_text=CAR)).to_be_visible()
    page.keyboard.press("ArrowDown")
    with page.expect_navigation():
        page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("car")
    keys.follow("at the top")
    channel, _ = excites_most_at_the_top(handwritten, CAR)
    row = page.get_by_role("table", name=re.compile("^Upstream")).locator("tbody tr").first
    expect(row).to_contain_text(f"mixed4b:{channel}")

    keys.follow("Circuits")
    keys.follow(re.compile("dog-head|Dog head"))
    keys.follow("Change it")
    keys.write(re.compile("^Least share$"), str(LEAST_SHARE))
    page.keyboard.press("Enter")
    expect(page.get_by_role("status").filter(has_text="edges")).to_contain_text(f"{kept} edges")
    keys.write("Title", "By keys")
    keys.send(re.compile("^Save"))
    expect(page.get_by_role("heading", level=1)).to_have_text("By keys")
    keys.tab_to("SVG", tag="a")
    with page.expect_download() as fetched:
        page.keyboard.press("Enter")
    ElementTree.parse(Path(fetched.value.path()))

    keys.write("Search", CAR)
    with page.expect_navigation():
        page.keyboard.press("Enter")
    keys.follow("detects car")
    keys.tab_to("Dispute this claim", tag="summary")
    page.keyboard.press("Space")
    keys.write("What speaks against it", DOUBT)
    keys.send(re.compile("^Dispute$"))
    expect(page.get_by_role("main")).to_contain_text("disputed")
    keys.follow("All that was ever said")
    expect(page.get_by_role("main")).to_contain_text(DOUBT)
    assert_it_was_done(own_explorer, handwritten, "By keys", kept)
    assert keys.unseen == []
