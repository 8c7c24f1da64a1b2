"""The rules of the serializer contract, as checks."""

import asyncio
import copy
import pickle
import re
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any, ClassVar

from asynctasq.conformance.plugin_checks import Checks, PluginConformance
from asynctasq.conformance.serializer_values import PLAIN, TYPED, Order, is_same
from asynctasq.contracts.serializer import Refer, Serializer
from asynctasq.errors import ArgumentsMismatch, BodyError, NotSerializable

checks = Checks()
_THREADS = 4
_ROUNDS = 200
_DEEP = 100_000
_SHOWN = 200
_CONTENT_TYPE = re.compile(r"[A-Za-z0-9_.-]{1,80}")


class SerializerConformance(PluginConformance):
    """Subclass this in a test module, and each rule becomes a test of your serializer.

    class TestMySerializer(SerializerConformance):
        name = "mine"

        def make_serializer(self) -> Serializer:
            return MySerializer()
    """

    checks = checks
    name: ClassVar[str] = ""
    """Name of the entry point, if the serializer has one."""
    all_types: ClassVar[bool] = True
    """False for a serializer that supports only the types of JSON and models."""

    def make_serializer(self) -> Serializer:
        """Create a serializer; called several times in a check."""
        raise NotImplementedError(f"{type(self).__qualname__} must define make_serializer")

    def harness(self) -> AbstractAsyncContextManager["SerializerHarness"]:
        """Return the object with which a check works."""
        return _harness(self)


@asynccontextmanager
async def _harness(suite: SerializerConformance) -> AsyncIterator["SerializerHarness"]:
    yield SerializerHarness(suite)


class SerializerHarness:
    """A serializer, and the resolver functions that checks need."""

    def __init__(self, suite: SerializerConformance) -> None:
        self.suite = suite
        self.serializer = suite.make_serializer()
        self.other = suite.make_serializer()
        """Another instance, such as a worker would have."""

    def dumps(self, value: object) -> bytes:
        """Encode a value without models."""
        return self.serializer.dumps(value, refer=_no_model)

    def expect_unchanged(self, value: object) -> None:
        """Check that a value survives encoding and decoding."""
        back = self.other.loads(self.dumps(value))
        assert is_same(back, value), f"{_short(value)} came back as {_short(back)}"

    def expect_refused(self, value: object, refer: Refer | None = None) -> NotSerializable:
        """Check that a value raises NotSerializable, and return the error."""
        try:
            self.serializer.dumps(value, refer=refer or _no_model)
        except NotSerializable as error:
            return error
        except Exception as error:
            raise AssertionError(f"dumps raised {error!r} instead of NotSerializable") from error
        raise AssertionError("dumps raised no error")


@dataclass
class Row:
    """A model of an ORM, which is also a dataclass."""

    key: int


class _Opaque:
    """A type that no serializer knows."""


def _no_model(_: object) -> None:
    return


class _Refer:
    """Refers to `Row` instances, in the order in which they occur."""

    def __init__(self) -> None:
        self.rows: list[object] = []

    def __call__(self, value: object) -> int | None:
        if not isinstance(value, Row):
            return None
        if not any(value is row for row in self.rows):
            self.rows.append(value)
        return next(place for place, row in enumerate(self.rows) if row is value)


def _short(value: object) -> str:
    text = f"{value!r} ({type(value).__qualname__})"
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


@checks.rule(
    "`content_type` is the name of the entry point: letters, digits, `_`, `.` and `-`.",
    "Workers cannot find the serializer of a message and release the message again and again.",
)
async def content_type_names_the_plugin(harness: SerializerHarness) -> None:
    content_type = harness.serializer.content_type
    assert _CONTENT_TYPE.fullmatch(content_type), f"content_type is {content_type!r}"
    name = harness.suite.name or content_type
    assert content_type == name, f"content_type is {content_type!r}, the name is {name!r}"


@checks.rule(
    "`dumps` returns `bytes`, not a `bytearray`, `memoryview` or `str`.",
    "Dispatching a task fails, or a store refuses the message.",
)
async def dumps_returns_bytes(harness: SerializerHarness) -> None:
    data = harness.dumps([[1], {"a": 2}])
    assert type(data) is bytes, f"dumps returned {type(data).__qualname__}"


@checks.rule(
    "None, booleans, numbers, text, lists and dicts come back equal, with the same types.",
    "Tasks receive other arguments than were dispatched.",
)
async def plain_values_return_unchanged(harness: SerializerHarness) -> None:
    for value in PLAIN:
        harness.expect_unchanged(value)
        harness.expect_unchanged([[value, {"k": [value]}], {"named": value}])


