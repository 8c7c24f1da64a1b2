"""Values arrive equal and of exactly the same type, with both serializers."""

import math
import sys
from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path, PurePath, PurePosixPath, PureWindowsPath
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import HttpUrl, PostgresDsn

from asynctasq.contracts.serializer import Serializer
from asynctasq.serializers.json_serializer import JsonSerializer
from asynctasq.serializers.msgpack_serializer import MsgpackSerializer
from asynctasq.serializers.unserializable import no_reference
from tests.serializers.sameness import identical
from tests.serializers.sample_types import (
    Access,
    Address,
    Blob,
    Box,
    Colour,
    Count,
    Derived,
    Doubling,
    Frozen,
    Mode,
    Mood,
    Name,
    Numbers,
    Old,
    Outer,
    OwnInit,
    Pair,
    Partial,
    Person,
    Plain,
    Ratio,
    SeedByDefault,
    Site,
    Size,
)

BERLIN = ZoneInfo("Europe/Berlin")


def round_trip(serializer: Serializer, value: object) -> Any:
    return serializer.loads(serializer.dumps(value, refer=no_reference))


VALUES: list[object] = [
    *(None, True, False, 0, -1, 2**63 - 1, -(2**63), 2**64 - 1, 2**64, -(2**63) - 1, 10**5000),
    *(0.0, -0.0, 1.0, 1e300, 5e-324, 0.1, math.inf, -math.inf, math.nan),
    *("", "a", "ß€𝄞", "\x00", "a" * 70_000, '"$tuple', "$int"),
    *(b"", bytes(range(256)), b"x" * 70_000, bytearray(), bytearray(b"\xff\x00")),
    *([], [[]], [1, [2, [3, []]]], {}, {"a": []}, (), ((),), (1,), (1, (2, [3, (4,)])), [(), []]),
    *(set(), {1, 2}, {(1, (2,)), frozenset({3})}, frozenset(), frozenset({"a", None})),
    *({1: "int"}, {"1": "str", 1: "int"}, {None: 0}, {1.5: 0}, {(1, 2): (3,)}, {b"k": 1}),
    *({True: 1}, {UUID(int=1): 1}, {date(2024, 2, 29): {}}, {Colour.RED: 1}, {frozenset({1}): 2}),
    *({"$tuple": [1]}, {"$": 1}, {"$dict": {"$dict": []}}, {"$x": 1, "y": 2}, {"__type__": "set"}),
    *({"$datetime": "2024-01-01"}, {"": ""}, [{"$int": "0x1"}, 2**70], {Mood.GOOD: "value"}),
    *(date.min, date.max, datetime.min, datetime.max, datetime(2024, 2, 29, 1, 2, 3, 4)),
    *(datetime(2024, 10, 27, 2, 30, fold=1), datetime(2024, 1, 1, tzinfo=UTC)),
    *(
        datetime(2024, 10, 27, 2, 30, tzinfo=BERLIN),
        datetime(2024, 10, 27, 2, 30, tzinfo=BERLIN, fold=1),
    ),
    datetime(
        2024, 1, 1, tzinfo=timezone(timedelta(hours=-5, minutes=-30, seconds=7, microseconds=9))
    ),
    *(time.min, time.max, time(1, 2, fold=1), time(1, 2, 3, 4, tzinfo=UTC)),
    *(timedelta(), timedelta.min, timedelta.max, timedelta(microseconds=-1), timedelta.resolution),
    *map(
        Decimal,
        ["0", "-0", "1.10", "1E+400", "1E-400", "NaN", "sNaN", "-NaN7", "Infinity", "-Infinity"],
    ),
    *(UUID(int=0), UUID(int=2**128 - 1), 1j, complex(-0.0, math.inf), complex(math.nan, -0.0)),
    *(
        Path(),
        Path("a/b"),
        Path("/ü x"),
        PurePosixPath("/a"),
        PureWindowsPath("C:\\x\\y"),
        PurePath("a"),
    ),
    *(Colour.RED, Colour.CRIMSON, Colour.GREEN, Colour.ODD, Size.LARGE, Mood.BAD, Outer.Inner.X),
    *(Access.READ, Access.READ | Access.WRITE, Access(0), Mode.A | Mode.B, Mode(12)),
    *(Plain("a"), Plain("b", {"x": (1, {2})}), Frozen((1, 2), Colour.GREEN), Outer.Point(1)),
    *(Derived(width=3), Doubling(2), OwnInit(8), SeedByDefault(1), Box(Box([Plain("x")]))),
    *(Pair(1), Pair((1,), Pair([2], None)), Old(1, [2]), {Pair(1, 2): 1}),
    *(Name("x"), Name(""), Count(7), Count(2**80), Ratio(0.5), Ratio(math.inf), Blob(b"\x00")),
    *(OrderedDict([("b", 1), ("a", (2,))]), Counter("abca"), Counter({(1,): -2}), deque([1, (2,)])),
    *(deque([1], maxlen=3), deque(maxlen=0)),
    *(Address(street="s"), Address(street="s", number=2), Numbers([1, 2])),
    *(
        [bytearray(b"a"), {"b": bytearray(b"c"), "d": b"e"}],
        (bytearray(b"f"),),
        Box(bytearray(b"g")),
    ),
]


@pytest.mark.parametrize(
    "value", VALUES, ids=[f"{i}-{type(v).__name__}" for i, v in enumerate(VALUES)]
)
def test_value_comes_back_equal_and_of_the_same_type(serializer: Serializer, value: object) -> None:
    assert identical(round_trip(serializer, value), value)


