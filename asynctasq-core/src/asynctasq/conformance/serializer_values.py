"""Values of all supported types, and their exact comparison, for the checks of serializers."""

import dataclasses
import enum
import math
from collections import Counter, OrderedDict, defaultdict, deque
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from ipaddress import ip_address, ip_interface, ip_network
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, NamedTuple
from uuid import UUID

from asynctasq.serializers.custom_types import register_type


class Color(enum.Enum):
    """An enum."""

    RED = "red"


class Access(enum.Flag):
    """A flag."""

    READ = 1
    WRITE = 2


class Point(NamedTuple):
    """A named tuple."""

    x: int
    y: Any = 0


@dataclasses.dataclass
class Order:
    """A dataclass."""

    number: int
    lines: Any = ()


class Name(str):
    """A subclass of a scalar type."""

    __slots__ = ()


class Money:
    """A type that is registered with `register_type`."""

    def __init__(self, cents: int) -> None:
        self.cents = cents

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Money) and other.cents == self.cents

    def __hash__(self) -> int:
        return hash(self.cents)


register_type(Money, lambda money: {"cents": money.cents}, lambda data: Money(data["cents"]))


PLAIN: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2**63 - 1, -(2**63), 0.0, -0.0, 0.1, 1e300, 5e-324),
    *("", "a", "ß€𝄞", "\x00", "a" * 70_000),
    *([], [[]], [1, "a", None, [2.5, [True]]], {}, {"a": []}, {"": {"b": {"c": 1}}}),
    *({"$tuple": [1]}, {"$": 1}, {"$x": 1, "y": 2}, {"$model": "0"}, ["$", "$int"]),
)
"""Values that JSON has types for."""

TYPED: tuple[Any, ...] = (
    *(b"", bytes(range(256)), bytearray(b"\x00\xff"), 2**64, -(2**63) - 1, 10**100),
    *(math.inf, -math.inf, math.nan, 1.5 - 2j, Decimal("1.10"), Decimal("-0"), Fraction(1, 3)),
    *((), (1, (2, [3])), {1, 2}, frozenset({(1, 2)}), {1: "a", (2, 3): "b"}, {None: 0, 1.5: 1}),
    *(datetime(2024, 2, 29, 1, 2, 3, 4), datetime(2024, 1, 1, tzinfo=UTC)),  # noqa: DTZ001  a naive datetime is one of the values
    *(datetime(2024, 1, 1, tzinfo=timezone(timedelta(hours=5, minutes=30))), date(2024, 2, 29)),
    *(time(1, 2, 3), timedelta(days=-1, microseconds=1), UUID(int=7), Path("a/b")),
    *(PurePosixPath("/a"), PureWindowsPath("C:\\x"), ip_address("127.0.0.1"), ip_network("::/8")),
    *(ip_interface("10.1.2.3/8"), Color.RED, Access.READ | Access.WRITE, Point(1), Name("n")),
    *(Order(1, (2, {"a": {3}})), Money(5), OrderedDict([("b", 1)]), Counter("aab"), range(1, 9, 2)),
    *(deque([1, (2,)], maxlen=3), defaultdict(list, a=[1]), [{"k": (Order(1), {Color.RED: b"x"})}]),
)
"""Values of types that JSON lacks."""


def is_same(one: Any, other: Any) -> bool:
    """Return whether two values are equal and have the same types, at every level."""
    if type(one) is not type(other):
        return False
    if isinstance(one, float):
        if math.isnan(one) or math.isnan(other):
            return math.isnan(one) and math.isnan(other)
        return one == other and math.copysign(1, one) == math.copysign(1, other)
    if isinstance(one, Decimal):
        return bool(one.as_tuple() == other.as_tuple())
    if isinstance(one, datetime):
        return bool(one == other) and one.utcoffset() == other.utcoffset()
    if isinstance(one, dict):
        return len(one) == len(other) and all(
            is_same(*keys) and is_same(*values)
            for keys, values in zip(
                zip(one, other, strict=True),
                zip(one.values(), other.values(), strict=True),
                strict=True,
            )
        )
    if isinstance(one, deque):
        return one.maxlen == other.maxlen and is_same(list(one), list(other))
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(is_same, one, other))
    if isinstance(one, set | frozenset):
        return len(one) == len(other) and all(any(is_same(x, y) for y in other) for x in one)
    if dataclasses.is_dataclass(one) and not isinstance(one, type):
        return is_same(vars(one), vars(other))
    return bool(one == other)
