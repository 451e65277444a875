"""What a curator does: assert, support, dispute and supersede claims, and look after the vocabulary.

Each function makes one record, checks it against the catalogue it goes into, and adds it. Nothing is edited: to
supersede a claim is to add another that names it, and both stay.
"""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from circuitgraph.catalogue.base import BaseCatalogue
from circuitgraph.catalogue.claims import EVIDENCE_CODES, PREDICATES, Author, Claim, Evidence, FileReference, Record
from circuitgraph.catalogue.features import Feature, Vocabulary
from circuitgraph.catalogue.views import claim_states
from circuitgraph.errors import (
    CatalogueError,
    CircuitGraphError,
    ClaimError,
    MissingFileError,
    UnknownFeatureError,
    UnknownLayerError,
    UnknownUnitError,
)
from circuitgraph.ids import UnitId, kind_of

if TYPE_CHECKING:
    from circuitgraph.bundle import Bundle

__all__ = [
    "Curated",
    "add_claim",
    "add_feature",
    "change_feature",
    "dispute_claim",
    "hash_file",
    "make_claim",
    "make_evidence",
    "make_feature",
    "name_feature",
    "supersede_claim",
    "support_claim",
]

_READ_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Curated:
    """What adding one claim did.

    Attributes
    ----------
    claim
        The claim as it is kept.
    is_new
        Whether the catalogue did not have it.
    notes
        What its author should know.
    """

    claim: Claim
    is_new: bool
    notes: tuple[str, ...] = ()


def make_claim(subject: str, predicate: str, object: str = "", **fields: Any) -> Claim:
    """Make a claim; `fields` are those of `Claim`.

    Raises
    ------
    ClaimError
        It says nothing, or something that its predicate does not allow; the message says what.
    """
    if predicate not in PREDICATES:
        raise ClaimError(
            f"a claim about {_short(subject)}: {_short(predicate)} is no predicate.", hint=_which(predicate, PREDICATES)
        )
    made: Claim = _made(
        Claim, f"a claim about {_short(subject)}", subject=subject, predicate=predicate, object=object, **fields
    )
    return made


def make_evidence(code: str, **fields: Any) -> Evidence:
    """Make a piece of evidence; `fields` are those of `Evidence`.

    Raises
    ------
    ClaimError
        The code is not one of `EVIDENCE_CODES`, or a field does not hold what it should.
    """
    known = code.strip().replace("-", "_").replace(" ", "_")
    if known not in EVIDENCE_CODES:
        raise ClaimError(f"evidence: {_short(code)} is no evidence code.", hint=_which(known, EVIDENCE_CODES))
    made: Evidence = _made(Evidence, f"evidence {known}", code=known, **fields)
    return made


def hash_file(path: str | Path, *, media_type: str = "") -> FileReference:
    """Return the reference to a file: its name without the folder, and the sha256 of its bytes.

    Raises
    ------
    MissingFileError
        It cannot be read.
    ClaimError
        Its name cannot be kept.
    """
    digest = hashlib.sha256()
    try:
        with Path(path).open("rb") as file:
            while data := file.read(_READ_BYTES):
                digest.update(data)
    except (OSError, ValueError) as error:
        said = error.strerror if isinstance(error, OSError) else error
        raise MissingFileError(
            f"hashing {_short(str(path))} as evidence: {said}.", hint="Give a file that can be read."
        ) from error
    made: FileReference = _made(
        FileReference,
        f"file {_short(Path(path).name)}",
        name=Path(path).name,
        sha256=digest.hexdigest(),
        media_type=media_type,
    )
    return made


