"""Stores that accept part of a chunk: each dispatch has its own outcome, and nothing is sent twice."""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Self

import pytest

from asynctasq import App
from asynctasq.contracts import (
    Capability,
    DriverError,
    DriverUnavailable,
    Enqueued,
    EnqueuedPartly,
    Message,
)
from asynctasq.dispatch.enqueue_batcher import EnqueueBatcher
from asynctasq.drivers.memory import MemoryDriver
from asynctasq.message import id_to_text, new_id
from asynctasq.tasks import task
from tests.tasks.store import messages, opened

Answer = Callable[[Message, int], DriverError | None]


class Broker(MemoryDriver):
    """Takes each message of a chunk by itself; `refuse` says which not, by message and number of tries."""

    capabilities = MemoryDriver.capabilities & ~(Capability.ATOMIC | Capability.IDEMPOTENT)
    refuse: Answer

    async def enqueue(self, messages: Sequence[Message]) -> list[Enqueued]:
        answers: list[Enqueued | DriverError] = []
        for message in messages:
            self.tries[message.task] += 1
            error = self.refuse(message, self.tries[message.task])
            answers.append(error or (await super().enqueue([message]))[0])
        if any(isinstance(answer, DriverError) for answer in answers):
            raise EnqueuedPartly("some were refused", answers=answers)
        return [answer for answer in answers if isinstance(answer, Enqueued)]

    def clone(self) -> Self:
        clone = super().clone()
        clone.tries, clone.refuse = self.tries, self.refuse
        return clone

    def __init__(self, refuse: Answer) -> None:
        super().__init__()
        self.tries: Counter[str] = Counter()
        self.refuse = refuse


@task
async def note(number: int) -> int:
    return number


async def dispatched(driver: Broker, *tasks: str) -> list[Enqueued | BaseException]:
    await driver.open()
    batcher = EnqueueBatcher(driver)
    futures = [batcher.send(Message(new_id(), "q", task, b"")) for task in tasks]
    return await asyncio.gather(*futures, return_exceptions=True)


async def test_each_dispatch_of_a_chunk_has_its_own_outcome() -> None:
    refused = DriverError("too large")
    driver = Broker(lambda message, _: refused if message.task == "large" else None)
    first, large, last = await dispatched(driver, "a", "large", "b")
    assert isinstance(first, Enqueued)
    assert isinstance(last, Enqueued)
    assert large is refused
    assert driver.tries == {"a": 1, "large": 1, "b": 1}


async def test_only_what_had_no_answer_is_repeated() -> None:
    driver = Broker(
        lambda message, tries: (
            DriverUnavailable("throttled") if message.task == "slow" and tries == 1 else None
        )
    )
    answers = await dispatched(driver, "a", "slow", "b")
    assert all(isinstance(answer, Enqueued) and answer.created for answer in answers)
    assert driver.tries == {"a": 1, "slow": 2, "b": 1}
    assert (await driver.count("q")).ready == 3


async def test_an_enqueue_that_is_not_idempotent_is_repeated_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Away(Broker):
        async def enqueue(self, messages: Sequence[Message]) -> list[Enqueued]:
            self.tries["all"] += 1
            raise DriverUnavailable("no answer")

    driver = Away(lambda *_: None)
    [answer] = await dispatched(driver, "a")
    assert isinstance(answer, DriverUnavailable)
    assert driver.tries["all"] == 2
    assert "may add a task twice" in caplog.text


async def test_a_partial_answer_to_a_repeated_call_is_not_repeated_again() -> None:
    class Failing(Broker):
        async def enqueue(self, messages: Sequence[Message]) -> list[Enqueued]:
            self.tries["all"] += 1
            if self.tries["all"] == 1:
                raise DriverUnavailable("no answer")
            return await super().enqueue(messages)

    unanswered = DriverUnavailable("no answer")
    driver = Failing(lambda message, _: unanswered if message.task == "b" else None)
    first, second = await dispatched(driver, "a", "b")
    assert isinstance(first, Enqueued)
    assert second is unanswered
    assert driver.tries == {"all": 2, "a": 1, "b": 1}


async def test_many_are_confirmed_but_for_those_that_were_refused() -> None:
    """Dispatching all of them again sends only what the store has not accepted."""
    full = {"now": True}
    driver = Broker(
        lambda message, _: DriverError("full") if full["now"] and message.queue == "large" else None
    )
    app = App({"driver": driver})
    calls = [note(n).on_queue("large" if n == 2 else "small") for n in range(4)]
    async with opened(app):
        with pytest.raises(DriverError) as raised:
            await app.dispatch_many(calls)
        assert len(raised.value.task_ids) == 1
        store: MemoryDriver = await app.driver()  # type: ignore[assignment]  # that of the app
        assert [(await store.count(name)).ready for name in ("small", "large")] == [3, 0]


async def test_an_id_that_the_user_chose_is_marked() -> None:
    app = App({"driver": "memory"})
    async with opened(app):
        await app.dispatch(note(1).options(id=id_to_text(new_id())))
        await app.dispatch(note(2))
        assert [each.given_id for each in await messages(app)] == [True, False]


@pytest.mark.parametrize("how", ["alone", "many"])
@pytest.mark.parametrize("is_idempotent", [True, False])
async def test_advice_about_an_unknown_outcome_depends_on_the_driver(
    how: str, is_idempotent: bool
) -> None:
    class Unanswering(Broker):
        capabilities = Broker.capabilities | (
            Capability.IDEMPOTENT if is_idempotent else Capability.NONE
        )

        async def enqueue(self, messages: Sequence[Message]) -> list[Enqueued]:
            raise DriverUnavailable("The store gave no answer.")

    driver = Unanswering(lambda _message, _tries: None)
    async with App({"driver": driver}) as app:
        dispatch = note(1).dispatch() if how == "alone" else app.dispatch_many([note(1)])
        advice = "nothing is added twice" if is_idempotent else "it may run twice"
        with pytest.raises(DriverUnavailable, match=advice) as raised:
            await dispatch
    assert raised.value.is_idempotent is is_idempotent
