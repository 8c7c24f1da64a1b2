"""Any bytes decode to a value or raise `BodyError`; they cause no other error, hang or crash."""

import random
import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgpack
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asynctasq.contracts.serializer import Serializer
from asynctasq.errors import BodyError, PluginNotFound, ResultNotSerializable
from asynctasq.retry import RunPolicy
from asynctasq.serializers.codec import Codec
from asynctasq.serializers.extension_types import BY_CODE, BY_NAME
from asynctasq.serializers.json_serializer import JsonSerializer
from asynctasq.serializers.msgpack_serializer import MsgpackSerializer
from tests.serializers.packing import packed
from tests.serializers.sample_types import (
    Access,
    Address,
    Box,
    Colour,
    Derived,
    Name,
    Pair,
    Person,
    Plain,
)


def find(name: str) -> Serializer:
    if name == "json":
        return JsonSerializer()
    if name == "msgpack":
        return MsgpackSerializer()
    raise PluginNotFound(name)


CODECS = [
    Codec(MsgpackSerializer(), find_serializer=find),
    Codec(JsonSerializer(), find_serializer=find),
]

RICH: tuple[Any, ...] = (
    *(1, "text", b"bytes", 2.5, None, [1, [2]], {"a": {"b": ()}}, {1: 2, (3,): {4}}, 2**90),
    *(datetime(2024, 1, 2, tzinfo=UTC), Decimal("1.5"), UUID(int=7), bytearray(b"x"), 1j),
    *(Colour.RED, Access.READ | Access.WRITE, Pair(1, 2), Name("n"), Plain("p", {"q": [1]})),
    *(Derived(width=2), Box((Address(street="s"),))),
    Person.model_validate({"fullName": "N", "home": {"street": "s"}, "extra": 1}),
)


def decode_call(codec: Codec, body: bytes) -> None:
    with suppress(BodyError):
        codec.decode_arguments(codec.open_call(body), [object()])


def decode_result(codec: Codec, stored: bytes) -> None:
    with suppress(BodyError, ResultNotSerializable):
        codec.decode_result(stored)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200), st.sampled_from(CODECS))
def test_random_bytes(body: bytes, codec: Codec) -> None:
    decode_call(codec, body)
    decode_result(codec, body)


@pytest.mark.parametrize("codec", CODECS, ids=["msgpack", "json"])
def test_random_bytes_of_any_size_are_an_error(codec: Codec) -> None:
    source = random.Random(4)
    for _ in range(2000):
        body = source.randbytes(source.randrange(300))
        with pytest.raises(BodyError):
            codec.open_call(body)


@pytest.mark.parametrize("codec", CODECS, ids=["msgpack", "json"])
def test_truncated_bodies(codec: Codec) -> None:
    body = codec.encode_call(RICH, {"named": RICH}, RunPolicy(), task="t")
    result = codec.encode_result(RICH)
    for size in range(0, len(body), 3):
        with pytest.raises(BodyError):
            codec.open_call(body[:size])
    for size in range(0, len(result), 3):
        with pytest.raises(BodyError):
            codec.decode_result(result[:size])


@pytest.mark.parametrize("codec", CODECS, ids=["msgpack", "json"])
def test_flipped_bits(codec: Codec) -> None:
    body = codec.encode_call(RICH, {}, RunPolicy(timeout=3.0), task="t")
    result = codec.encode_result(RICH)
    source = random.Random(5)
    for _ in range(1500):
        for decode, valid in ((decode_call, body), (decode_result, result)):
            flipped = bytearray(valid)
            for _ in range(source.choice((1, 1, 1, 2, 8))):
                flipped[source.randrange(len(flipped))] ^= 1 << source.randrange(8)
            decode(codec, bytes(flipped))


@pytest.mark.parametrize("codec", CODECS, ids=["msgpack", "json"])
def test_shortened_and_swapped_data(codec: Codec) -> None:
    """The outer form is sound, what it holds is not."""
    envelope = codec.open_call(codec.encode_call(RICH, {}, RunPolicy(), task="t"))
    source = random.Random(6)
    for _ in range(1500):
        start, end = sorted(source.sample(range(len(envelope.data) + 1), 2))
        middle = source.choice((b"", source.randbytes(3), envelope.data[start:end] * 2))
        damaged = envelope.data[:start] + middle + envelope.data[end:]
        sound = type(envelope)(envelope.content_type, envelope.policy, (), damaged)
        with suppress(BodyError):
            codec.decode_arguments(sound, [object()])


# --- well-formed encodings of nonsense --------------------------------------------------------

texts = st.text(max_size=8) | st.sampled_from(
    [
        "tests.serializers.sample_types:Plain",
        "0x1",
        "1,2,3",
        "NaN",
        "2024-01-01",
        "0",
        "x:y",
        "name",
    ]
)
plain = st.one_of(st.none(), st.booleans(), st.integers(-(2**63), 2**64 - 1), st.floats(), texts)


