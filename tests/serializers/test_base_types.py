"""Types of the standard library, and subclasses without attributes."""

import importlib
import re
from collections import Counter, OrderedDict, defaultdict, deque
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from ipaddress import ip_address, ip_interface, ip_network
from pathlib import Path
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import msgpack
import orjson
import pytest
import time_machine
from pydantic import ByteSize, Secret, SecretBytes, SecretStr

from asynctasq import register_type
from asynctasq.contracts.serializer import Serializer
from asynctasq.errors import ArgumentsMismatch, BodyError
from asynctasq.operations.redaction import Redaction
from asynctasq.serializers import custom_types
from asynctasq.serializers.custom_types import CustomTypes
from asynctasq.serializers.extension_types import BY_NAME
from asynctasq.serializers.json_serializer import JsonSerializer
from asynctasq.serializers.msgpack_serializer import MsgpackSerializer
from asynctasq.serializers.standard_types import read_zone
from asynctasq.serializers.unserializable import Unserializable, no_reference
from tests.serializers.packing import packed
from tests.serializers.sameness import identical
from tests.serializers.sample_types import Measured, MyDict, MyList, Tagged
from tests.serializers.test_class_lookup import forge


def round_trip(serializer: Serializer, value: object) -> Any:
    return serializer.loads(serializer.dumps(value, refer=no_reference))


STANDARD: list[Any] = [
    *(Fraction(1, 3), Fraction(-(10**50), 7), UTC, timezone(timedelta(hours=2))),
    *(timezone(timedelta(minutes=-5), "Odd"), timezone(timedelta(microseconds=-1))),
    *(ZoneInfo("Europe/Berlin"), ip_address("127.0.0.1"), ip_address("fe80::1%eth0")),
    *(ip_network("10.0.0.0/8"), ip_network("2001:db8::/32"), ip_interface("10.1.2.3/8")),
    *(
        ip_interface("2001:db8::1/64"),
        range(3),
        range(10, 2**70, -3),
        re.compile("a+", re.IGNORECASE | re.MULTILINE),
    ),
    *(re.compile(b"\xff"), defaultdict(list, a=[1]), defaultdict(None, {1: (2,)})),
    *(defaultdict(int), ByteSize(5)),
]


@pytest.mark.parametrize("value", STANDARD, ids=repr)
def test_standard_types_travel(serializer: Serializer, value: Any) -> None:
    back = round_trip(serializer, [value, {"k": (value,)}])
    assert identical(back[0], value)
    assert identical(back[1]["k"][0], value)


@pytest.mark.parametrize(
    "value", [ip_address("::1"), Fraction(1, 2), UTC, ZoneInfo("UTC"), range(2)], ids=repr
)
def test_standard_types_are_keys_too(serializer: Serializer, value: Any) -> None:
    assert round_trip(serializer, {value: 1}) == {value: 1}


def test_defaultdict_keeps_its_factory(serializer: Serializer) -> None:
    back = round_trip(serializer, defaultdict(list, a=[1]))
    back["b"].append(2)
    assert back == {"a": [1], "b": [2]}


# Subclasses.


class MyUUID(UUID):
    pass


class MyDatetime(datetime):
    def isoformat(self, sep: str = "T", timespec: str = "auto") -> str:
        return "mine"


class MyDate(date):
    pass


class MyTime(time):
    pass


class MyDelta(timedelta):
    pass


class MyDecimal(Decimal):
    pass


class MyTuple(tuple[int, ...]):
    __slots__ = ()


class MySet(set[int]):
    pass


class MyFrozen(frozenset[int]):
    pass


class MyOrdered(OrderedDict[str, int]):
    pass


class MyCounter(Counter[str]):
    pass


class MyDeque(deque[int]):
    pass


class MyBytes(bytearray):
    pass


class MyPath(type(Path())):  # type: ignore[misc]  # what Python before 3.12 asks for
    __slots__ = ()


class MyFraction(Fraction):
    pass


