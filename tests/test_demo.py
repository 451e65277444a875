"""The demo on a server of its own: what it finds is what was planted, in Cypher and in the bundle alike."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from circuitgraph import Bundle
from importers.handwritten_truth import handwritten_truth


def ask(environment: dict[str, str], *arguments: str) -> list[dict[str, Any]]:
    done = subprocess.run(
        ["circuitgraph", "query", *arguments, "--json"], env=environment, capture_output=True, text=True, check=True
    )
    rows: list[dict[str, Any]] = json.loads(done.stdout)["rows"]
    return rows


@pytest.fixture(scope="module")
def bundle(demo_environment: dict[str, str]) -> Bundle:
    return Bundle.open(Path(demo_environment["CIRCUITGRAPH_DATA_DIR"]) / "bundles" / "handwritten.circuit")


def test_windows_and_wheels_reach_the_car_over_mixes_in_cypher_and_in_the_bundle(
    demo_environment: dict[str, str], bundle: Bundle
) -> None:
    truth = handwritten_truth()
    car, windows, wheels = (truth.unit(role) for role in ("mixed4c!car", "mixed4b!windows", "mixed4b!wheels"))
    rows = ask(
        demo_environment,
        "MATCH (u:Unit)-[e:MIXES]->(:Unit {uid: $car}) RETURN u.uid AS up, e.top AS top, e.bottom AS bottom",
        "-p",
        f"car={car}",
    )
    in_cypher = {row["up"]: (row["top"], row["bottom"]) for row in rows}
    channel = bundle.unit(car).channel
    in_bundle = {
        f"handwritten/mixed4b:{row['up']}": (row["top"], row["bottom"])
        for row in bundle.edges("mixed4c").to_pylist()
        if row["mixes"] and row["down"] == channel
    }
    assert in_cypher == in_bundle
    assert set(in_cypher) == {windows, wheels}
    assert in_cypher[windows][0] > 1 > -1 > in_cypher[windows][1]
    assert in_cypher[wheels][1] > 1 > -1 > in_cypher[wheels][0]


def test_the_pathways_that_unite_in_the_dog_head_are_the_planted_ladder(demo_environment: dict[str, str]) -> None:
    truth = handwritten_truth()
    rows = ask(demo_environment, "--name", "opposed-pathways", "-p", f"unit={truth.unit('mixed4b!head')}")
    found = [{row["one"], row["other"]} for row in rows]
    roles = ("conv2d2!strands", "mixed3a!fur", "mixed3b!side", "mixed4a!head")
    assert found == [{truth.unit(f"{role}-left"), truth.unit(f"{role}-right")} for role in roles]


def test_the_car_is_spread_over_exactly_the_twelve_dogs(demo_environment: dict[str, str]) -> None:
    truth = handwritten_truth()
    rows = ask(demo_environment, "--name", "spread", "-p", f"unit={truth.unit('mixed4c!car')}")
    assert {row["client"] for row in rows if row["sum"] > 0.5} == set(truth.roles["mixed4d!dogs"])


def test_all_24_curves_excite_the_circle(demo_environment: dict[str, str]) -> None:
    truth = handwritten_truth()
    family = "family=handwritten/mixed3b!curves"
    rows = ask(demo_environment, "--name", "strongest-clients-of-family", "-p", family, "-p", "limit=1")
    assert (rows[0]["client"], rows[0]["exciting"]) == (truth.unit("mixed4a!circles"), 24)


def test_a_second_demo_says_that_all_is_there_and_shows_each_question_with_its_cypher(
    demo_environment: dict[str, str],
) -> None:
    done = subprocess.run(["circuitgraph", "demo"], env=demo_environment, capture_output=True, text=True, check=True)
    assert "already there" in done.stdout
    assert done.stdout.count("MATCH (") >= 4
    assert "Next, type" in done.stderr
