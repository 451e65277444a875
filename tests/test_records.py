from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from circuitgraph.errors import IdError
from circuitgraph.records import Family, Layer, Member, NetworkInfo


def layer(**changed: Any) -> Layer:
    given: dict[str, Any] = {
        "uid": "net/mixed4c",
        "index": 3,
        "kind": "concat",
        "unit_count": 512,
        "size": (14, 14),
        "stride": (16, 16),
        "receptive_field": (107, 107),
    }
    return Layer(**{**given, **changed})


def test_a_layer_names_itself_and_its_units() -> None:
    assert layer().name == "mixed4c"
    assert str(layer().unit(447)) == "net/mixed4c:447"


@pytest.mark.parametrize(
    "wrong",
    [
        {"index": -1},
        {"unit_count": 0},
        {"kind": "hidden"},
        {"size": (1, 2, 3)},
        {"colour": "red"},
    ],
)
def test_a_layer_that_cannot_be_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        layer(**wrong)


def test_a_layer_with_a_uid_outside_the_grammar_is_refused() -> None:
    with pytest.raises((ValidationError, IdError), match="not the uid of a layer"):
        layer(uid="net/mixed 4c")


def test_a_record_does_not_change() -> None:
    with pytest.raises(ValidationError):
        layer().unit_count = 3  # type: ignore[misc]


def test_a_family_holds_units_of_its_own_layer_only() -> None:
    members = (Member(unit="net/a:0", position=0, angle_deg=90.0), Member(unit="net/b:1", position=1))
    with pytest.raises(ValidationError, match="net/b:1 is not of the layer"):
        Family(uid="net/a!curves", name="curves", members=members)
    assert Family(uid="net/a!curves", name="curves", members=members[:1]).members[0].angle_deg == 90


def test_records_go_through_json_unchanged() -> None:
    info = NetworkInfo(
        network="net",
        architecture="alexnet",
        weights_sha256="0" * 64,
        source="a.pth",
        input_shape=(3, 224, 224),
        importer="torch",
        approximations=("max_pool=avg",),
    )
    assert NetworkInfo.model_validate_json(info.model_dump_json()) == info
    assert Layer.model_validate_json(layer().model_dump_json()) == layer()


@pytest.mark.parametrize("digest", ["", "abc", "G" * 64, "0" * 63])
def test_weights_are_tied_to_a_whole_hash(digest: str) -> None:
    with pytest.raises(ValidationError, match="weights_sha256"):
        NetworkInfo(
            network="net", architecture="a", weights_sha256=digest, source="s", input_shape=(1, 1, 1), importer="i"
        )