def add_claim(
    catalogue: BaseCatalogue,
    claim: Claim,
    *,
    new_feature: Feature | None = None,
    bundle: Bundle | None = None,
    dry_run: bool = False,
) -> Curated:
    """Check a claim against the catalogue, and add it.

    Parameters
    ----------
    new_feature
        An entry that comes into the vocabulary with it, and only with it.
    bundle
        Of the network that the claim is about; without one it is not known whether its units exist, which is said.
    dry_run
        Check, and add nothing.

    Raises
    ------
    UnknownFeatureError
        Its object is not in the vocabulary.
    UnknownUnitError, UnknownLayerError, UnknownNetworkError
        The bundle has no such unit.
    UnknownClaimError
        It is about, or supersedes, a claim that the catalogue does not have.
    """
    vocabulary = catalogue.vocabulary()
    if new_feature is not None:
        add_feature(catalogue, new_feature, dry_run=True)
        vocabulary = Vocabulary((*vocabulary.entries.values(), new_feature))
    notes = _check_features(vocabulary, claim)
    notes += _check_units(claim, bundle)
    notes += _check_claims(catalogue, claim)
    if new_feature is not None:
        notes.append(f"{new_feature.uid} {'would come' if dry_run else 'came'} into the vocabulary.")
        catalogue.add_features(() if dry_run else [new_feature])
    if dry_run:
        return Curated(claim, not catalogue.get_many([claim.id]), tuple(notes))
    report = catalogue.add([claim])
    return Curated(claim, bool(report.added), (*notes, *report.torn))


def dispute_claim(
    catalogue: BaseCatalogue,
    uid: str,
    *,
    why: str,
    author: Author,
    date: str,
    evidence: Iterable[Evidence] = (),
    dry_run: bool = False,
    **fields: Any,
) -> Curated:
    """Say that a claim is doubted, and why; the claim stays, and is shown as disputed.

    Raises
    ------
    UnknownClaimError
        There is no such claim.
    ClaimError
        It is not said why.
    """
    old = catalogue.get(uid)
    if not why.strip():
        raise ClaimError(f"disputing {old.id[:14]}: it is not said why.", hint="Give --why 'WHAT SPEAKS AGAINST IT'.")
    claim = make_claim(old.id, "disputes", statement=why, evidence=tuple(evidence), author=author, date=date, **fields)
    return add_claim(catalogue, claim, dry_run=dry_run)


def support_claim(
    catalogue: BaseCatalogue,
    uid: str,
    *,
    author: Author,
    date: str,
    why: str = "",
    evidence: Iterable[Evidence] = (),
    dry_run: bool = False,
    **fields: Any,
) -> Curated:
    """Say that a claim is shared, with evidence of one's own where there is some.

    Raises
    ------
    UnknownClaimError
        There is no such claim.
    """
    old = catalogue.get(uid)
    claim = make_claim(old.id, "supports", statement=why, evidence=tuple(evidence), author=author, date=date, **fields)
    return add_claim(catalogue, claim, dry_run=dry_run)


def supersede_claim(
    catalogue: BaseCatalogue,
    uid: str,
    *,
    author: Author,
    date: str,
    new_feature: Feature | None = None,
    bundle: Bundle | None = None,
    dry_run: bool = False,
    **changes: Any,
) -> Curated:
    """Put a changed copy in the place of a claim; the old one stays in the history.

    Parameters
    ----------
    changes
        Fields of `Claim` that differ. What is not named is copied, evidence too.

    Raises
    ------
    UnknownClaimError
        There is no such claim.
    ClaimError
        Nothing differs but author and date, or what results is no claim.
    """
    old = catalogue.get(uid)
    named = {"author": author, "date": date, "supersedes": (old.id,)}
    said = {name: getattr(old, name) for name in Claim.model_fields} | changes | named
    claim = make_claim(**said)
    own = set(named)
    if claim.model_dump(exclude=own) == old.model_dump(exclude=own):
        raise ClaimError(
            f"superseding {old.id[:14]}: nothing would change but who says it, and when.",
            hint=f"Say what differs, or agree with it: `circuitgraph catalogue support {old.id[:14]}`.",
        )
    done = add_claim(catalogue, claim, new_feature=new_feature, bundle=bundle, dry_run=dry_run)
    return replace(done, notes=(*done.notes, *_left_behind(catalogue, old, claim)))


def make_feature(slug: str, *, name: str = "", **fields: Any) -> Feature:
    """Make an entry of the vocabulary; `fields` are those of `Feature`.

    Parameters
    ----------
    slug
        The uid, with or without ``feature:``.
    name
        The slug with spaces, unless given.

    Raises
    ------
    ClaimError
        The slug cannot name a feature, or a field does not hold what it should.
    """
    uid = slug if slug.startswith("feature:") else f"feature:{slug}"
    made: Feature = _made(
        Feature, f"feature {_short(slug)}", uid=uid, name=name or uid[8:].replace("-", " ").replace("_", " "), **fields
    )
    return made


