"""Families as records: units of one layer that detect variations of one thing, with order and angles."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field, ValidationError, field_validator, model_validator

from circuitgraph.catalogue.claims import Author, Claim, Evidence, plain_text
from circuitgraph.catalogue.documents import Document, first_fault
from circuitgraph.errors import CatalogueError, ClaimError
from circuitgraph.ids import FamilyId, UnitId, slugify
from circuitgraph.records import Family, Member

if TYPE_CHECKING:
    from circuitgraph.bundle import Bundle

__all__ = ["FamilyRecord", "families_of_bundle", "make_families"]


class FamilyRecord(Document):
    """One family.

    Attributes
    ----------
    family
        ``network/layer!slug``.
    name, description
        In words.
    members
        Units of the family's layer with their position from 0 and, where known, their angle in degrees,
        counter-clockwise as displayed, 0 pointing right.
    partition
        Families of one layer under the same partition share no unit, as their author says; empty where that is not
        said.
    weights_sha256
        Hash of the weights that the units are of, where known.
    """

    folder: ClassVar[str] = "families"

    family: str
    name: str = Field(min_length=1)
    description: str = ""
    members: tuple[Member, ...] = ()
    partition: str = ""
    weights_sha256: str = Field(default="", pattern=r"^([0-9a-f]{64})?$")

    @property
    def uid(self) -> str:
        """``network/layer!slug``."""
        return self.family

    @field_validator("name", "partition")
    @classmethod
    def _is_short(cls, text: str) -> str:
        return plain_text(text, limit=500, what="the name of a family")

    @field_validator("description")
    @classmethod
    def _is_plain(cls, text: str) -> str:
        return plain_text(text, limit=20_000, what="a description")

    @model_validator(mode="after")
    def _members_are_of_the_layer(self) -> FamilyRecord:
        own = FamilyId.parse(self.family)
        seen = set[str]()
        for member in self.members:
            unit = UnitId.parse(member.unit)
            if (unit.network, unit.layer) != (own.network, own.layer):
                raise ValueError(f"{member.unit} is not of the layer of family {self.family}")
            if member.unit in seen:
                raise ValueError(f"{member.unit} is a member of {self.family} twice")
            seen.add(member.unit)
        return self

    @classmethod
    def from_family(
        cls,
        family: Family,
        *,
        author: Author | str,
        date: str,
        reference: str = "",
        partition: str = "",
        weights_sha256: str = "",
        supersedes: Iterable[str] = (),
    ) -> FamilyRecord:
        """Return the record of a family as a bundle holds it or a search finds it, with its order and angles.

        Raises
        ------
        ClaimError
            It contradicts itself, or what is said of it is no author, date or hash.
        """
        try:
            return cls(
                family=family.uid,
                name=family.name,
                description=family.description,
                members=family.members,
                partition=partition,
                weights_sha256=weights_sha256,
                author=Author(name=author) if isinstance(author, str) else author,
                date=date,
                reference=reference or family.reference,
                supersedes=tuple(supersedes),
            )
        except ValidationError as error:
            raise ClaimError(f"making family {family.uid}: {first_fault(error)}.") from error

    def to_family(self) -> Family:
        """Return what a bundle holds of a family."""
        return Family(
            uid=self.family,
            name=self.name,
            members=self.members,
            description=self.description,
            reference=self.reference,
        )

    def _repr_svg_(self) -> str | None:
        return self.to_family()._repr_svg_()

    def claims(
        self,
        *,
        evidence: Iterable[Evidence] = (),
        method: str = "",
        method_version: str = "",
        author: Author | None = None,
        date: str = "",
    ) -> list[Claim]:
        """Return the `member_of` claim of each member, by the family's author unless another is given."""
        said = tuple(evidence)
        claims = []
        for member in self.members:
            qualifiers: dict[str, float | int | str] = {"position": member.position}
            if member.angle_deg is not None:
                qualifiers["angle_deg"] = member.angle_deg
            claims.append(
                Claim(
                    subject=member.unit,
                    predicate="member_of",
                    object=self.family,
                    qualifiers=qualifiers,
                    evidence=said,
                    method=method,
                    method_version=method_version,
                    author=author or self.author,
                    date=date or self.date,
                    reference=self.reference,
                )
            )
        return claims


def families_of_bundle(
    bundle: Bundle, *, author: Author | str, date: str, reference: str = "", partition: str = ""
) -> list[FamilyRecord]:
    """Return the records of the families that came with a bundle, with order, angles and the hash of its weights."""
    return [
        FamilyRecord.from_family(
            family,
            author=author,
            date=date,
            reference=reference,
            partition=partition,
            weights_sha256=bundle.info.weights_sha256,
        )
        for family in bundle.families
    ]


def make_families(
    bundle: Bundle,
    families: Mapping[str, Sequence[str | int]],
    *,
    author: Author | str,
    date: str,
    layer: str = "",
    angles_deg: Mapping[str, Sequence[float | None]] | None = None,
    description: str = "",
    reference: str = "",
    partition: str = "",
    supersedes: Iterable[str] = (),
) -> list[FamilyRecord]:
    """Make records of families from the names of their units, in order.

    Parameters
    ----------
    families
        Name to units: names as `Bundle.unit` takes them, or channels of `layer`.
    layer
        The layer of units that are given by channel.
    angles_deg
        Family name to an angle for each unit, counter-clockwise as displayed, 0 pointing right.
    description, reference, partition, supersedes
        Said of each of them.

    Raises
    ------
    UnknownUnitError, UnknownLayerError
        A unit does not exist in the bundle.
    CatalogueError
        A family has no unit, units of two layers, another number of angles, or channels and no layer.
    """
    made = []
    for name, units in families.items():
        act = f"making family {name[:80]!r}"
        if not units or (not layer and any(isinstance(unit, int) for unit in units)):
            what = "its units are channels, and no layer is given" if units else "it has 0 units"
            raise CatalogueError(f"{act}: {what}.", hint="Name units as layer:3, or give the layer with --layer.")
        ids = [bundle.neuron(f"{layer}:{unit}" if isinstance(unit, int) else unit) for unit in units]
        layers = list(dict.fromkeys(str(unit.layer_id) for unit in ids))
        if len(layers) > 1:
            raise CatalogueError(f"{act}: its units lie in {layers[0]} and {layers[1]}, one layer is wanted.")
        angles = (angles_deg or {}).get(name) or [None] * len(ids)
        if len(angles) != len(ids):
            raise CatalogueError(f"{act}: {len(ids)} units and {len(angles)} angles are given.")
        members = tuple(
            Member(unit=str(unit), position=position, angle_deg=None if angle is None else angle % 360)
            for position, (unit, angle) in enumerate(zip(ids, angles, strict=True))
        )
        family = Family(uid=f"{layers[0]}!{slugify(name)}", name=name, members=members, description=description)
        made.append(
            FamilyRecord.from_family(
                family,
                author=author,
                date=date,
                reference=reference,
                partition=partition,
                weights_sha256=bundle.info.weights_sha256,
                supersedes=supersedes,
            )
        )
    return made
