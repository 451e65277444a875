"""Claims: immutable, dated, attributed assertions about units, families, features, circuits and other claims.

A claim's id is the sha256 of its content in canonical JSON, so the same assertion has the same
id wherever it is made, and a set of claims merges without conflict. What is absent and what has its
default are written alike (not at all), so that a field that is added later changes no id.

Modelled on Gene Ontology annotation: a qualifier NOT (`negated`), evidence codes, who said it and from what.
The first seven evidence codes are the seven arguments of "Zoom In".

References
----------
Olah et al., "Zoom In: An Introduction to Circuits", Distill 2020, claim 1 ("How do we know ...?").
https://doi.org/10.23915/distill.00024.001
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from circuitgraph.errors import ClaimError, IdError
from circuitgraph.ids import UidKind, kind_of

__all__ = [
    "ARGUMENTS",
    "EVIDENCE_CODES",
    "PREDICATES",
    "Author",
    "Claim",
    "Evidence",
    "EvidenceCode",
    "FileReference",
    "Predicate",
    "Record",
    "canonical_json",
    "check_date",
    "kinds_taken",
    "plain_text",
    "read_claim",
]

Predicate = Literal[
    "detects",
    "responds_to",
    "member_of",
    "pure",
    "polysemantic",
    "multifaceted",
    "universal",
    "analogous_to",
    "implements",
    "unknown",
    "supports",
    "disputes",
]
PREDICATES: tuple[str, ...] = get_args(Predicate)

EvidenceCode = Literal[
    "feature_visualisation",
    "dataset_examples",
    "synthetic_examples",
    "joint_tuning",
    "feature_implementation",
    "feature_use",
    "handwritten_circuit",
    "automated_label",
    "attribution",
    "author_statement",
]
EVIDENCE_CODES: tuple[str, ...] = get_args(EvidenceCode)
ARGUMENTS = EVIDENCE_CODES[:7]
"""The seven arguments of "Zoom In"."""

_TEXT_LIMIT = 20_000
_NAME_LIMIT = 500
_FIGURE_LIMIT = 200
# databases hold no longer ones
_INTEGER_LIMIT = 1 << 63

# predicate -> (kinds of subject, kinds of object; none where it takes no object)
_THINGS: frozenset[UidKind] = frozenset({"network", "layer", "unit", "family", "feature", "circuit", "motif", "edge"})
_DETECTORS: frozenset[UidKind] = frozenset({"unit", "family", "circuit"})
_RULES: Mapping[str, tuple[frozenset[UidKind], frozenset[UidKind]]] = {
    "detects": (_DETECTORS, frozenset({"feature"})),
    "responds_to": (_DETECTORS, frozenset({"feature"})),
    "member_of": (frozenset({"unit"}), frozenset({"family"})),
    "pure": (_DETECTORS, frozenset()),
    "polysemantic": (_DETECTORS, frozenset()),
    "multifaceted": (_DETECTORS, frozenset()),
    "universal": (frozenset({"feature", "family", "circuit", "motif"}), frozenset({"network"})),
    "analogous_to": (_THINGS, _THINGS),
    "implements": (_THINGS, frozenset({"motif", "circuit"})),
    "unknown": (_THINGS, frozenset()),
    "supports": (frozenset({"claim"}), frozenset()),
    "disputes": (frozenset({"claim"}), frozenset()),
}
_OBJECT_IS_OPTIONAL = frozenset({"universal"})
_ORCID = re.compile(r"\d{4}-\d{4}-\d{4}-\d{3}[\dX]")
# categories Cc and Cs without tab and line's end
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
_SHA256 = re.compile(r"[0-9a-f]{64}")


def kinds_taken(predicate: str) -> tuple[frozenset[UidKind], frozenset[UidKind]]:
    """Return of which kinds of things a predicate is said, and of which its object is; none where it takes no object.

    Examples
    --------
    >>> [sorted(kinds) for kinds in kinds_taken("detects")]
    [['circuit', 'family', 'unit'], ['feature']]
    """
    return _RULES[predicate]


def canonical_json(value: Any) -> str:
    """Return the one way in which a value is written: sorted keys, no spaces, no NaN."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def check_date(text: str) -> str:
    """Return a day or a moment in ISO 8601.

    Raises
    ------
    ValueError
        It is neither, or a moment without its zone.
    """
    try:
        if len(text) == 10:
            date.fromisoformat(text)
            return text
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f"{text[:40]!r} is no date in ISO 8601, as in 2020-03-10") from error
    if moment.tzinfo is None:
        raise ValueError(f"{text} is a moment without its zone; add Z or +01:00")
    return text