@pytest.mark.parametrize(
    "value", VALUES, ids=[f"{i}-{type(v).__name__}" for i, v in enumerate(VALUES)]
)
def test_value_survives_inside_others(serializer: Serializer, value: object) -> None:
    nested = [[value, ({"k": [value]},)], {"named": Box((value,))}]

    back = round_trip(serializer, nested)

    assert identical(back[0][0], value)
    assert identical(back[0][1], ({"k": [value]},))
    assert identical(back[1]["named"].content, (value,))


def test_named_zone_becomes_its_offset(serializer: Serializer) -> None:
    summer = datetime(2024, 7, 1, 12, tzinfo=BERLIN)

    back = round_trip(serializer, summer)

    assert back == summer
    assert back.tzinfo == timezone(timedelta(hours=2))


def test_memory_of_a_second_wall_clock_hour_is_kept(serializer: Serializer) -> None:
    first = datetime(2024, 10, 27, 2, 30, tzinfo=BERLIN)
    second = first.replace(fold=1)

    assert (
        round_trip(serializer, second).timestamp() - round_trip(serializer, first).timestamp()
        == 3600
    )


def test_enum_alias_is_the_member_that_it_names(serializer: Serializer) -> None:
    assert round_trip(serializer, Colour.CRIMSON) is Colour.RED


def test_fields_beyond_the_constructor_travel(serializer: Serializer) -> None:
    box = Derived(width=3)
    box.area = 10

    assert round_trip(serializer, box) == box


def test_dataclass_is_not_changed_by_its_own_constructor(serializer: Serializer) -> None:
    doubled = Doubling(4)
    assert doubled.amount == 8

    back = round_trip(serializer, doubled)

    assert back.amount == 8
    assert back.cache == {}  # what __post_init__ sets up beside the fields is there


def test_field_that_was_never_set_stays_so(serializer: Serializer) -> None:
    assert not hasattr(round_trip(serializer, Partial()), "missing")


def test_pydantic_model_keeps_aliases_extras_and_what_was_given(serializer: Serializer) -> None:
    person = Person.model_validate(
        {
            "fullName": "N",
            "nickname": "n",
            "home": Address(street="s"),
            "tags": {"x"},
            "more": (1, 2),
        }
    )

    back = round_trip(serializer, person)

    assert type(back) is Person
    assert back == person
    assert back.model_fields_set == person.model_fields_set
    assert back.model_extra == {"more": (1, 2)}
    assert back.home.model_fields_set == {"street"}


def test_urls_of_pydantic_travel(serializer: Serializer) -> None:
    site = Site(
        home=HttpUrl("https://example.org/ü?q=1#f"), store=PostgresDsn("postgresql://u:p@h:1/d")
    )

    back = round_trip(serializer, [site, site.home])

    assert back == [site, site.home]
    assert [type(back[0].home), type(back[0].store)] == [HttpUrl, PostgresDsn]


def test_shared_object_arrives_as_equal_copies(serializer: Serializer) -> None:
    shared = (1, [2])

    assert round_trip(serializer, [shared, shared]) == [shared, shared]


def test_one_serializer_serves_many_threads(serializer: Serializer) -> None:
    from concurrent.futures import ThreadPoolExecutor

    def work(number: int) -> bool:
        value = [number, {number, "x"}, (bytearray(str(number).encode()), Box(number))] * 20
        return all(round_trip(serializer, value) == value for _ in range(20))

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as pool:
            assert all(pool.map(work, range(32)))
    finally:
        sys.setswitchinterval(interval)


# --- properties ------------------------------------------------------------------------------

offsets = st.timedeltas(timedelta(hours=-23, minutes=-59), timedelta(hours=23, minutes=59)).map(
    timezone
)
moments = st.datetimes(timezones=st.none() | offsets | st.just(BERLIN), allow_imaginary=False)
hashable_leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-(2**200), 2**200),
    st.floats(allow_nan=False),
    st.text(),
    st.text("$tuplesetin"),
    st.binary(),
    moments,
    st.dates(),
    st.times(timezones=st.none() | offsets),
    st.timedeltas(),
    st.uuids(),
    st.decimals(allow_nan=False),
    st.complex_numbers(allow_nan=False),
    st.sampled_from([*Colour, *Size, *Mood, Access.READ | Access.WRITE, Mode(5)]),
    st.builds(Name, st.text()),
    st.builds(Count, st.integers()),
    st.builds(lambda parts: PurePosixPath(*parts), st.lists(st.text("abc.", min_size=1))),
)
leaves = st.one_of(hashable_leaves, st.floats(), st.decimals(), st.binary().map(bytearray))
hashables = st.recursive(
    hashable_leaves,
    lambda inner: (
        st.lists(inner, max_size=3).map(tuple)
        | st.frozensets(inner, max_size=3)
        | st.builds(Pair, inner, inner)
    ),
    max_leaves=5,
)


def containers(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    lists = st.lists(inner, max_size=4)
    make: Callable[[list[Any]], deque[Any]] = deque
    return st.one_of(
        lists,
        lists.map(tuple),
        lists.map(make),
        st.dictionaries(hashables, inner, max_size=4),
        st.dictionaries(st.text("$ab", max_size=3), inner, max_size=4),
        st.dictionaries(st.text(), inner, max_size=4).map(OrderedDict),
        st.sets(hashables, max_size=4),
        st.builds(Plain, st.text(), st.dictionaries(st.text(), inner, max_size=3)),
        st.builds(Box, inner),
        st.builds(Pair, inner, inner),
    )


values = st.recursive(leaves, containers, max_leaves=20)


@settings(max_examples=250, deadline=None)
@given(values)
def test_both_serializers_give_back_exactly_what_they_were_given(value: Any) -> None:
    assert identical(round_trip(MsgpackSerializer(), value), value)
    assert identical(round_trip(JsonSerializer(), value), value)
