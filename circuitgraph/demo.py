"""The walk through the whole house: weights, expansion, bundle, database, answers in Cypher."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from circuitgraph.bundle import Bundle
from circuitgraph.errors import CircuitGraphError
from circuitgraph.progress import SILENT, Progress
from circuitgraph.store import Result, Store
from importers.handwritten import import_handwritten
from queries import ShelfQuery, get_query

__all__ = ["QUESTIONS", "Answer", "Question", "ask", "make_bundle"]


@dataclass(frozen=True, slots=True)
class Question:
    """A question in words, and the query of the shelf that answers it."""

    words: str
    query: str
    parameters: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """A question with its Cypher and its rows."""

    question: Question
    query: ShelfQuery
    result: Result


QUESTIONS = (
    Question(
        "What excites the car unit at the top, and what at the bottom?",
        "excites-above-and-below",
        {"unit": "handwritten/mixed4c:41", "limit": 2},
    ),
    Question(
        "Which units are the strongest clients of the 24 curve units?",
        "strongest-clients-of-family",
        {"family": "handwritten/mixed3b!curves", "limit": 5},
    ),
    Question(
        "Which pathways lead to the pose-invariant dog head, and do they inhibit each other on the way?",
        "opposed-pathways",
        {"unit": "handwritten/mixed4b:45"},
    ),
    Question(
        "Over which units is the car spread in the next layer?",
        "spread",
        {"unit": "handwritten/mixed4c:41"},
    ),
)


def make_bundle(folder: Path, *, progress: Progress = SILENT) -> Bundle:
    """Return the bundle of the handwritten network in `folder`, made if it is not there or is damaged."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "handwritten.circuit"
    if path.exists():
        try:
            return Bundle.open(path)
        except CircuitGraphError:
            progress.note(f"{path} is damaged; making it again")
    return import_handwritten(path, replace=path.exists(), progress=progress)


def ask(store: Store) -> Iterator[Answer]:
    """Ask the questions one by one."""
    for question in QUESTIONS:
        query = get_query(question.query)
        yield Answer(question, query, store.query(query.cypher, query.bind(store, question.parameters)))