def plain_text(text: str, *, limit: int, what: str) -> str:
    """Return a text in NFC.

    Raises
    ------
    ValueError
        It is longer than `limit`, or holds control characters other than tab and line's end.
    """
    if len(text) > limit:
        raise ValueError(f"{what} has {len(text):,} characters, at most {limit:,} are taken")
    if text.isascii() and text.isprintable():
        return text
    if found := _CONTROL.search(text):
        raise ValueError(f"{what} holds the control character U+{ord(found[0]):04X} at place {found.start()}")
    return unicodedata.normalize("NFC", text)


class Record(BaseModel):
    """An immutable record that takes no field it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False, allow_inf_nan=False)


class FileReference(Record):
    """A file that evidence rests on, by its content; the file itself is not kept in the catalogue."""

    name: str
    sha256: str
    media_type: str = ""

    @field_validator("name", "media_type")
    @classmethod
    def _is_plain(cls, text: str) -> str:
        return plain_text(text, limit=_NAME_LIMIT, what="the name of a file")

    @field_validator("sha256")
    @classmethod
    def _is_a_hash(cls, text: str) -> str:
        if not _SHA256.fullmatch(text):
            raise ValueError(f"{text[:80]!r} is not a sha256 in 64 hex digits")
        return text


class Evidence(Record):
    """What supports a claim (or, with ``is_against``, speaks against it).

    Attributes
    ----------
    code
        One of the seven arguments of "Zoom In", or "automated_label", "attribution", "author_statement".
    statement
        What was seen, in words.
    figures
        Numbers and short texts by name (``{"iou": 0.21}``).
    files
        Pictures, notebooks, activations, by hash.
    reference
        DOI or address.
    """

    code: EvidenceCode
    statement: str = ""
    figures: Mapping[str, float | int | str] = {}
    files: tuple[FileReference, ...] = ()
    reference: str = ""
    is_against: bool = False

    @field_validator("statement", "reference")
    @classmethod
    def _is_plain(cls, text: str) -> str:
        return plain_text(text, limit=_TEXT_LIMIT, what="a statement")

    @field_validator("figures")
    @classmethod
    def _are_plain(cls, figures: Mapping[str, float | int | str]) -> dict[str, float | int | str]:
        if len(figures) > _FIGURE_LIMIT:
            raise ValueError(f"{len(figures)} figures, at most {_FIGURE_LIMIT} are taken")
        plain = {}
        for name, value in figures.items():
            named = plain_text(name, limit=_NAME_LIMIT, what="the name of a figure")
            if isinstance(value, int) and not -_INTEGER_LIMIT <= value < _INTEGER_LIMIT:
                raise ValueError(f"{named} is a whole number of more than 64 bits; write it as a decimal")
            plain[named] = plain_text(value, limit=_TEXT_LIMIT, what=named) if isinstance(value, str) else value
        return plain


class Author(Record):
    """Who makes a claim: a person, a group, or a program."""

    name: str = Field(min_length=1)
    orcid: str = ""

    @field_validator("name")
    @classmethod
    def _is_plain(cls, text: str) -> str:
        plain = plain_text(text, limit=_NAME_LIMIT, what="the name of an author").strip()
        if not plain or "\n" in plain:
            raise ValueError("the name of an author is empty or has several lines")
        return plain

    @field_validator("orcid")
    @classmethod
    def _is_an_orcid(cls, text: str) -> str:
        if not text:
            return text
        if not _ORCID.fullmatch(text):
            raise ValueError(f"{text[:80]!r} is not an ORCID, as in 0000-0002-1825-0097")
        digits = text.replace("-", "")
        total = 0
        for digit in digits[:-1]:
            total = (total + int(digit)) * 2
        check = (12 - total % 11) % 11
        if digits[-1] != ("X" if check == 10 else str(check)):
            raise ValueError(f"{text} is not an ORCID: its last digit does not check (ISO 7064)")
        return text


class Claim(Record):
    """One assertion.

    Attributes
    ----------
    subject
        Uid of what it is about: a network, layer, unit, family, feature, circuit, motif or claim, or an
        edge (``UP -> DOWN``, two units).
    predicate, object
        What is said of it; `object` is a uid, empty where the predicate needs none.
    negated
        Whether it says that this is **not** so.
    qualifiers
        What makes it more exact: ``{"position": 3, "angle_deg": 45.0}`` of a member, ``{"role": "left"}``.
    statement
        In words.
    confidence
        0 to 1 as its author sees it, None where they did not say.
    method, method_version
        How it was come by ("network dissection").
    author, date
        Who, and when (ISO 8601, a day or a moment with its zone); an importer gives the source's own.
    supersedes
        Ids of claims that this one takes the place of.
    reference
        DOI or address.
    """

    subject: str
    predicate: Predicate
    object: str = ""
    negated: bool = False
    qualifiers: Mapping[str, float | int | str] = {}
    statement: str = ""
    evidence: tuple[Evidence, ...] = ()
    confidence: float | None = Field(default=None, ge=0, le=1)
    method: str = ""
    method_version: str = ""
    author: Author
    date: str
    supersedes: tuple[str, ...] = ()
    reference: str = ""

    @field_validator("statement", "reference")
    @classmethod
    def _is_plain(cls, text: str) -> str:
        return plain_text(text, limit=_TEXT_LIMIT, what="a statement")

    @field_validator("method", "method_version")
    @classmethod
    def _is_short(cls, text: str) -> str:
        return plain_text(text, limit=_NAME_LIMIT, what="a method")

    @field_validator("qualifiers")
    @classmethod
    def _are_plain(cls, qualifiers: Mapping[str, float | int | str]) -> dict[str, float | int | str]:
        return Evidence._are_plain(qualifiers)

    @field_validator("date")
    @classmethod
    def _is_a_date(cls, text: str) -> str:
        return check_date(text)

    @field_validator("supersedes")
    @classmethod
    def _are_claims(cls, ids: tuple[str, ...]) -> tuple[str, ...]:
        for each in ids:
            if kind_of(each) != "claim":
                raise ValueError(f"{each[:80]!r} is not the id of a claim")
        return tuple(sorted(set(ids)))

    @model_validator(mode="after")
    def _says_something(self) -> Claim:
        subjects, objects = _RULES[self.predicate]
        kind = kind_of(self.subject)
        if kind not in subjects:
            raise ValueError(f"{self.predicate} is said of {_or(subjects)}, {self.subject} is a {kind}")
        if not self.object:
            if objects and self.predicate not in _OBJECT_IS_OPTIONAL:
                raise ValueError(f"{self.predicate} needs an object: {_or(objects)}")
            return self
        if not objects:
            raise ValueError(f"{self.predicate} takes no object, {self.object[:80]!r} is given")
        object_kind = kind_of(self.object)
        if object_kind not in objects:
            raise ValueError(f"the object of {self.predicate} is {_or(objects)}, {self.object} is a {object_kind}")
        if self.predicate == "member_of" and self.subject.rpartition(":")[0] != self.object.rpartition("!")[0]:
            raise ValueError(f"{self.subject} is not of the layer of {self.object}")
        return self

    def content(self) -> dict[str, Any]:
        """Return all fields but the id, without those that say nothing."""
        said: dict[str, Any] = self.model_dump(mode="json", exclude_defaults=True)
        return said

    @property
    def id(self) -> str:
        """``claim:`` and the sha256 of the content in canonical JSON."""
        return f"claim:{hashlib.sha256(canonical_json(self.content()).encode()).hexdigest()}"

    def line(self) -> str:
        """Return the claim as one line of the log, its id first, without the line's end."""
        text = canonical_json(self.content())
        digest = hashlib.sha256(text.encode()).hexdigest()
        return f'{{"id":"claim:{digest}",{text[1:]}'


def read_claim(line: str | bytes, *, where: str = "a claim") -> Claim:
    """Read one line of a log.

    Raises
    ------
    ClaimError
        It is no JSON, no claim, or its id is not the hash of what it says.
    """
    try:
        said = json.loads(line)
        if not isinstance(said, dict):
            raise ValueError("it is no JSON object")
        given = said.pop("id", None)
        claim = Claim(**said)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        raise ClaimError(
            f"{where}: {field + ': ' if field else ''}{first['msg'].removeprefix('Value error, ')}."
        ) from error
    except (ValueError, TypeError, RecursionError, IdError) as error:
        raise ClaimError(f"{where}: it cannot be read ({str(error).splitlines()[0][:200]}).") from error
    if given is not None and given != claim.id:
        raise ClaimError(
            f"{where}: the id says {str(given)[:80]}, the content is {claim.id}.",
            hint="It was changed after it was made, or forged; take it from where it came from again.",
        )
    return claim


def _or(kinds: frozenset[UidKind]) -> str:
    return " or ".join(sorted(kinds)) if kinds else "nothing"
