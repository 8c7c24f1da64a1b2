"""A message survives being packed, whatever is in its fields."""

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asynctasq.driverkit.packing import pack_message, unpack_message
from asynctasq.errors import BodyCorrupt
from asynctasq.message import (
    Message,
    OnConflict,
    OnParentFailure,
    Parent,
    ScheduledRun,
    Unique,
    UniqueUntil,
)

seconds = st.floats(0, 1e10, allow_nan=False)
ids = st.binary(min_size=16, max_size=16)
messages = st.builds(
    Message,
    id=ids,
    queue=st.text(),
    task=st.text(),
    body=st.binary(),
    priority=st.integers(0, 9),
    delay=seconds,
    eta=st.none() | seconds,
    expires=st.none() | seconds,
    max_attempts=st.integers(0, 2**40),
    max_lost=st.integers(0, 2**40),
    result_ttl=seconds,
    unique=st.none()
    | st.builds(
        Unique,
        st.text(),
        st.sampled_from(UniqueUntil),
        st.sampled_from(OnConflict),
        st.none() | seconds,
    ),
    parents=st.lists(st.builds(Parent, ids, st.sampled_from(OnParentFailure))).map(tuple),
    workflow=st.none() | ids,
    schedule=st.none() | st.builds(ScheduledRun, st.text(), seconds),
    limits=st.lists(st.text()).map(tuple),
    group=st.none() | st.text(),
    headers=st.dictionaries(st.text(), st.text()),
)


@given(messages)
def test_every_field_comes_back(message: Message) -> None:
    again = unpack_message(pack_message(message))
    assert again == message
    assert repr(again.unique) == repr(message.unique)
    assert repr(again.parents) == repr(message.parents)


def test_fields_of_a_later_release_are_ignored() -> None:
    message = Message(id=bytes(16), queue="q", task="t", body=b"")
    values = msgpack.unpackb(pack_message(message))
    later = msgpack.Packer().pack({**values, "colour": "blue"})
    assert unpack_message(later) == message


def test_text_that_is_not_unicode_comes_back() -> None:
    message = Message(id=bytes(16), queue="q", task="t", body=b"", headers={"file": "\udcff.txt"})
    assert unpack_message(pack_message(message)) == message


def test_default_fields_take_no_room() -> None:
    packed = pack_message(Message(id=bytes(16), queue="q", task="t", body=b""))
    assert set(msgpack.unpackb(packed)) == {"id", "queue", "task", "body"}


@given(st.binary())
def test_other_bytes_are_corrupt(data: bytes) -> None:
    with pytest.raises(BodyCorrupt):
        unpack_message(data)


def test_truncated_bytes_are_corrupt() -> None:
    packed = pack_message(Message(id=bytes(16), queue="q", task="t", body=b"body"))
    for length in range(len(packed)):
        with pytest.raises(BodyCorrupt):
            unpack_message(packed[:length])
