"""`App.tasks.export` and `import_`: tasks move between stores."""

import json
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

from asynctasq import App, State
from asynctasq.message import Message, Unique, UniqueUntil, id_from_text
from asynctasq.operations import ImportCounts
from tests.operations.staging import bury, enqueue, message
from tests.stores import Store


@pytest_asyncio.fixture
async def app(store: Store) -> AsyncIterator[App]:
    """Yield an app on each kind of store."""
    async with App({"driver": "memory" if store.url == "memory://" else store.url}) as made:
        yield made


@pytest_asyncio.fixture
async def other(tmp_path: Path) -> AsyncIterator[App]:
    """Yield an app on another store."""
    async with App({"driver": "sqlite", "sqlite": {"path": str(tmp_path / "other.db")}}) as made:
        yield made


async def messages(app: App, queue: str = "default") -> list[Message]:
    found = [each.message async for each in app.tasks.each(queue=queue)]
    return sorted([each for each in found if each is not None], key=lambda each: each.id)


async def lines_of(app: App, *, dead: bool = False) -> list[str]:
    return [line async for line in app.tasks.export("default", dead=dead)]


@pytest.mark.every_store
async def test_tasks_move_between_stores_with_all_fields(app: App, other: App) -> None:
    eta = float(round(time.time() + 5000.0))
    unique = Unique("key", UniqueUntil.SETTLED)
    plain = message(other, 1, priority=8, max_attempts=7, result_ttl=33.0)
    later = message(
        other, 2, eta=eta, headers={"trace": "\udcff é"}, unique=unique, group="g", limits=("a:b",)
    )
    await bury(other, message(other, 3))
    await enqueue(other, plain, later)
    lines = await lines_of(other, dead=True)
    assert len(lines) == 4
    for counts in (ImportCounts(3), ImportCounts(0, 3)):
        assert await app.tasks.import_(lines) == counts
    assert await messages(app) == [plain, replace(later)]
    [letter] = (await app.dead_letters.page()).items
    assert (letter.attempts, letter.error and letter.error.message) == (1, "no money")
    page = await app.tasks.page([State.SCHEDULED])
    assert page.items[0].due_at == pytest.approx(eta)
    again = await lines_of(app, dead=True)
    assert [json.loads(line)["id"] for line in again[1:]] == [
        json.loads(line)["id"] for line in lines[1:]
    ]


@pytest.mark.every_store
async def test_a_damaged_line_costs_only_itself(app: App, other: App) -> None:
    await enqueue(other, *(message(other) for _ in range(5)))
    lines = await lines_of(other)
    lines[1] = lines[1][:40]
    lines[2] = '{"id": 5}'
    lines[3] = json.dumps(json.loads(lines[3]) | {"body": "?"})
    counts = await app.tasks.import_(lines, queue="slow")
    assert [number for number, _ in counts.failed] == [2, 3, 4]
    assert counts.added == len(await messages(app, "slow")) == 2


async def test_expiry_stays_where_it_was(app: App, other: App) -> None:
    [task_id] = await enqueue(other, message(other, expires=500.0))
    lines = await lines_of(other)
    await app.tasks.import_(lines)
    [found] = await messages(app)
    assert found.id == id_from_text(task_id)
    assert found.expires is not None
    assert 0.0 < found.expires <= 500.0


@pytest.mark.parametrize(
    ("lines", "what"),
    [
        ([], "must be that of an export"),
        (["{}"], "must be that of an export"),
        (["[1]"], "must be that of an export"),
        (['{"asynctasq_export": 2}'], "reads formats up to 1"),
    ],
)
async def test_other_files_are_refused(app: App, lines: list[str], what: str) -> None:
    with pytest.raises(ValueError, match=what):
        await app.tasks.import_(lines)