MOMENT = datetime(2024, 10, 27, 2, 30, 1, 5, tzinfo=ZoneInfo("Europe/Berlin"), fold=1)
SUBCLASSES: list[tuple[Any, Any]] = [
    (MyUUID(int=5), UUID(int=5)),
    (MyDatetime(2024, 1, 2, 3, 4, 5, 6, UTC), datetime(2024, 1, 2, 3, 4, 5, 6, UTC)),
    (MyDatetime.fromtimestamp(MOMENT.timestamp(), MOMENT.tzinfo), MOMENT.replace(microsecond=5)),
    (MyDate(2024, 1, 2), date(2024, 1, 2)),
    (MyTime(1, 2, 3, fold=1), time(1, 2, 3, fold=1)),
    (MyDelta(1, 2, 3), timedelta(1, 2, 3)),
    (MyDecimal("1.10"), Decimal("1.10")),
    (MyDecimal("sNaN"), Decimal("sNaN")),
    (MyTuple([1, 2]), (1, 2)),
    (MySet([1]), {1}),
    (MyFrozen([1]), frozenset([1])),
    (MyOrdered(b=1, a=2), OrderedDict(b=1, a=2)),
    (MyCounter("aab"), Counter("aab")),
    (MyDeque([1], maxlen=2), deque([1], maxlen=2)),
    (MyBytes(b"\xff"), bytearray(b"\xff")),
    (MyPath("a/b"), Path("a/b")),
    (MyFraction(1, 3), Fraction(1, 3)),
    (MyDict(a=1), {"a": 1}),
    (MyList([1]), [1]),
]


@pytest.mark.parametrize(
    ("value", "base"), SUBCLASSES, ids=[type(v).__name__ for v, _ in SUBCLASSES]
)
def test_subclass_without_state_arrives_as_its_base_class(
    serializer: Serializer, value: Any, base: Any
) -> None:
    back = round_trip(serializer, {"a": [value, bytearray(b"x")], "b": (value,)})
    assert identical(back["a"][0], base)
    assert identical(back["b"][0], base)


@pytest.mark.parametrize(
    "value", [value for value, _ in SUBCLASSES], ids=lambda v: type(v).__name__
)
def test_subclass_with_attributes_is_refused(serializer: Serializer, value: Any) -> None:
    try:
        object.__setattr__(value, "extra", 1)
    except AttributeError:
        assert "__slots__" in vars(type(value))
        return
    try:
        with pytest.raises(Unserializable, match="attributes, which would be lost"):
            serializer.dumps([value], refer=no_reference)
    finally:
        object.__delattr__(value, "extra")


def test_scalar_with_a_slot_is_refused_while_the_slot_holds_something(
    serializer: Serializer,
) -> None:
    text, number = Tagged("a"), Measured(1.5)
    assert identical(round_trip(serializer, [text, number]), [text, number])
    text.tag, number.unit = "b", "kg"
    for value in (text, number):
        with pytest.raises(Unserializable, match="attributes, which would be lost"):
            serializer.dumps([value], refer=no_reference)


untyped_dict: Any = MyDict
untyped_list: Any = MyList


def test_faults_within_a_subclass_are_located(serializer: Serializer) -> None:
    for value, path in [(untyped_dict(a=object()), "['a']"), (untyped_list([object()]), "[0]")]:
        with pytest.raises(Unserializable) as caught:
            serializer.dumps([value], refer=no_reference)
        assert caught.value.path == f"[0]{path}"


def test_subclass_that_holds_more_than_its_base_is_refused(serializer: Serializer) -> None:
    class Nanoseconds(datetime):
        def __eq__(self, other: object) -> bool:
            return isinstance(other, Nanoseconds)

        __hash__ = datetime.__hash__

    with pytest.raises(Unserializable, match="holds more than a datetime"):
        serializer.dumps(Nanoseconds(2024, 1, 1), refer=no_reference)


def test_uuids_of_asyncpg_travel(serializer: Serializer) -> None:
    pgproto: Any = importlib.import_module("asyncpg.pgproto.pgproto")
    key, value = pgproto.UUID(str(UUID(int=7))), pgproto.UUID(str(UUID(int=8)))
    back = round_trip(serializer, {key: value})
    assert back == {UUID(int=7): UUID(int=8)}
    assert {type(part) for pair in back.items() for part in pair} == {UUID}


def test_datetimes_under_a_moved_clock_travel(serializer: Serializer) -> None:
    with time_machine.travel(datetime(2030, 1, 1, tzinfo=UTC)):
        now = datetime.now(UTC)
        assert round_trip(serializer, [now, now.date()]) == [now, now.date()]


