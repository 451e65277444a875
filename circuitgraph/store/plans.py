"""A query explained before it runs: its Cypher, its parameters, the server's plan and how many rows it expects."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from circuitgraph.store.neo4j import Store

__all__ = ["Explanation", "PlanStep", "explain_query"]


@dataclass(frozen=True, slots=True)
class PlanStep:
    """One step of a plan.

    Attributes
    ----------
    depth
        How many steps take its rows before they are the answer; what it takes rows from itself is one deeper.
    estimated_rows
        How many rows the planner expects of it, from counts and guesses; None where it does not say.
    """

    depth: int
    operator: str
    details: str
    estimated_rows: float | None


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a query would do, root step first; nothing has run."""

    text: str
    parameters: Mapping[str, Any]
    steps: tuple[PlanStep, ...]
    planner: str

    @property
    def estimated_rows(self) -> float | None:
        """How many rows the planner expects of the answer."""
        return self.steps[0].estimated_rows

    @property
    def largest_step(self) -> PlanStep:
        """The step of which the planner expects most rows: what the query costs."""
        return max(self.steps, key=lambda step: step.estimated_rows or 0.0)


def explain_query(store: Store, cypher: str, parameters: Mapping[str, Any] | None = None) -> Explanation:
    """Explain a query that only reads; nothing runs.

    Raises
    ------
    QueryError
        The server does not accept the text.
    QueryRefusedError
        It would do more than read.
    """
    plan = store.explain(cypher, parameters)
    about = plan.get("args", {})
    planner = f"{about.get('planner', '?')} {about.get('planner-version', '')}".strip()
    return Explanation(cypher, dict(parameters or {}), tuple(_steps(plan)), planner)


def _steps(plan: dict[str, Any]) -> Iterator[PlanStep]:
    waiting = [(0, plan)]
    while waiting:
        depth, step = waiting.pop()
        args = step.get("args", {})
        rows = args.get("EstimatedRows")
        operator = str(step.get("operatorType", "")).partition("@")[0]
        details = " ".join(str(args.get("Details", "")).split())
        yield PlanStep(depth, operator, details, None if rows is None else float(rows))
        waiting += [(depth + 1, child) for child in reversed(step.get("children", []))]
