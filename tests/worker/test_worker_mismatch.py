"""Messages that this worker cannot run: from other releases, or from nowhere."""

import asyncio
import random
import sys
from pathlib import Path

import msgpack
import pytest

from asynctasq import State, task
from asynctasq.contracts.capabilities import DeadLetter
from asynctasq.errors import ResultTimeout, TaskFailed
from asynctasq.message import Message, id_to_text, new_id
from asynctasq.tasks.registry import registry
from tests.worker.stage import PATIENCE, Stage, eventually, probe

pytestmark = pytest.mark.every_store

FUZZED = 400
MINUTES = 60.0


@task
async def here(what: int = 0) -> int:
    probe().note(what)
    return what


async def enqueue(stage: Stage, *messages: Message) -> None:
    await (await stage.driver()).enqueue(messages)


async def only_dead(stage: Stage) -> DeadLetter:
    [letter] = await stage.dead()
    return letter


async def test_an_unknown_task_waits_for_a_worker_that_knows_it(stage: Stage) -> None:
    message = stage.message("soon:task")
    await enqueue(stage, message)
    await stage.burst()
    snapshot = await stage.snapshot(id_to_text(message.id))
    assert snapshot is not None
    assert (snapshot.state, snapshot.attempt, snapshot.lost) == (State.SCHEDULED, 0, 0)

    @task(name="soon:task")
    async def soon() -> str:
        return "known by now"

    try:
        (await stage.driver()).clock_offset = 30.0
        await stage.burst()
    finally:
        registry.discard("soon:task")
    assert await stage.app.handle(id_to_text(message.id)).result(timeout=30) == "known by now"


async def test_a_task_that_was_given_back_says_why_it_does_not_fit(stage: Stage) -> None:
    message = stage.message("unknown:task")
    await enqueue(stage, message)
    await stage.burst()
    snapshot = await stage.snapshot(id_to_text(message.id))
    assert snapshot is not None
    assert snapshot.error is not None
    assert snapshot.error.type == "asynctasq.errors.UnknownTask"
    assert "unknown:task" in snapshot.error.message
    with pytest.raises(ResultTimeout, match="after a worker could not run it"):
        await stage.app.handle(id_to_text(message.id)).result(timeout=0.01)


async def bury_after_patience(stage: Stage, message: Message) -> DeadLetter:
    """Offer a message until it has been unknown for ten minutes."""
    driver = await stage.driver()
    await enqueue(stage, message)
    await stage.burst()
    for minutes in (1, 5, 9):
        driver.clock_offset = minutes * MINUTES
        await stage.burst()
        assert await stage.state(id_to_text(message.id)) is State.SCHEDULED
        assert await stage.dead() == []
    driver.clock_offset = 11 * MINUTES
    await stage.burst()
    return await only_dead(stage)


async def test_a_task_that_stays_unknown_is_buried_as_such(stage: Stage) -> None:
    message = stage.message("unknown:task")
    letter = await bury_after_patience(stage, message)
    assert (letter.reason.value, letter.attempts) == ("unknown_task", 0)
    assert letter.error is not None
    assert "unknown:task" in letter.error.message
    assert letter.message.body == message.body
    with pytest.raises(TaskFailed, match="unknown_task"):
        await stage.app.handle(id_to_text(message.id)).result(timeout=30)


async def test_arguments_that_do_not_fit_are_buried_as_such(stage: Stage) -> None:
    message = stage.message("changed:signature", 1, 2)

    @task(name="changed:signature")
    async def new(a: int) -> None: ...

    letter = await bury_after_patience(stage, message)
    registry.discard("changed:signature")
    assert (letter.reason.value, letter.attempts) == ("arguments", 0)
    assert letter.error is not None
    assert "positional argument" in letter.error.message


async def test_a_body_of_a_later_release_waits_and_is_buried(stage: Stage) -> None:
    message = stage.message(here(1))
    fields = msgpack.unpackb(message.body)
    body = msgpack.packb([fields[0] + 1, *fields[1:], "what later releases add"])
    letter = await bury_after_patience(stage, stage.message(here(1), body=body))
    assert (letter.reason.value, letter.attempts) == ("undecodable", 0)
    assert letter.error is not None
    assert "later release" in letter.error.message


async def test_a_body_of_an_unknown_serializer_waits(stage: Stage) -> None:
    fields = msgpack.unpackb(stage.message(here(1)).body)
    message = stage.message(here(1), body=msgpack.packb([fields[0], "toml", *fields[2:]]))
    await enqueue(stage, message)
    await stage.burst()
    assert await stage.state(id_to_text(message.id)) is State.SCHEDULED


async def test_models_of_an_unknown_resolver_wait(stage: Stage) -> None:
    fields = msgpack.unpackb(stage.message(here(1)).body)
    fields[3] = msgpack.packb([["peewee", "shop:Order", 7]])
    message = stage.message(here(1), body=msgpack.packb(fields))
    letter = await bury_after_patience(stage, message)
    assert (letter.reason.value, letter.attempts) == ("undecodable", 0)
    assert letter.error is not None
    assert "peewee" in letter.error.message


