"""``circuitgraph catalogue new | add | support | dispute | supersede``: the curator's work."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from circuitgraph.catalogue.claims import PREDICATES
from circuitgraph.catalogue.curating import (
    Curated,
    add_claim,
    dispute_claim,
    make_claim,
    name_feature,
    supersede_claim,
    support_claim,
)
from circuitgraph.cli.catalogue.making import (
    EvidenceTexts,
    Making,
    evidence_options,
    making_options,
    named_value,
    say_next,
)
from circuitgraph.cli.catalogue.opening import open_catalogue, today
from circuitgraph.cli.options import catalogue_option, quiet_option
from circuitgraph.cli.output import say, show_json, show_rows
from circuitgraph.errors import IdError
from circuitgraph.ids import kind_of

__all__ = ["add", "dispute", "new", "supersede", "support"]

_FEATURES = ("detects", "responds_to")


@click.command(epilog="Example: circuitgraph catalogue new my-catalogue --starter")
@click.argument("folder", required=False)
@click.option(
    "--starter",
    is_flag=True,
    help='Add the vocabulary and the claims of "Zoom In" (Distill 2020), and what the handwritten network holds.',
)
@catalogue_option
@quiet_option
def new(folder: str | None, starter: bool, catalogue: str | None, quiet: bool) -> None:
    """Begin a catalogue; Catalogue.open(create=True), add_starter and add_handwritten in Python.

    FOLDER is that of --catalogue or of the settings where it is not given. Beginning one that is there changes nothing.
    """
    from circuitgraph.catalogue.starter import add_starter
    from importers.handwritten_claims import add_handwritten

    given = folder or catalogue
    with open_catalogue(given, create=True, quiet=quiet) as opened:
        print(opened.folder)
        if starter:
            added = add_starter(opened)
            handwritten = add_handwritten(opened)
            say(
                f"the starter catalogue: {added.claims + handwritten:,} claims and {added.features:,} features are new."
            )
        if not quiet:
            # the unit that the article's best known circuit ends in
            say_next("show" if starter else "features", "inceptionv1/mixed4c:447" if starter else "", given)


@click.command(
    epilog="Example: circuitgraph catalogue add inceptionv1/mixed4c:447 detects car "
    "--evidence 'dataset_examples:cars from the side' --author 'Ada Example'"
)
@click.argument("subject")
@click.argument("predicate")
@click.argument("object_", metavar="[OBJECT]", required=False, default="")
@click.option("--negated", is_flag=True, help="Say that it is NOT so.")
@click.option("--statement", default="", help="The claim in words.")
@evidence_options
@click.option("--confidence", type=float, help="How sure you are, 0 to 1.")
@click.option("--method", default="", help="How it was come by.")
@click.option("--method-version", default="", help="Version of the method.")
@click.option("--reference", default="", help="DOI or address.")
@click.option("--qualifier", "qualifiers", multiple=True, metavar="NAME=VALUE", help="What makes it more exact.")
@click.option("--supersedes", multiple=True, metavar="CLAIM", help="A claim that this one takes the place of.")
@click.option("--new-feature", is_flag=True, help="Add the object to the vocabulary if it is not there.")
@click.option("--bundle", type=click.Path(path_type=Path), help="Bundle in which the units must exist.")
@making_options
def add(
    subject: str,
    predicate: str,
    object_: str,
    negated: bool,
    statement: str,
    evidence: EvidenceTexts,
    confidence: float | None,
    method: str,
    method_version: str,
    reference: str,
    qualifiers: tuple[str, ...],
    supersedes: tuple[str, ...],
    new_feature: bool,
    bundle: Path | None,
    making: Making,
) -> None:
    """Add a claim; add_claim in Python.

    SUBJECT is a uid (network/layer:3, network/layer!family, feature:name, claim:HASH, or an edge, 'UP -> DOWN'). A
    feature as OBJECT is named by its uid, name or a synonym. PREDICATE is one of: detects, responds_to (one of several
    cases), member_of, pure, polysemantic, multifaceted, universal, analogous_to, implements, unknown, supports,
    disputes.
    """
    with making.open() as opened:
        speaker = making.speaker()
        held = _open_bundle(bundle)
        if held is not None and _is_unit(subject):
            subject = str(held.unit(subject))
        vocabulary = opened.vocabulary()
        entry = None
        if predicate in _FEATURES and object_:
            object_, entry = name_feature(vocabulary, object_, author=speaker, date=today(), is_welcome=new_feature)
        claim = make_claim(
            subject if not subject.startswith("claim:") else opened.get(subject).id,
            predicate,
            object_,
            negated=negated,
            statement=statement,
            evidence=evidence.made(),
            confidence=confidence,
            method=method,
            method_version=method_version,
            reference=reference,
            qualifiers=dict(named_value(text, "--qualifier") for text in qualifiers),
            supersedes=tuple(opened.get(each).id for each in supersedes),
            author=speaker,
            date=today(),
        )
        done = add_claim(opened, claim, new_feature=entry, bundle=held, dry_run=making.dry_run)
        _show(done, making)


@click.command(
    epilog="Example: circuitgraph catalogue dispute claim:1f0c2a9b "
    "--why 'it fires for trams as well' --evidence dataset_examples --author 'Ada Example'"
)
@click.argument("claim")
@click.option("--why", required=True, help="What speaks against it.")
@evidence_options
@click.option("--confidence", type=float, help="How sure you are, 0 to 1.")
@click.option("--reference", default="", help="DOI or address.")
@making_options
def dispute(
    claim: str,
    why: str,
    evidence: EvidenceTexts,
    confidence: float | None,
    reference: str,
    making: Making,
) -> None:
    """Dispute a claim; dispute_claim in Python.

    CLAIM is its id, or the first eight digits of it or more. The claim stays, and is shown as disputed.
    """
    said = {"why": why, "confidence": confidence, "reference": reference}
    _answer(dispute_claim, claim, evidence, making, said)


@click.command(
    epilog="Example: circuitgraph catalogue support claim:1f0c2a9b "
    "--evidence 'synthetic_examples:drawn cars' --author 'Ada Example'"
)
@click.argument("claim")
@click.option("--why", default="", help="What speaks for it, in words.")
@evidence_options
@click.option("--confidence", type=float, help="How sure you are, 0 to 1.")
@click.option("--reference", default="", help="DOI or address.")
@making_options
def support(
    claim: str,
    why: str,
    evidence: EvidenceTexts,
    confidence: float | None,
    reference: str,
    making: Making,
) -> None:
    """Support a claim, with evidence of your own; support_claim in Python.

    CLAIM is its id, or the first eight digits of it or more.
    """
    said = {"why": why, "confidence": confidence, "reference": reference}
    _answer(support_claim, claim, evidence, making, said)


@click.command(
    epilog="Example: circuitgraph catalogue supersede claim:1f0c2a9b "
    "--statement 'the fronts of cars only' --confidence 0.9 --author 'Ada Example'"
)
@click.argument("claim")
@click.option("--subject", help="Another subject.")
@click.option("--predicate", type=click.Choice(PREDICATES), help="Another predicate.")
@click.option("--object", "object_", help="Another object; '' for none.")
@click.option("--negated/--affirmed", default=None, help="Whether it is NOT so.")
@click.option("--statement", help="Another statement.")
@evidence_options
@click.option("--drop-evidence", is_flag=True, help="Leave out the evidence that it had; else yours is added to it.")
@click.option("--confidence", type=float, help="How sure you are, 0 to 1.")
@click.option("--method", help="Another method.")
@click.option("--method-version", help="Another version of the method.")
@click.option("--reference", help="Another DOI or address.")
@click.option("--new-feature", is_flag=True, help="Add the object to the vocabulary if it is not there.")
@click.option("--bundle", type=click.Path(path_type=Path), help="Bundle in which the units must exist.")
@making_options
def supersede(
    claim: str,
    subject: str | None,
    predicate: str | None,
    object_: str | None,
    negated: bool | None,
    statement: str | None,
    evidence: EvidenceTexts,
    drop_evidence: bool,
    confidence: float | None,
    method: str | None,
    method_version: str | None,
    reference: str | None,
    new_feature: bool,
    bundle: Path | None,
    making: Making,
) -> None:
    """Put a changed copy in the place of a claim; supersede_claim in Python.

    CLAIM is its id, or the first eight digits of it or more. What is not given is copied from it. It stays in the
    history.
    """
    with making.open() as opened:
        speaker = making.speaker()
        old = opened.get(claim)
        entry = None
        if object_ and (predicate or old.predicate) in _FEATURES:
            object_, entry = name_feature(
                opened.vocabulary(), object_, author=speaker, date=today(), is_welcome=new_feature
            )
        given = {
            "subject": subject,
            "predicate": predicate,
            "object": object_,
            "negated": negated,
            "statement": statement,
            "confidence": confidence,
            "method": method,
            "method_version": method_version,
            "reference": reference,
        }
        changes: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
        seen = evidence.made()
        if seen or drop_evidence:
            changes["evidence"] = (*(() if drop_evidence else old.evidence), *seen)
        done = supersede_claim(
            opened,
            old.id,
            author=speaker,
            date=today(),
            new_feature=entry,
            bundle=_open_bundle(bundle),
            dry_run=making.dry_run,
            **changes,
        )
        _show(done, making)


def _answer(
    answer: Callable[..., Curated], claim: str, evidence: EvidenceTexts, making: Making, said: dict[str, Any]
) -> None:
    """Add and show a claim about another."""
    with making.open() as opened:
        speaker = making.speaker()
        done = answer(
            opened, claim, author=speaker, date=today(), evidence=evidence.made(), dry_run=making.dry_run, **said
        )
        _show(done, making)


def _is_unit(text: str) -> bool:
    """Tell whether a text names a neuron, in full or in the short forms that a bundle understands (``4c:447``)."""
    try:
        return kind_of(text) == "unit" and "@" not in text
    except IdError:
        return ":" in text


def _open_bundle(path: Path | None) -> Any:
    if path is None:
        return None
    from circuitgraph.bundle import Bundle

    return Bundle.open(path)


def _show(done: Curated, making: Making) -> None:
    """Write the claim's id (or the claim) to stdout, and what follows from it to stderr."""
    claim = done.claim
    if making.dry_run or making.form == "json":
        whole = {"id": claim.id, "claim": claim.content(), "is_new": done.is_new, "is_added": not making.dry_run}
        show_json(whole, name="claim")
    elif making.form == "table":
        print(claim.id)
    else:
        row = {"id": claim.id, "subject": claim.subject, "predicate": claim.predicate, "object": claim.object}
        show_rows(list(row), [row], making.form, name="claim")
    for note in done.notes:
        say(note)
    if not done.is_new:
        say("The catalogue has this claim already.")
    if not making.dry_run:
        is_claim = claim.subject.startswith("claim:")
        making.say_next("history" if is_claim else "show", claim.subject[:14] if is_claim else claim.subject)
