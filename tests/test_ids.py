from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circuitgraph.errors import CircuitGraphError, IdError
from circuitgraph.ids import FamilyId, LayerId, UnitId, check_network_name, slugify

EDGE = "abcXYZ059_"
names = st.builds(
    lambda first, middle, last: first + middle + last,
    st.sampled_from(EDGE),
    st.text(EDGE + ".-", max_size=12),
    st.sampled_from(EDGE),
) | st.sampled_from(EDGE)
layers = st.builds(lambda name, call: name + call, names, st.just("") | st.integers(0, 10**8).map("#{}".format))


@given(names, layers, st.integers(0, 999_999_999))
def test_a_neuron_is_read_back_as_it_was_written(network: str, layer: str, channel: int) -> None:
    uid = UnitId(network, layer, channel=channel)
    assert UnitId.parse(str(uid)) == uid
    assert LayerId.parse(str(uid.layer_id)).unit(channel) == uid


@given(names, layers, names)
def test_directions_and_families_are_read_back_as_they_were_written(network: str, layer: str, name: str) -> None:
    direction, family = UnitId(network, layer, direction=name), FamilyId(network, layer, name)
    assert UnitId.parse(str(direction)) == direction
    assert FamilyId.parse(str(family)) == family


@given(st.text(max_size=40))
def test_whatever_is_accepted_is_written_back_letter_for_letter(text: str) -> None:
    for kind in (LayerId, UnitId, FamilyId):
        try:
            parsed = kind.parse(text)
        except IdError:
            continue
        assert str(parsed) == text


@given(st.text(max_size=60))
def test_a_slug_is_always_a_name(text: str) -> None:
    assert check_network_name(slugify(text)) == slugify(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "net",
        "net/",
        "/layer:1",
        "net/layer",
        "net/layer:",
        "net/layer:-1",
        "net/layer:01",
        "net/layer:1 ",
        "net/layer:1\n",
        "net/layer:1e3",
        "net/layer:1٣",
        "net/layer#01:3",
        "net/layer#:3",
        "net/lay er:3",
        "net/../layer:3",
        "../net/layer:3",
        "net/a/b:3",
        "net/layer:3@car",
        "net/layer!family",
        "net/layer:1'}) DETACH DELETE n //",
        "nét/layer:3",
        "net/layer\0:3",
        "net/layer:" + "9" * 400,
        "n" * 100_000 + "/layer:1",
    ],
)
def test_what_is_not_the_uid_of_a_unit_is_refused_with_the_form_it_should_have(text: str) -> None:
    with pytest.raises(IdError, match=r"network/layer:channel") as caught:
        UnitId.parse(text)
    assert isinstance(caught.value, CircuitGraphError)
    assert isinstance(caught.value, ValueError)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(("channel", "direction"), [(None, None), (3, "car"), (-1, None)])
def test_a_unit_is_a_channel_or_a_direction(channel: int | None, direction: str | None) -> None:
    with pytest.raises(IdError, match="counted from 0"):
        UnitId("net", "layer", channel=channel, direction=direction)


def test_units_sort_by_channel_as_numbers_and_directions_come_last() -> None:
    texts = ["n/b:2", "n/a@z", "n/a:10", "n/a@car", "n/a:9", "m/z:0"]
    assert [str(uid) for uid in sorted(map(UnitId.parse, texts))] == [
        "m/z:0",
        "n/a:9",
        "n/a:10",
        "n/a@car",
        "n/a@z",
        "n/b:2",
    ]


@pytest.mark.parametrize("name", ["a/b", "a:b", "a@b", "a#1", "a!b", "-a", "a.", "..", "a b", ""])
def test_a_network_is_not_named_with_what_uids_give_a_meaning_to(name: str) -> None:
    with pytest.raises(IdError):
        check_network_name(name)