async def test_a_module_that_cannot_be_imported_is_reported_and_waits(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    broken = tmp_path / "tasks_that_break.py"
    broken.write_text("import a_package_that_is_not_installed\n")
    message = stage.message("tasks_that_break:run")
    await enqueue(stage, message, stage.message("tasks_that_break:another"))
    await stage.burst()
    assert await stage.state(id_to_text(message.id)) is State.SCHEDULED
    tracebacks = [record.exc_text for record in caplog.records if record.exc_info]
    assert len(tracebacks) == 1  # one for all its messages
    assert "a_package_that_is_not_installed" in str(tracebacks[0])
    told = [line for line in caplog.messages if "does not fit this worker" in line]
    assert len(told) == 2
    assert all("a_package_that_is_not_installed" in line for line in told)

    registry.discard("tasks_that_break:run")  # as if a second had passed
    broken.write_text(
        "from asynctasq import task\n@task\nasync def run() -> str:\n    return 'mended'\n"
    )
    (await stage.driver()).clock_offset = 30.0
    try:
        await stage.burst()
        assert await stage.app.handle(id_to_text(message.id)).result(timeout=30) == "mended"
    finally:
        sys.modules.pop("tasks_that_break", None)
        registry.discard("tasks_that_break:run")


@pytest.mark.parametrize(
    "body", [b"", b"\x00", b"\xc1", b"\x95\x01", b"{}", bytes(range(256)), b"\x95" + b"\xff" * 40]
)
async def test_a_corrupt_body_is_buried_at_once(stage: Stage, body: bytes) -> None:
    good = await here(1).dispatch()
    await enqueue(stage, stage.message(here(1), body=body))
    after = await here(2).dispatch()
    await stage.burst()
    letter = await only_dead(stage)
    assert (letter.reason.value, letter.attempts, letter.message.body) == ("undecodable", 0, body)
    assert [await good.result(timeout=30), await after.result(timeout=1)] == [1, 2]


async def test_a_truncated_body_is_buried_at_once(stage: Stage) -> None:
    whole = stage.message(here(123456)).body
    messages = [stage.message(here(1), body=whole[:size]) for size in range(len(whole))]
    await enqueue(stage, *messages)
    await stage.burst()
    letters = await stage.dead()
    assert len(letters) == len(whole)
    assert {letter.reason.value for letter in letters} == {"undecodable"}
    assert stage.log == []


def mutated(random_: random.Random, whole: bytes) -> bytes:
    body = bytearray(whole)
    for _ in range(random_.randint(1, 4)):
        match random_.randrange(4):
            case 0:
                body[random_.randrange(len(body))] = random_.randrange(256)
            case 1:
                del body[random_.randrange(len(body)) :]
            case 2:
                place = random_.randrange(len(body) + 1)
                body[place:place] = random_.randbytes(random_.randint(1, 9))
            case _:
                body = bytearray(random_.randbytes(random_.randint(1, 60)))
        if not body:
            break
    return bytes(body)


def forged_name(random_: random.Random) -> str:
    return random_.choice(
        [
            here.name,
            "",
            ":",
            "os:system",
            "subprocess:Popen",
            "builtins:eval",
            "../../etc/passwd:x",
            "tests.worker.stage:Stage",
            "asynctasq:App",
            "a" * 2000,
            "nül\x00:x",
            "".join(chr(random_.randrange(32, 0x2FF)) for _ in range(random_.randint(1, 30))),
        ]
    )


@pytest.mark.parametrize("seed", [1, 2])
async def test_whatever_is_in_the_store_the_worker_lives(stage: Stage, seed: int) -> None:
    """Random and mutated bodies and names, among good messages, through a running worker."""
    random_ = random.Random(seed)
    whole = stage.message(here(7)).body
    forged = [
        Message(
            new_id(),
            "default",
            forged_name(random_),
            mutated(random_, whole) if random_.random() < 0.8 else whole,
            priority=random_.randrange(10),
            headers={"x": "\ud7ff"} if random_.random() < 0.1 else {},
        )
        for _ in range(FUZZED)
    ]
    async with stage.worker(concurrency=10) as worker:
        good = [await here(1000).dispatch()]
        for start in range(0, FUZZED, 50):
            await enqueue(stage, *forged[start : start + 50])
            good.append(await here(1000 + start).dispatch())
        for handle in good:
            await handle.result(timeout=PATIENCE)

        async def all_judged() -> bool:
            counts = await (await stage.driver()).count("default")
            return bool(counts.ready == counts.leased == 0)

        await eventually(all_judged)
        assert not worker.stuck
    driver = await stage.driver()
    counts = await driver.count("default")
    # Nothing is lost: each is dead, waits for another release, or was a good message after all.
    ended = [await _outcome(stage, message) for message in forged]
    assert counts.dead + counts.scheduled == sum(state is not State.COMPLETED for state in ended)
    reasons = {letter.reason.value for letter in (await driver.dead_letters(limit=1000)).items}
    assert reasons <= {"undecodable", "failed"}
    assert "undecodable" in reasons


async def _outcome(stage: Stage, message: Message) -> State:
    return await stage.state(id_to_text(message.id))


async def test_many_mismatches_at_once_make_no_hot_loop(stage: Stage) -> None:
    await enqueue(stage, *(stage.message("unknown:task") for _ in range(200)))
    async with stage.worker(concurrency=10):
        driver = await stage.driver()

        async def all_given_back() -> bool:
            return bool((await driver.count("default")).scheduled == 200)

        await eventually(all_given_back)
        handle = await here(1).dispatch()
        assert await handle.result(timeout=PATIENCE) == 1
        await asyncio.sleep(0)
        assert (await driver.count("default")).scheduled == 200