def name_feature(
    vocabulary: Vocabulary, text: str, *, author: Author, date: str, is_welcome: bool = False
) -> tuple[str, Feature | None]:
    """Return the uid of the feature that a curator means, and an entry for it where the vocabulary has none.

    Parameters
    ----------
    text
        A uid, a name or a synonym.
    is_welcome
        Whether what the vocabulary does not have may come into it; else no entry is made, and the uid is what it
        would have.

    Raises
    ------
    ClaimError
        Several are called so, or it cannot name a feature.
    """
    text = text.strip()
    if vocabulary.find(text) is not None:
        return text, None
    found = [] if text.startswith("feature:") else vocabulary.named(text)
    if len(found) == 1:
        return found[0].uid, None
    if found:
        uids = " or ".join(feature.uid for feature in found)
        raise ClaimError(f"{_short(text)} names {len(found)} features.", hint=f"Write {uids}.")
    uid = text if text.startswith("feature:") else f"feature:{text.replace(' ', '-')}"
    return uid, make_feature(uid, author=author, date=date) if is_welcome else None


def add_feature(catalogue: BaseCatalogue, feature: Feature, *, dry_run: bool = False) -> Feature:
    """Add a feature to the vocabulary; one that `replaces` others renames or merges them.

    Raises
    ------
    CatalogueError
        There is one of this uid, or the vocabulary would run in a circle.
    UnknownFeatureError
        A broader or replaced feature is not in the vocabulary.
    """
    vocabulary = catalogue.vocabulary()
    there = vocabulary.find(feature.uid)
    if there is not None and not feature.supersedes:
        now = "" if there.uid == feature.uid else f", as {there.uid}"
        raise CatalogueError(
            f"adding {feature.uid}: it is in the vocabulary{now} ({there.name}).",
            hint=f"Change it: `circuitgraph catalogue feature-add {there.uid[8:]} --change --definition '...'`.",
        )
    return _add_entry(catalogue, vocabulary, feature, dry_run=dry_run)


def change_feature(
    catalogue: BaseCatalogue, uid: str, *, author: Author, date: str, dry_run: bool = False, **changes: Any
) -> Feature:
    """Put a changed entry in the place of the current one (and of its rivals) of a feature.

    Raises
    ------
    UnknownFeatureError
        There is no such feature.
    CatalogueError
        Nothing would change, or the vocabulary would run in a circle.
    """
    vocabulary = catalogue.vocabulary()
    wanted = uid if uid.startswith("feature:") else f"feature:{uid}"
    turning = {each for circle in vocabulary.circles for each in circle}
    # what stands in a circle is no feature any more, and must be changed to be one again
    old = (vocabulary.exactly(wanted) if wanted in turning else None) or vocabulary.get(wanted)
    standing = vocabulary.rivals.get(old.uid, (old,))
    said = {name: getattr(old, name) for name in Feature.model_fields} | changes
    said |= {"author": author, "date": date, "supersedes": tuple(sorted(each.entry for each in standing))}
    feature: Feature = _made(Feature, f"feature {_short(uid)}", **said)
    own = {"author", "date", "supersedes"}
    if len(standing) == 1 and feature.model_dump(exclude=own) == old.model_dump(exclude=own):
        raise CatalogueError(f"changing {old.uid}: nothing would change.", hint="Say what differs, as --name NAME.")
    return _add_entry(catalogue, vocabulary, feature, dry_run=dry_run)


def _add_entry(catalogue: BaseCatalogue, vocabulary: Vocabulary, feature: Feature, *, dry_run: bool) -> Feature:
    for each in (*feature.broader, *feature.replaces):
        vocabulary.get(each)
    after = Vocabulary((*vocabulary.entries.values(), feature))
    new = set(after.circles) - set(vocabulary.circles)
    if new:
        raise CatalogueError(
            f"adding {feature.uid}: {' -> '.join(min(new))} would run in a circle.",
            hint="Leave out a --broader or a --replaces.",
        )
    if not dry_run:
        catalogue.add_features([feature])
    return feature


