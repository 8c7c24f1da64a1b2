"""Bytes that releases have written, kept forever: what this release reads and how it writes.

If a test here fails, messages of other releases in the same store can no longer be read, or other
releases cannot read those of this one. Do not change the samples: write a new version of the envelope,
read both, and add samples of it.
"""

import re
from collections import Counter, OrderedDict, defaultdict, deque
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from ipaddress import ip_address, ip_interface, ip_network
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import msgpack
import pytest
from pydantic import SecretStr

from asynctasq.contracts.resolver import Reference, Resolver
from asynctasq.contracts.serializer import Serializer
from asynctasq.errors import BodyCorrupt, BodyVersion, ResultNotSerializable
from asynctasq.resolvers import Resolvers
from asynctasq.retry import OnMissing, RetryStrategy, RunPolicy
from asynctasq.serializers.codec import Codec
from asynctasq.serializers.custom_types import CustomTypes, register_type
from asynctasq.serializers.json_serializer import JsonSerializer
from asynctasq.serializers.msgpack_serializer import MsgpackSerializer
from tests.serializers.packing import packed
from tests.serializers.sameness import identical
from tests.serializers.sample_models import Counted, Growing, Item, Page
from tests.serializers.sample_types import (
    Access,
    Address,
    Box,
    Colour,
    Count,
    Frozen,
    Money,
    Mood,
    Opaque,
    Pair,
    Plain,
)

SAMPLES = Path(__file__).parent / "samples"
POLICY = RunPolicy(
    timeout=2.5,
    retry_strategy=RetryStrategy.EXPONENTIAL,
    retry_cap=600.0,
    on_missing=OnMissing.SKIP,
)
MODEL = Opaque()
PLAIN: list[Any] = [
    None,
    True,
    1,
    -(2**63),
    2**64 - 1,
    0.5,
    "ß",
    b"\xff",
    [],
    {},
    [[1]],
    {"a": {"b": 1}},
]
TYPED: list[Any] = [
    *(2**70, float("inf"), 1.5 - 2j, Decimal("1.10"), UUID(int=5), bytearray(b"x")),
    *(datetime(2024, 1, 2, 3, 4, 5, 6, UTC), datetime(2024, 1, 2, fold=1), date(2024, 2, 29)),
    *(
        time(1, 2, 3),
        timedelta(1, 2, 3),
        Path("a/b"),
        PurePosixPath("/a"),
        PureWindowsPath("C:\\x"),
    ),
    *((1, (2,)), {1}, frozenset({1}), {1: 2}, {(1, 2): 3}, {"$tuple": [1]}),
    *(OrderedDict(a=1), Counter(a=2), deque([1], maxlen=2)),
    *(Colour.GREEN, Mood.BAD, Access.READ | Access.WRITE, Plain("p", {"k": (1,)}), Frozen((1,))),
    *(Pair(1, "r"), Count(3), Address(street="s"), Box(Box(None)), Money(1, "EUR")),
]
MORE: list[Any] = [
    *(Fraction(1, 3), UTC, timezone(timedelta(hours=2), "x"), ZoneInfo("UTC"), range(1, 5, 2)),
    *(ip_address("127.0.0.1"), ip_network("10.0.0.0/8"), ip_interface("10.1.2.3/8")),
    *(ip_address("::1"), ip_network("2001:db8::/32"), ip_interface("2001:db8::1/64")),
    *(re.compile("a+", re.IGNORECASE), defaultdict(list, a=[1]), SecretStr("s")),
    *(Page[Item](items=[Item(name="a")]), Growing(1), Counted(number=1)),
]
KWARGS: dict[str, Any] = {"name": "n", "when": date(2024, 1, 1)}


@pytest.fixture(autouse=True)
def own_type(monkeypatch: pytest.MonkeyPatch) -> None:
    registry = CustomTypes()
    monkeypatch.setattr("asynctasq.serializers.custom_types.custom_types", registry)
    monkeypatch.setattr("asynctasq.serializers.extension_types.custom_types", registry)
    register_type(
        Money, lambda m: [m.amount, m.currency], lambda parts: Money(*parts), name="money"
    )


class OneModel:
    def reference(self, instance: object) -> Reference | None:
        return Reference("sys", "shop.User", [7, UUID(int=9)]) if instance is MODEL else None

    async def resolve(self, references: Any, *, relations: Any = ()) -> list[object]:
        return [MODEL for _ in references]

    async def close(self) -> None:
        return


def find(name: str) -> Serializer:
    return MsgpackSerializer() if name == "msgpack" else JsonSerializer()


def codec_of(name: str) -> Codec:
    def create(_: str) -> Resolver:
        return OneModel()

    resolvers = Resolvers(lambda: ["sys"], create)  # a module that is always imported
    return Codec(find(name), find_serializer=find, resolvers=resolvers)


def written_now(name: str) -> dict[str, bytes]:
    codec = codec_of(name)
    return {
        f"v1_{name}_plain.body": codec.encode_call(tuple(PLAIN), {}, RunPolicy(), task="t"),
        f"v1_{name}_typed.body": codec.encode_call((*TYPED, MODEL), KWARGS, POLICY, task="t"),
        f"v1_{name}_more.body": codec.encode_call(tuple(MORE), {}, RunPolicy(), task="t"),
        f"v1_{name}.result": codec.encode_result(TYPED),
        f"v1_{name}_model.result": codec.encode_result(["a", (MODEL,)]),
        f"v1_{name}_none.result": codec.encode_result(None),
        f"v1_{name}_note.result": codec.encode_result([Opaque()]),
    }