def test_registered_subclass_keeps_its_type(
    serializer: Serializer, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = CustomTypes()
    monkeypatch.setattr(custom_types, "custom_types", registry)
    monkeypatch.setattr("asynctasq.serializers.extension_types.custom_types", registry)
    register_type(MyUUID, str, MyUUID)
    assert type(round_trip(serializer, MyUUID(int=1))) is MyUUID


# Secrets.

SECRETS: list[Any] = [SecretStr("hunter2"), SecretBytes(b"hunter2"), Secret[str]("hunter2")]


@pytest.mark.parametrize("secret", SECRETS, ids=["str", "bytes", "any"])
def test_secrets_travel_and_are_not_shown(serializer: Serializer, secret: Any) -> None:
    back = round_trip(serializer, {"login": [secret]})["login"][0]
    assert type(back) is type(secret)
    assert back.get_secret_value() == secret.get_secret_value()
    assert "hunter2" not in repr(Redaction().plain({"login": [back]}))


# What others have written.


WRONG: list[tuple[str, list[Any]]] = [
    ("secret", ["pydantic.types:SecretStr", 5]),
    ("secret", ["builtins:str", "x"]),
    ("secret", ["pydantic.types:SecretStr"]),
    ("defaultdict", ["eval"]),
    ("defaultdict", [["list"]]),
    ("defaultdict", ["list", 5]),
    *((kind, ["ab"]) for kind in ("dict", "counter", "ordereddict")),
    *((kind, [[1, 2, 3]]) for kind in ("dict", "counter", "ordereddict")),
    ("defaultdict", ["list", "ab"]),
    ("range", [1, 2]),
    ("range", [1, 2, 0]),
    ("range", ["a", 2, 1]),
    ("pattern", ["("]),
    ("pattern", ["(", 0]),
    ("pattern", ["a", re.DEBUG]),
    ("pattern", ["(" * 60_000, 0]),
    ("pattern", ["a" * 70_000, 0]),
    ("pattern", [5, 0]),
]
TEXTS = {
    "fraction": ["", "1/0", "1", "f" * 70_000 + "/1", "x/1"],
    "timezone": ["", "x", f"{10**12}", "9" * 5000],
    "zoneinfo": ["", "../../etc/passwd", "Europe/Nowhere", "\0", "x" * 5000],
    "ipv4address": ["", "1.2.3", "9" * 5000],
    "ipv4network": ["1.2.3.4/8", "x"],
    "ipv6interface": ["", "::/129"],
}


@pytest.mark.parametrize(("kind", "parts"), WRONG, ids=str)
def test_wrong_parts_are_body_errors(serializer: Serializer, kind: str, parts: list[Any]) -> None:
    with pytest.raises(BodyError):
        serializer.loads(forge(serializer, kind, *parts))


@pytest.mark.parametrize("kind", ["dict", "counter", "ordereddict", "defaultdict"])
@pytest.mark.parametrize(
    ("part", "content"),
    [("range", [0, 10**9, 1]), ("ipv6network", "::/0")],
    ids=["range", "network"],
)
def test_items_of_mappings_are_not_taken_from_something_huge(
    kind: str, part: str, content: Any
) -> None:
    factory = ["list"] if kind == "defaultdict" else []
    body = orjson.dumps({f"${kind}": [*factory, {f"${part}": content}]})
    with pytest.raises(BodyError, match="an item that is not a key and a value"):
        JsonSerializer().loads(body)


@pytest.mark.parametrize(("kind", "text"), [(k, t) for k in TEXTS for t in TEXTS[k]], ids=repr)
def test_wrong_texts_are_body_errors(kind: str, text: str) -> None:
    with pytest.raises(BodyError):
        JsonSerializer().loads(orjson.dumps({f"${kind}": text}))
    with pytest.raises(BodyError):
        MsgpackSerializer().loads(packed(msgpack.ExtType(BY_NAME[kind].code, text.encode())))


def test_unknown_zone_may_be_known_to_another_worker() -> None:
    with pytest.raises(ArgumentsMismatch, match="tzdata"):
        read_zone("Mars/Olympus")