def _check_features(vocabulary: Vocabulary, claim: Claim) -> list[str]:
    notes = []
    for uid in (claim.subject, claim.object):
        if not uid.startswith("feature:"):
            continue
        found = vocabulary.find(uid)
        if found is None:
            close = vocabulary.close(uid)
            raise UnknownFeatureError(
                f"a claim about {claim.subject}: {uid[:80]} is not in the vocabulary, which has {len(vocabulary)}.",
                hint=(f"Did you mean {' or '.join(close)}? " if close else "")
                + "A new one is added with --new-feature, or with `circuitgraph catalogue feature-add`.",
            )
        if found.uid != uid:
            notes.append(f"{uid} now stands in the vocabulary as {found.uid}.")
    return notes


def _check_units(claim: Claim, bundle: Bundle | None) -> list[str]:
    units = [uid for uid in (*claim.subject.split(" -> "), claim.object) if uid and kind_of(uid) == "unit"]
    if bundle is None:
        if not units:
            return []
        return [f"It was not checked whether {' and '.join(units)} exists: give --bundle to have it checked."]
    layers = [uid for uid in (claim.subject, claim.object) if uid and kind_of(uid) in ("layer", "family")]
    for uid in layers:
        named = uid.partition("!")[0]
        if (layer := bundle.layer(named).uid) != named:
            raise UnknownLayerError(
                f"layer {named!r} does not exist under this name in {bundle.network}.", hint=f"It is called {layer}."
            )
    # a direction may be claimed of before it is added to the bundle
    own = {uid for layer in bundle.directions.layers for uid in bundle.directions.uids(layer)}
    directions = [uid for uid in units if UnitId.parse(uid).channel is None and uid not in own]
    for uid in units:
        if uid in directions:
            bundle.layer(str(UnitId.parse(uid).layer_id))
        elif str(bundle.unit(uid)) != uid:
            raise UnknownUnitError(
                f"unit {uid!r} does not exist under this name in {bundle.network}.",
                hint=f"It is called {bundle.unit(uid)}.",
            )
    return [f"{uid} is a direction, which the bundle need not know." for uid in directions]


def _check_claims(catalogue: BaseCatalogue, claim: Claim) -> list[str]:
    if claim.subject.startswith("claim:"):
        catalogue.get(claim.subject)
    for old in claim.supersedes:
        catalogue.get(old)
    newer = catalogue.superseding([*claim.supersedes, claim.subject])
    return [
        f"{old[:14]} was already superseded by {' and '.join(each[:14] for each in others)}."
        for old, found in sorted(newer.items())
        if (others := [each for each in found if each != claim.id])
    ]


def _left_behind(catalogue: BaseCatalogue, old: Claim, new: Claim) -> list[str]:
    """Say what was said of a superseded claim, since it is not said of the new one."""
    state = claim_states(catalogue, [old.id])[old.id]
    notes = []
    for count, verb in ((len(state.disputed_by), "disputed"), (len(state.supported_by), "supported")):
        if count:
            what = f"{count} current claim{'' if count == 1 else 's'}"
            notes.append(f"{old.id[:14]} is {verb} by {what}: that stays with it, and is not said of the new one.")
    if new.author != old.author and set(map(repr, old.evidence)) & set(map(repr, new.evidence)):
        notes.append(f"The evidence of {old.author.name} now counts under {new.author.name}.")
    return notes


def _made(kind: type[Record], what: str, **fields: Any) -> Any:
    try:
        return kind(**fields)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        cause = first.get("ctx", {}).get("error")
        if isinstance(cause, CircuitGraphError):
            raise ClaimError(f"{what}: {cause.message}", hint=cause.hint) from error
        said = first["msg"].removeprefix("Value error, ")
        raise ClaimError(f"{what}: {field + ': ' if field else ''}{said}.") from error


def _which(given: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(given[:80], known, n=2)
    return f"Did you mean {' or '.join(close)}?" if close else f"Known are {', '.join(known)}."


def _short(text: str) -> str:
    return repr(text if len(text) <= 80 else text[:77] + "...")
