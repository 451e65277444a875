"""What lies under the edges between two layers: what was linearised and ignored, and how well that predicts."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from circuitgraph.records import Fidelity

if TYPE_CHECKING:
    from circuitgraph.bundle.read import Bundle

__all__ = [
    "NOT_MEASURED",
    "approximation_notes",
    "correlation_in_words",
    "fidelity_in_words",
    "fidelity_summary",
    "in_words",
    "notes_between",
    "pair_approximations",
    "pair_note",
]

NOT_MEASURED = "not measured"


def pair_approximations(bundle: Bundle, up: str, down: str) -> dict[str, Any]:
    """Say what lies under the weights from layer `up` to layer `down`: a row of `describe_approximations`.

    `cancellation` is that of a block's median and ninth decile, by how many edges a block has.
    """
    parts = [part for part in bundle.blocks if (part.up, part.down) == (up, down)]
    ignored = [part.ignored_activations for part in parts if part.ignored_activations is not None]
    edges = sum(part.edge_count for part in parts if part.cancellation_median is not None)
    tokens = list(dict.fromkeys(token for part in parts for token in part.approximations))

    def mean(values: Sequence[float | None]) -> float | None:
        weighted = [value * part.edge_count for value, part in zip(values, parts, strict=True) if value is not None]
        return sum(weighted) / edges if edges else None

    return {
        "up": up.partition("/")[2],
        "down": down.partition("/")[2],
        "ignored_activations": max(ignored, default=None),
        "cancellation": mean([part.cancellation_median for part in parts]),
        "cancellation_p90": mean([part.cancellation_p90 for part in parts]),
        "approximations": [in_words(bundle, token) for token in tokens],
    }


def in_words(bundle: Bundle, token: str) -> str:
    """Say what an approximation is, as the import said it."""
    return next((words for words in bundle.info.approximations if words.startswith(f"{token}:")), token)


def fidelity_in_words(fidelity: Fidelity | None, layer: str) -> str:
    """Say in a few words how well one layer is predicted, and on what that was measured."""
    if fidelity is None or layer not in fidelity.layers:
        return correlation_in_words(None, "")
    return correlation_in_words(fidelity.layers[layer].best_known.correlation, fidelity.on(layer))


def correlation_in_words(correlation: float | None, measured_on: str) -> str:
    """Say in a few words how well a layer is predicted; `measured_on` is empty where that was not measured."""
    if not measured_on:
        return f"fidelity {NOT_MEASURED}"
    if correlation is None:
        return f"no unit varies on {measured_on}"
    return f"correlation of prediction and activation {correlation:.3f} ({measured_on})"


def fidelity_summary(bundle: Bundle) -> str:
    """Say in a line how well the layers of a bundle are predicted."""
    fidelity = bundle.fidelity
    found = {} if fidelity is None else {uid: own.best_known.correlation for uid, own in fidelity.layers.items()}
    known = {uid: value for uid, value in found.items() if value is not None}
    if fidelity is None or not known:
        return f"how well the weights predict: {NOT_MEASURED}"
    worst = min(known, key=known.__getitem__)
    middle = sorted(known.values())[len(known) // 2]
    return (
        f"prediction and activation correlate at {middle:.2f} in the middle layer, least in "
        f"{worst.partition('/')[2]} at {known[worst]:.2f} ({fidelity.shown})"
    )


def approximation_notes(bundle: Bundle, pairs: Sequence[tuple[str, str]]) -> list[str]:
    """Say what the edges of some layer pairs lie under: one note a pair, none for a pair that is exact."""
    notes = []
    for up, down in dict.fromkeys(pairs):
        row = pair_approximations(bundle, up, down)
        note = pair_note(
            up,
            down,
            words=row["approximations"],
            ignored=row["ignored_activations"],
            fidelity=fidelity_in_words(bundle.fidelity, down),
        )
        notes += [note] if note else []
    return notes


def notes_between(bundle: Bundle, groups: Iterable[Collection[str]], *, most: int = 5) -> list[str]:
    """Say what the edges among groups of units lie under, as of the units of each match of a motif.

    Parameters
    ----------
    groups
        Uids of units; those of other networks are passed over.
    most
        How many pairs of layers are told of; a further note says how many more there are.
    """
    pairs: dict[tuple[str, str], None] = {}
    for group in groups:
        layers = {uid.rpartition(":")[0] for uid in group}
        pairs |= dict.fromkeys(pair for pair in bundle.pairs if pair[0] in layers and pair[1] in layers)
    notes = approximation_notes(bundle, [pair for pair in bundle.pairs if pair in pairs])
    if len(notes) <= most:
        return notes
    more = f"... and {len(notes) - most} more pairs of layers: circuitgraph inspect {bundle.path} --approximations"
    return [*notes[:most], more]


def pair_note(up: str, down: str, *, words: Sequence[str], ignored: int | None, fidelity: str) -> str:
    """Write the note of one pair of layers; an empty one where nothing was linearised or ignored."""
    said = list(words)
    if ignored:
        said.append(f"{ignored} {'activation' if ignored == 1 else 'activations in series'} ignored on the way")
    if not said:
        return ""
    return f"{up.partition('/')[2]} -> {down.partition('/')[2]}: {'; '.join([*said, fidelity])}"
