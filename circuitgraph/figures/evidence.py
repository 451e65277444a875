"""Files that claims rest on: found beside the log, told by their hash, and shown only then.

The catalogue keeps of a file its name and the hash of its bytes. Who has the file puts it into the folder
``evidence`` of the catalogue, or into the catalogue's folder itself. A file there whose bytes have another hash is not
the evidence, and a name that leads out of the folder is never followed: names are strangers' text.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from circuitgraph.catalogue.base import BaseCatalogue
from circuitgraph.catalogue.claims import EVIDENCE_CODES, Claim, Evidence, FileReference
from circuitgraph.catalogue.local import Catalogue
from circuitgraph.catalogue.views import ClaimState, claim_states
from circuitgraph.catalogue.wording import CODE_WORDS
from circuitgraph.errors import ShapeError

if TYPE_CHECKING:
    from circuitgraph.draw.image import EvidenceImage

__all__ = ["EVIDENCE_FOLDER", "FoundEvidence", "evidence_images", "find_file"]

EVIDENCE_FOLDER = "evidence"
"""The folder of a catalogue in which files that evidence rests on may lie."""

_MOST_CLAIMS = 500


@dataclass(frozen=True, slots=True)
class FoundEvidence:
    """The pictures that claims about one thing carry.

    Attributes
    ----------
    images
        Those that are here and are what they were, feature visualisations first.
    missing
        What is said of the others, a line each.
    """

    images: tuple[EvidenceImage, ...] = ()
    missing: tuple[str, ...] = ()


def find_file(catalogue: BaseCatalogue | None, file: FileReference, *, most_bytes: int) -> tuple[bytes | None, str]:
    """Return the bytes of a file that evidence rests on; or None, and why not.

    Parameters
    ----------
    most_bytes
        A larger file is not read.
    """
    if not isinstance(catalogue, Catalogue):
        return None, "is not kept in a shared catalogue"
    if not file.name or Path(file.name).name != file.name or any(mark in file.name for mark in "/\\:\0"):
        return None, "has a name that leads elsewhere"
    why = "is not beside the log"
    for folder in (catalogue.folder / EVIDENCE_FOLDER, catalogue.folder):
        found, said = _read(folder, file, most_bytes)
        if found is not None:
            return found, ""
        why = said or why
    return None, why


def _read(folder: Path, file: FileReference, most_bytes: int) -> tuple[bytes | None, str]:
    path = folder / file.name
    try:
        # a link may lead anywhere
        if not path.resolve().is_relative_to(folder.resolve()):
            return None, "is a link that leads elsewhere"
        if not path.is_file():
            return None, ""
        with path.open("rb") as opened:
            data = opened.read(most_bytes + 1)
    except (OSError, ValueError) as error:
        return None, f"cannot be read ({getattr(error, 'strerror', None) or 'no such name'})"
    if len(data) > most_bytes:
        return None, f"is larger than {most_bytes:,} bytes"
    if hashlib.sha256(data).hexdigest() != file.sha256:
        return None, "is another one than the claim's, by its hash"
    return data, ""


def evidence_images(catalogue: BaseCatalogue | None, uid: str) -> FoundEvidence:
    """Return the pictures that current claims about a unit or family carry as evidence."""
    if catalogue is None:
        return FoundEvidence()
    # the drawing is loaded where it is used
    from circuitgraph.draw.image import MOST_IMAGE_BYTES, EvidenceImage

    images, missing, seen = [], [], set[str]()
    for claim, state, evidence, file in _files_about(catalogue, uid):
        if file.sha256 in seen:
            continue
        seen.add(file.sha256)
        data, why = find_file(catalogue, file, most_bytes=MOST_IMAGE_BYTES)
        if data is not None:
            try:
                source = f"{claim.author.name}, {claim.date}"
                images.append(EvidenceImage(data, caption=_caption(claim, state, evidence), source=source))
                continue
            except ShapeError:
                why = "is no PNG, JPEG or WebP picture"
        missing.append(f"{CODE_WORDS[evidence.code]}: {file.name} {why}")
    return FoundEvidence(tuple(images), tuple(missing))


def _caption(claim: Claim, state: ClaimState, evidence: Evidence) -> str:
    words = [CODE_WORDS[evidence.code]]
    if evidence.is_against or claim.negated:
        words.append("against")
    if state.is_disputed:
        words.append("disputed")
    return ", ".join(words) + (f": {evidence.statement}" if evidence.statement else "")


def _files_about(catalogue: BaseCatalogue, uid: str) -> Iterator[tuple[Claim, ClaimState, Evidence, FileReference]]:
    heads = [head for head in catalogue.heads_about([uid]).get(uid, ()) if not head.is_superseded][:_MOST_CLAIMS]
    claims = catalogue.get_many([head.id for head in heads])
    states = claim_states(catalogue, [claim.id for claim in claims])
    found = [
        (claim, states[claim.id], evidence, file)
        for claim in claims
        for evidence in claim.evidence
        for file in evidence.files
    ]
    # the order of the seven arguments, feature visualisation first
    yield from sorted(found, key=lambda each: (EVIDENCE_CODES.index(each[2].code), each[0].date, each[0].id))
