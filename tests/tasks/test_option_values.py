"""Values of options at the edge: durations, numbers that are none, texts that no store can keep."""

import random
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import msgpack
import pytest

from asynctasq import App, AsyncTask, Retry, Snooze, Unique, UniqueUntil, task
from asynctasq.errors import BodyCorrupt, ConfigurationError, DispatchError, MessageTooLarge
from asynctasq.hookspecs import DispatchContext, hookimpl
from asynctasq.retry import RetryStrategy, RunPolicy, retry_delay
from asynctasq.serializers.codec import Codec
from asynctasq.serializers.msgpack_serializer import MsgpackSerializer
from tests.tasks.store import message_of, messages, policy_of

MINUTE = timedelta(minutes=1)


@task
async def keep(value: Any = None) -> Any:
    return value


untyped: Any = task


# Durations.


async def test_options_take_timedeltas(app: App) -> None:
    call = keep().options(
        retry_delay=MINUTE, retry_cap=MINUTE, timeout=MINUTE, expires=MINUTE, result_ttl=MINUTE
    )
    message = await message_of(app, call.delay(MINUTE))
    policy = policy_of(app, message)

    assert [message.delay, message.expires, message.result_ttl] == [60.0] * 3
    assert [policy.retry_delay, policy.retry_cap, policy.timeout] == [60.0] * 3
    assert policy_of(app, await message_of(app, keep().retry_after(MINUTE))).retry_delay == 60.0


async def test_definitions_take_timedeltas(app: App) -> None:
    @task(retry_delay=MINUTE, timeout=MINUTE)
    async def function() -> None: ...

    class Class(AsyncTask[None]):
        retry_delay = MINUTE
        timeout = MINUTE

        async def execute(self) -> None: ...

    for call in (function(), Class()):
        policy = policy_of(app, await message_of(app, call))
        assert (policy.retry_delay, policy.timeout) == (60.0, 60.0)


async def test_period_of_a_unique_key_may_be_a_timedelta(app: App) -> None:
    message = await message_of(
        app, keep().options(unique=Unique("k", UniqueUntil.PERIOD, period=MINUTE))
    )
    assert message.unique is not None
    assert message.unique.period == 60.0


def test_outcomes_take_timedeltas() -> None:
    assert Snooze(MINUTE).seconds == Retry(delay=MINUTE).delay == 60.0


NO_DURATIONS: list[Any] = [float("nan"), float("inf"), -1, 1e300, 2**80, timedelta(-1), True, "5"]
DURATIONS = ["delay", "timeout", "expires", "result_ttl", "retry_delay", "retry_cap"]


@pytest.mark.parametrize("value", NO_DURATIONS, ids=repr)
@pytest.mark.parametrize("name", DURATIONS)
def test_what_is_no_duration_is_refused(name: str, value: Any) -> None:
    with pytest.raises((TypeError, ValueError), match=name):
        keep().options(**{name: value})
    if name != "delay":
        with pytest.raises((TypeError, ValueError), match=name):
            untyped(**{name: value})(keep.fn)


@pytest.mark.parametrize("value", [*NO_DURATIONS[:5], True], ids=repr)
@pytest.mark.parametrize("name", ["retry_delay", "timeout", "result_ttl", "retry_factor"])
def test_settings_that_no_store_could_take_are_refused(name: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=f"default_{name}"):
        App({"driver": "memory", f"default_{name}": value})


@pytest.mark.parametrize(
    "value",
    [
        float("nan"),
        float("inf"),
        1e300,
        True,
        datetime.max.replace(tzinfo=UTC),
        datetime.min.replace(tzinfo=timezone(timedelta(hours=14))),
        datetime(1969, 1, 1, tzinfo=UTC),
    ],
    ids=repr,
)
def test_due_times_that_no_store_could_take_are_refused(value: Any) -> None:
    with pytest.raises((TypeError, ValueError), match="eta"):
        keep().options(eta=value)


@pytest.mark.parametrize("value", [1e300, float("nan"), float("inf")])
def test_outcomes_that_no_store_could_take_are_refused(value: float) -> None:
    with pytest.raises(ValueError, match="at most 10,000,000,000"):
        Snooze(value)
    with pytest.raises(ValueError, match="at most 10,000,000,000"):
        Retry(delay=value)