@checks.rule(
    'Values of every type of the page "Argument types" come back equal, with the same types.',
    "Tasks receive other arguments than were dispatched.",
    needs="all_types",
)
async def typed_values_return_unchanged(harness: SerializerHarness) -> None:
    for value in TYPED:
        harness.expect_unchanged(value)
        harness.expect_unchanged([[value, {"k": [value]}], {"named": value}])


@checks.rule(
    "`dumps` leaves the value and the parts of it unchanged.",
    "Arguments change in the caller while a task is dispatched.",
)
async def dumps_does_not_change_the_value(harness: SerializerHarness) -> None:
    for value in PLAIN:
        nested = [[value], {"named": value}]
        before = copy.deepcopy(nested)
        harness.dumps(nested)
        assert is_same(nested, before), f"dumps changed {_short(before)} to {_short(nested)}"


@checks.rule(
    "`dumps` calls `refer` for objects it does not know, and `loads` puts `models[i]` at reference `i`.",
    "Tasks receive no models, or the wrong ones.",
)
async def models_return_in_their_places(harness: SerializerHarness) -> None:
    rows = [Row(1), Row(2)]
    value = [[rows[0], {"a": rows[1]}, [rows[0], 7]], {"named": rows[1]}]
    refer = _Refer()
    data = harness.serializer.dumps(value, refer=refer)
    assert refer.rows, "dumps did not call refer for any of the models"
    loaded = [f"model {place}" for place, _ in enumerate(refer.rows)]
    one, two = (loaded[refer(row) or 0] for row in rows)
    back = harness.other.loads(data, models=loaded)
    assert back == [[one, {"a": two}, [one, 7]], {"named": two}], f"models came back as {back!r}"


@checks.rule(
    "A model that is also a dataclass is encoded as a reference, not by its fields.",
    "A worker uses stale copies of models instead of loading them.",
    needs="all_types",
)
async def models_come_before_dataclasses(harness: SerializerHarness) -> None:
    data = harness.serializer.dumps([Order(1, [Row(1)]), Row(2)], refer=_Refer())
    back = harness.other.loads(data, models=["one", "two"])
    assert back == [Order(1, ["one"]), "two"], f"models came back as {back!r}"


@checks.rule(
    "A `NotSerializable` that `refer` raises reaches the caller of `dumps`, with its text.",
    "An unsaved model reaches a worker, or the error does not say what is wrong with it.",
)
async def errors_of_refer_are_raised(harness: SerializerHarness) -> None:

    def refer(_: object) -> int | None:
        raise NotSerializable("a Row without a key: save it first")

    text = str(harness.expect_refused([[Row(0)], {}], refer))
    assert "save it first" in text, f"the error is {text}"


@checks.rule(
    "`loads` raises `BodyError` if the value refers to a model that `models` lacks.",
    "A result that refers to a missing model stops the code that reads it.",
)
async def reference_without_a_model_is_corrupt(harness: SerializerHarness) -> None:
    data = harness.serializer.dumps([Row(1)], refer=_Refer())
    _expect_body_error(harness, data, "a reference without a model")


@checks.rule(
    "An unsupported value raises `NotSerializable` with its type and its path.",
    "The error of a dispatch does not tell you which argument to change.",
)
async def unsupported_values_are_named(harness: SerializerHarness) -> None:
    text = str(harness.expect_refused([[{"items": [1, _Opaque()]}], {}]))
    assert "_Opaque" in text, f"the error does not name the type: {text}"
    assert "['items'][1]" in text, f"the error does not name the path: {text}"


@checks.rule(
    "A list or dict that contains itself raises `NotSerializable`.",
    "A dispatch fails with RecursionError, or ends the process.",
)
async def cycles_are_refused(harness: SerializerHarness) -> None:
    cycle: list[object] = [1]
    cycle.append({"again": cycle})
    harness.expect_refused([[cycle], {}])


@checks.rule(
    "A deeply nested value either comes back or raises `NotSerializable`.",
    "A dispatch fails with RecursionError, or ends the process.",
)
async def deep_values_are_refused_or_work(harness: SerializerHarness) -> None:
    deep: list[object] = []
    for _ in range(_DEEP):
        deep = [deep]
    try:
        data = harness.dumps(deep)
    except NotSerializable:
        return
    finally:
        _take_apart(deep)
    back = harness.other.loads(data)
    depth = 0
    while back:
        (back,) = back
        depth += 1
    assert depth == _DEEP, f"a list nested {_DEEP} times came back nested {depth} times"