def nest(inner: st.SearchStrategy[Any], mark: Callable[[Any, Any], Any]) -> st.SearchStrategy[Any]:
    return st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(texts, inner, max_size=3),
        st.builds(
            mark, st.sampled_from(sorted(BY_NAME)), inner | texts | st.lists(inner, max_size=3)
        ),
    )


def msgpack_mark(name: str, content: Any) -> Any:
    kind = BY_NAME[name]
    if isinstance(content, str):
        return msgpack.ExtType(kind.code, content.encode())
    mark = msgpack.ExtType(kind.code, b"")
    return [mark, *content] if isinstance(content, list) else [mark, content]


msgpack_nonsense = st.recursive(
    plain
    | st.binary(max_size=8)
    | st.builds(
        msgpack.ExtType, st.sampled_from([*BY_CODE, 0, 15, 99, 127]), st.binary(max_size=9)
    ),
    lambda inner: nest(inner, msgpack_mark),
    max_leaves=12,
)
json_nonsense = st.recursive(
    plain, lambda inner: nest(inner, lambda name, content: {f"${name}": content}), max_leaves=12
)


@settings(max_examples=300, deadline=None)
@given(msgpack_nonsense)
def test_nonsense_in_msgpack(value: Any) -> None:
    with suppress(BodyError):
        MsgpackSerializer().loads(packed(value), models=[1])


@settings(max_examples=300, deadline=None)
@given(json_nonsense)
def test_nonsense_in_json(value: Any) -> None:
    with suppress(BodyError):
        JsonSerializer().loads(orjson.dumps(value), models=[1])


# --- bombs -----------------------------------------------------------------------------------

MANY = 2**22
TUPLE = bytes((0xC7, 0, BY_NAME["tuple"].code))
BOMBS = {
    "lists": b"\x91" * 100_000,
    "closed lists": b"\x91" * 1_020 + b"\xc0",
    "dicts": b"\x81\xc0" * 100_000,
    "tuples": (b"\x92" + TUPLE) * 100_000,
    "closed tuples": (b"\x92" + TUPLE) * 500 + b"\xc0",
    "huge list": b"\xdd\xff\xff\xff\xff",
    "huge lists": b"\xdd\x00\x0f\xff\xff" * 1000,
    "huge dict": b"\xdf\xff\xff\xff\xff",
    "huge text": b"\xdb\xff\xff\xff\xff",
    "huge bytes": b"\xc6\xff\xff\xff\xff",
    "huge extension": b"\xc9\xff\xff\xff\xff\x01",
    "list as a key": b"\x81\x90\xc0",
    "reserved byte": b"\xc1",
    "bad text": b"\xa1\xff",
    "timestamp": b"\xd7\xff" + b"\xff" * 8,
    "short timestamp": b"\xc7\x03\xffabc",
    "trailing": b"\x90\x90",
    "bad extension text": b"\xc7\x01\x01\xff",
    "long decimal": b"\xc9" + MANY.to_bytes(4, "big") + b"\x05" + b"9" * MANY,
    "long integer": b"\xc9" + MANY.to_bytes(4, "big") + b"\x07" + b"f" * MANY,
    "decimal long integer": b"\xc9" + MANY.to_bytes(4, "big") + b"\x04" + b"9" * MANY,
    "long float": b"\xc9" + MANY.to_bytes(4, "big") + b"\x0d" + b"9" * MANY,
    "long complex": b"\xc9" + MANY.to_bytes(4, "big") + b"\x08" + b"9" * MANY,
}


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=list(BOMBS))
def test_bombs_in_msgpack_take_no_time_and_no_memory(bomb: bytes) -> None:
    tracemalloc.start()
    with suppress(BodyError):
        MsgpackSerializer().loads(bomb)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    # The sizes that bombs claim are never taken at their word; the time is bounded by the test's own.
    assert peak < 300 * 2**20


@pytest.mark.parametrize(
    "bomb",
    [
        b"[" * 100_000,
        b"[" * 1000 + b"]" * 1000,
        b'{"$tuple":[' * 500 + b"]}" * 500,
        b'{"a":' * 100_000,
        b'{"$timedelta":"%s,0,0"}' % (b"9" * 2**20),
        b'{"$int":"%s"}' % (b"f" * 2**20),
        b"9" * 100_000,
        b'{"$int": 5}',
        b'{"$bytes": "!"}',
        b'{"$dict": [[[], 1]]}',
        b"\xff",
        b"",
        b"NaN",
    ],
)
def test_bombs_in_json_take_no_time_and_no_memory(bomb: bytes) -> None:
    with suppress(BodyError):
        JsonSerializer().loads(bomb)
