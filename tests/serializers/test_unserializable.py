"""Errors for unsupported values name the value, its place and a remedy."""

import asyncio
import collections
import enum
import socket
import sys
import threading
import time as time_of_day
import types
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import time
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from asynctasq.contracts.serializer import Serializer
from asynctasq.errors import NotSerializable
from asynctasq.serializers.unserializable import Unserializable, no_reference
from tests.serializers.sample_types import (
    Box,
    Colour,
    Count,
    FieldsAndItems,
    Opaque,
    Pair,
    Plain,
    double,
)


def refusal(serializer: Serializer, value: object) -> Unserializable:
    with pytest.raises(Unserializable) as caught:
        serializer.dumps(value, refer=no_reference)
    return caught.value


def generator() -> Iterator[int]:
    yield 1


async def async_generator() -> AsyncIterator[int]:
    yield 1


def make_local() -> object:
    @dataclass
    class Inside:
        x: int = 0

    return Inside()


UNSENDABLE: list[tuple[object, str, str]] = [
    (lambda: 0, "function", "look the function up in the task"),
    (double, "function", "look the function up in the task"),
    (len, "builtin_function_or_method", "look the function up in the task"),
    ([].append, "builtin_function_or_method", "look the function up in the task"),
    (generator(), "generator", "list(...)"),
    (async_generator(), "async_generator", "Await it"),
    (iter([1]), "list_iterator", "list(...)"),
    ({}.values(), "dict_values", "Pass"),
    (sys, "module", "Pass"),
    (Colour, "EnumType", "Pass its name"),
    (int, "type", "Pass its name"),
    (threading.Lock(), "lock", "Pass"),
    (memoryview(b"x"), "memoryview", "bytes(...)"),
    (collections.defaultdict(lambda: 0), "collections.defaultdict", "dict(...)"),
    (types.MappingProxyType({}), "mappingproxy", "dict(...)"),
    (time_of_day.gmtime(), "time.struct_time", "Pass"),
    (ValueError("x"), "ValueError", "register_type"),
    (object(), "object", "register_type"),
    (Opaque(), "Opaque", "register_type"),
    (FieldsAndItems(1), "FieldsAndItems", "register_type"),
    (make_local(), "make_local.<locals>.Inside", "top level"),
    (time(12, tzinfo=ZoneInfo("Europe/Berlin")), "time", "without a zone"),
    ("\ud800", "str", "os.fsencode"),
    (Path("\udcff"), "Path", "os.fsencode"),
    (..., "ellipsis", "Pass"),
    (NotImplemented, "NotImplementedType", "Pass"),
]


@pytest.mark.parametrize(
    ("value", "label", "remedy"), UNSENDABLE, ids=[row[1] for row in UNSENDABLE]
)
def test_refusal_names_the_type_and_the_remedy(
    serializer: Serializer, value: object, label: str, remedy: str
) -> None:
    error = refusal(serializer, {"x": [value]})

    assert error.path == "['x'][0]"
    assert label in error.why
    assert remedy in error.why


def test_open_file_and_socket_are_refused(serializer: Serializer, tmp_path: Path) -> None:
    with (tmp_path / "f").open("w") as file, socket.socket() as connection:
        assert "Pass its path" in refusal(serializer, [file]).why
        assert "socket" in refusal(serializer, [connection]).why


async def test_coroutine_and_future_are_refused(serializer: Serializer) -> None:
    future = asyncio.get_running_loop().create_future()
    coroutine = asyncio.sleep(0)
    assert "Await it" in refusal(serializer, future).why
    assert "Await it" in refusal(serializer, coroutine).why
    await coroutine


BAD: Any = object()
NESTED: list[tuple[object, str]] = [
    (BAD, ""),
    ([1, BAD], "[1]"),
    ((1, (2, BAD)), "[1][1]"),
    ({"a": {"b": BAD}}, "['a']['b']"),
    ({1: BAD}, "[1]"),
    ({None: {(1, 2): BAD}}, "[None][<tuple>]"),
    ({(1, BAD): 0}, ".keys()[0][1]"),
    ({BAD}, "{…}"),
    (Plain("p", {"k": [BAD]}), ".items['k'][0]"),
    (Box(Box(BAD)), ".content.content"),
    (Pair(1, BAD), "[1]"),
    (collections.OrderedDict(a=BAD), "['a']"),
    (collections.deque([1, BAD]), "[1]"),
    ([bytearray(b"x"), {"k": BAD}], "[1]['k']"),
    ([b"x", {"k": memoryview(b"y")}], "[1]['k']"),
    ({"a": ["fine", "\udc80"]}, "['a'][1]"),
    ({"a\ud800": 1}, ".keys()[0]"),
]


@pytest.mark.parametrize(("value", "path"), NESTED, ids=[path or "root" for _, path in NESTED])
def test_refusal_names_the_path(serializer: Serializer, value: object, path: str) -> None:
    assert refusal(serializer, value).path == path


def test_cycles_are_refused_where_they_close(serializer: Serializer) -> None:
    items: list[Any] = [1]
    items.append({"again": (items,)})
    assert refusal(serializer, {"x": items}).path == "['x'][1]['again'][0]"
    assert "contains itself" in refusal(serializer, items).why

    mapping: dict[str, Any] = {}
    mapping["self"] = mapping
    assert "contains itself" in refusal(serializer, mapping).why

    box: Box[Any] = Box(None)
    box.content = [box]
    assert "contains itself" in refusal(serializer, box).why


@pytest.mark.parametrize("kind", [list, tuple], ids=["lists", "tuples"])
def test_bottomless_nesting_is_refused(serializer: Serializer, kind: type) -> None:
    value: Any = 0
    for _ in range(100_000):
        value = kind([value])

    assert "nested too deeply" in refusal(serializer, value).why


def test_nesting_that_is_accepted_can_be_read_again(serializer: Serializer) -> None:
    for depth in range(50, 1100, 25):
        value: Any = bytearray(b"x")
        for _ in range(depth):
            value = [(value,)]
        try:
            data = serializer.dumps(value, refer=no_reference)
        except NotSerializable:
            assert depth > 50
            break
        # Compared as bytes: Python's own comparison would go too deep.
        assert serializer.dumps(serializer.loads(data), refer=no_reference) == data
    else:
        pytest.fail("there should be a limit")


def test_scalar_with_attributes_is_refused(serializer: Serializer) -> None:
    count = Count(1)
    count.extra = 2  # type: ignore[attr-defined]  # what a user's code may do

    assert "attributes" in refusal(serializer, [count]).why


def test_class_that_is_not_where_its_name_says_is_refused(serializer: Serializer) -> None:
    renamed = enum.Enum("renamed", "A")
    renamed.__qualname__ = "Elsewhere"

    assert "Elsewhere" in refusal(serializer, renamed["A"]).why


def test_failing_resolver_is_named_with_the_place(serializer: Serializer) -> None:
    def refer(value: object) -> int | None:
        raise NotSerializable(f"the {type(value).__name__} is not saved yet")

    with pytest.raises(Unserializable, match=r"\['user'\].*is not saved yet"):
        serializer.dumps({"user": Opaque()}, refer=refer)


def test_serializer_works_on_after_a_refusal(serializer: Serializer) -> None:
    refusal(serializer, [bytearray(b"x"), object()])

    assert serializer.loads(serializer.dumps([1, (2,)], refer=no_reference)) == [1, (2,)]