# Policies in bodies that others have written.


GOOD = [5.0, 60.0, "exponential", 2.0, 3600.0, 0.1, "retry"]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1.0, 1e300, 2**62, True, None])
@pytest.mark.parametrize("place", [1, 3, 4, 5])
def test_body_whose_policy_could_upset_a_store_is_undecodable(place: int, value: Any) -> None:
    serializer = MsgpackSerializer()
    codec = Codec(serializer, find_serializer=lambda _: serializer)
    fields = msgpack.unpackb(codec.encode_call((), {}, RunPolicy(), task="t"))
    for policy in (GOOD, [*GOOD[:place], value, *GOOD[place + 1 :]]):
        body: bytes = msgpack.packb([*fields[:2], policy, *fields[3:]])
        if policy is GOOD:
            codec.open_call(body)
            continue
        with pytest.raises(BodyCorrupt, match="policy"):
            codec.open_call(body)


@pytest.mark.parametrize("attempt", [0, 1, 2**31])
@pytest.mark.parametrize("strategy", list(RetryStrategy))
@pytest.mark.parametrize("number", [float("nan"), float("inf"), 1e300, 0.0])
def test_retries_are_never_later_than_a_store_can_take(
    number: float, strategy: RetryStrategy, attempt: int
) -> None:
    policy = RunPolicy(
        retry_delay=number, retry_factor=number, retry_cap=number, retry_strategy=strategy
    )
    assert 0.0 <= retry_delay(policy, attempt, random.random) <= 1e10


# Headers and other texts.

SURROGATE = "\ud800"


@pytest.mark.parametrize(
    "headers",
    [{"a": SURROGATE}, {SURROGATE: "a"}, {"a": 1}, {1: "a"}, {"a": b"b"}, [("a", "b")], None],
    ids=ascii,
)
def test_headers_that_are_no_texts_are_refused(headers: Any) -> None:
    with pytest.raises((TypeError, ValueError), match="headers"):
        keep().options(headers=headers)


async def test_headers_count_toward_the_size_of_a_message(app: App) -> None:
    limit = app.settings.max_message_bytes
    calls = [
        keep().options(headers={"a": "x" * limit}),
        keep().options(headers={"x" * limit: ""}),
        keep(bytes(limit // 2)).options(headers={"a": "ü" * (limit // 4)}),
    ]
    for call in calls:
        for dispatch in (call.dispatch(), app.dispatch_many([call])):
            with pytest.raises(
                MessageTooLarge, match=r"arguments and headers .* max_message_bytes"
            ):
                await dispatch
    assert not await messages(app)
    await keep().options(headers={"a": "x" * (limit - 1000)}).dispatch()


class Adds:
    def __init__(self, headers: Any) -> None:
        self.headers = headers

    @hookimpl
    def before_dispatch(self, context: DispatchContext) -> None:
        context.headers.update(self.headers)


@pytest.mark.parametrize(
    ("headers", "error", "said"),
    [
        ({"a": SURROGATE}, DispatchError, "before_dispatch left headers"),
        ({"a": 1}, DispatchError, "before_dispatch left headers"),
        ({"a": "x" * 5_000_000}, MessageTooLarge, "arguments and headers must take at most"),
    ],
    ids=["surrogate", "number", "size"],
)
async def test_headers_of_plugins_are_checked_too(
    app: App, headers: Any, error: type[Exception], said: str
) -> None:
    app.plugins.register(Adds(headers), name="adds")
    for dispatch in (keep().dispatch(), app.dispatch_many([keep()])):
        with pytest.raises(error, match=said):
            await dispatch
    assert not await messages(app)


@pytest.mark.parametrize("key", [SURROGATE, "x" * 5000, "ü" * 2500], ids=ascii)
def test_unique_keys_that_no_store_can_keep_are_refused(key: str) -> None:
    with pytest.raises(ValueError, match="unique"):
        keep().options(unique=key)
    with pytest.raises(ValueError, match="unique"):
        keep().options(unique=Unique(key))


@pytest.mark.parametrize("name", [SURROGATE, "a\0b", "x" * 501], ids=ascii)
def test_task_names_that_no_store_can_keep_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="name must be Unicode text"):
        untyped(name=name)(keep.fn)