both = pytest.mark.parametrize("name", ["msgpack", "json"])


@both
def test_bodies_of_version_1_are_read(name: str) -> None:
    codec = codec_of("msgpack")
    plain = codec.open_call((SAMPLES / f"v1_{name}_plain.body").read_bytes())
    typed = codec.open_call((SAMPLES / f"v1_{name}_typed.body").read_bytes())

    assert plain.content_type == typed.content_type == name
    assert (plain.policy, typed.policy) == (RunPolicy(), POLICY)
    assert plain.references == ()
    assert typed.references == (Reference("sys", "shop.User", [7, UUID(int=9)]),)
    args, kwargs = codec.decode_arguments(plain)
    assert identical(args, PLAIN)
    assert kwargs == {}
    args, kwargs = codec.decode_arguments(typed, ["the model"])
    assert identical(args, [*TYPED, "the model"])
    assert identical(kwargs, KWARGS)


@both
def test_types_that_were_added_to_version_1_are_read(name: str) -> None:
    codec = codec_of("msgpack")
    body = codec.open_call((SAMPLES / f"v1_{name}_more.body").read_bytes())
    args, _ = codec.decode_arguments(body)
    assert args == MORE
    assert [type(each) for each in args] == [type(each) for each in MORE]


@both
async def test_results_of_version_1_are_read(name: str) -> None:
    codec = codec_of("msgpack")
    model = (SAMPLES / f"v1_{name}_model.result").read_bytes()

    assert identical(codec.decode_result((SAMPLES / f"v1_{name}.result").read_bytes()), TYPED)
    assert await codec.load_result(model) == ["a", (MODEL,)]
    assert codec.decode_result(model) == ["a", (Reference("sys", "shop.User", [7, UUID(int=9)]),)]
    assert codec.decode_result((SAMPLES / f"v1_{name}_none.result").read_bytes()) is None
    with pytest.raises(ResultNotSerializable, match="Opaque"):
        codec.decode_result((SAMPLES / f"v1_{name}_note.result").read_bytes())


@both
def test_this_release_writes_what_version_1_says(name: str) -> None:
    for file, written in written_now(name).items():
        if not file.endswith("_note.result"):  # its text may be worded better
            assert written == (SAMPLES / file).read_bytes(), file


@both
def test_other_versions_are_told_apart_from_noise(name: str) -> None:
    codec = codec_of(name)
    body = (SAMPLES / f"v1_{name}_plain.body").read_bytes()
    result = (SAMPLES / f"v1_{name}.result").read_bytes()

    for version, told in (
        (0, "older than 0.1"),
        (2, "later release of asynctasq"),
        (127, "version 127"),
    ):
        with pytest.raises(BodyVersion, match=told):
            codec.open_call(body[:1] + bytes((version,)) + body[2:])
        with pytest.raises(BodyVersion, match=told):
            codec.decode_result(result[:1] + bytes((version,)) + result[2:])
    # A later version may look quite different behind its number.
    with pytest.raises(BodyVersion):
        codec.open_call(packed([2, {"all": "new"}, msgpack.ExtType(3, b"x")]))
    noises: list[Any] = [
        [],
        [None],
        ["1"],
        [True, 1],
        [-1, 0],
        [200, 0],
        [1],
        [1, 2, 3, 4, 5, 6],
        {},
        1,
        None,
    ]
    for noise in noises:
        with pytest.raises(BodyCorrupt):
            codec.open_call(packed(noise))


@both
def test_wrong_fields_are_corrupt(name: str) -> None:
    codec = codec_of(name)
    good = msgpack.unpackb((SAMPLES / f"v1_{name}_plain.body").read_bytes())
    codec.open_call(packed(good))
    policy = [None, 60.0, "fixed", 2.0, 3600.0, 0.1, "retry"]
    assert codec.open_call(packed([*good[:2], policy, *good[3:]])).policy == RunPolicy()
    wrong: dict[int, list[Any]] = {
        1: [None, 1, "", "a b", "x" * 81, [], "../x"],
        2: [
            *(None, [1] * 6, [None] * 7, "policy", 5, {}, [[]] * 7, [None, 60.0, "fixed"] * 3),
            [-1.0, *policy[1:]],
            [None, float("nan"), *policy[2:]],
            [*policy[:2], "sometimes", *policy[3:]],
            [*policy[:3], "2", *policy[4:]],
            [*policy[:6], "perhaps"],
        ],
        3: [
            *(None, [], b"x", b"\x91\x01", b"\x91\x93\x01\x02\x03", b"\x05"),
            packed([["r", "m"]]),
        ],
        4: [None, [], "text", 1],
    }
    for place, value in ((place, value) for place, row in wrong.items() for value in row):
        with pytest.raises(BodyCorrupt):
            codec.open_call(packed([*good[:place], value, *good[place + 1 :]]))