@checks.rule(
    "`loads` raises `BodyError`, and no other exception, for bytes that `dumps` did not write.",
    "One damaged message stops a worker or a listing.",
)
async def damaged_bytes_are_corrupt(harness: SerializerHarness) -> None:
    data = harness.dumps([[1, "text", {"a": [None, 2.5]}], {"named": "value"}])
    for damaged in (b"", b"\x00", b"\xff" * 9, b"{", b"]]", b"\xc1", data[1:]):
        _expect_body_error(harness, damaged, f"damaged bytes {damaged[:20]!r}", may_work=True)
    refused = sum(
        _expect_body_error(harness, data[:end], f"the first {end} bytes", may_work=True)
        for end in range(len(data))
    )
    assert refused, "loads accepted every part of the bytes as a value"


@checks.rule(
    "A class that cannot be found here raises `ArgumentsMismatch`, so that another worker can try.",
    "A worker that lacks a class of a newer release moves the task to the dead letters.",
    needs="all_types",
)
async def missing_classes_are_a_mismatch(harness: SerializerHarness) -> None:
    module = ModuleType("asynctasq_conformance_release")
    sys.modules[module.__name__] = module
    try:
        exec("import enum\nclass New(enum.Enum):\n    ONE = 1", vars(module))
        data = harness.dumps([module.New.ONE])
    finally:
        del sys.modules[module.__name__]
    try:
        back = harness.other.loads(data)
    except ArgumentsMismatch:
        return
    raise AssertionError(f"loads returned {back!r}")


@checks.rule(
    "`loads` never runs code that the bytes name; for example, it does not unpickle them.",
    "Anyone who can write to the store can run code in your workers.",
)
async def loads_runs_no_code(harness: SerializerHarness) -> None:
    _Exploit.ran = False
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        _expect_body_error(harness, pickle.dumps(_Exploit(), protocol), "a pickle", may_work=True)
    assert not _Exploit.ran, "loads ran a function that the bytes named"


@checks.rule(
    "Several threads can use one serializer at the same time.",
    "Under load, tasks receive the arguments of other tasks.",
)
async def threads_can_share_it(harness: SerializerHarness) -> None:

    def work(number: int) -> None:
        for turn in range(_ROUNDS):
            value = [[number, turn, Row(number)], {"named": [str(number)] * 20}]
            data = harness.serializer.dumps(value, refer=_Refer())
            back = harness.serializer.loads(data, models=[number])
            expected = [[number, turn, number], {"named": [str(number)] * 20}]
            assert back == expected, f"a thread decoded {back!r} instead of {expected!r}"

    former = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        await asyncio.gather(*(asyncio.to_thread(work, each) for each in range(_THREADS)))
    finally:
        sys.setswitchinterval(former)


@checks.rule(
    "`refer` may call `dumps` and `loads` of the same serializer.",
    "Dispatching a model fails, or mixes up its message with another one.",
)
async def refer_can_use_the_serializer(harness: SerializerHarness) -> None:
    inner: list[Any] = []

    def refer(value: object) -> int | None:
        inner.append(harness.serializer.loads(harness.dumps([1, {"k": "inner"}])))
        return 0 if isinstance(value, Row) else None

    data = harness.serializer.dumps([["before", Row(1), "after"], {}], refer=refer)
    back = harness.other.loads(data, models=["model"])
    assert back == [["before", "model", "after"], {}], f"the value came back as {back!r}"
    assert inner, "dumps did not call refer"
    assert inner[0] == [1, {"k": "inner"}], f"the inner value came back as {inner[0]!r}"


class _Exploit:
    ran = False

    def __reduce__(self) -> tuple[Any, ...]:
        return _run, ()


def _run() -> None:
    _Exploit.ran = True


def _expect_body_error(
    harness: SerializerHarness, data: bytes, what: str, *, may_work: bool = False
) -> bool:
    """Check that `loads` raises BodyError; returns True if it did."""
    models: Sequence[object] = ()
    try:
        back = harness.other.loads(data, models=models)
    except BodyError:
        return True
    except Exception as error:
        raise AssertionError(f"loads raised {error!r} for {what}, instead of BodyError") from error
    assert may_work, f"loads returned {_short(back)} for {what}"
    return False


def _take_apart(deep: list[Any]) -> None:
    """Free a deep list step by step: freeing it at once may recurse too deeply."""
    while deep:
        deep = deep.pop()
