"""Models among arguments and results, of any framework, in workers."""

import sys
from types import ModuleType
from typing import Any

import pytest

from asynctasq import AsyncTask, State, task
from asynctasq.contracts.resolver import Resolver
from asynctasq.errors import ModelNotFound, TaskFailed
from asynctasq.hookspecs import hookimpl
from tests.serializers.toy_orm import ROWS, Row, ToyResolver
from tests.worker.stage import Stage, probe


class Plugin:
    def __init__(self) -> None:
        self.resolver = ToyResolver()

    @hookimpl
    def create_resolver(self, name: str, settings: Any) -> Resolver:
        return self.resolver


@pytest.fixture
def toy(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> ToyResolver:
    """Register a resolver with the stage's app. Rows 1 and 2 exist; tests delete row 2."""
    monkeypatch.setitem(sys.modules, "toy_orm", ModuleType("toy_orm"))
    for key in (1, 2):
        monkeypatch.setitem(ROWS, key, Row(key, f"row {key}"))
    plugin = Plugin()
    stage.app.plugins.register(plugin, kind="resolver", name="toy_orm")
    return plugin.resolver


def ask(error: Exception) -> bool:
    probe().note("asked", type(error).__name__)
    return True


def tell(error: Exception) -> None:
    probe().note("failed", type(error).__name__)


@task(retry_on=ask, on_failure=tell, max_attempts=2, retry_delay=0)
async def names(rows: list[Row | None]) -> list[str | None]:
    return [None if row is None else row.name for row in rows]


@task(retry_on=ask, on_failure=tell, max_attempts=2, retry_delay=0)
def names_in_thread(rows: list[Row | None]) -> list[str | None]:
    return [None if row is None else row.name for row in rows]


both = pytest.mark.parametrize("kind", [names, names_in_thread], ids=["loop", "thread"])


async def run(stage: Stage, kind: Any, **options: Any) -> Any:
    """Run a task one of whose rows was deleted after its dispatch, and return its handle."""
    handle = await stage.app.dispatch(kind([ROWS[1], ROWS[2]]).options(result_ttl=60, **options))
    del ROWS[2]
    await stage.burst()
    return handle


@both
async def test_by_default_it_is_retried_and_dies(stage: Stage, toy: ToyResolver, kind: Any) -> None:
    handle = await run(stage, kind)
    with pytest.raises(TaskFailed, match="Row has no row with the key 2: deleted"):
        await handle.result(timeout=30)
    assert stage.log == [("asked", "ModelNotFound")] * 2 + [("failed", "ModelNotFound")]
    assert toy.calls == [2, 2, 2]  # also before the hook


@both
async def test_it_may_fail_at_once(stage: Stage, toy: ToyResolver, kind: Any) -> None:
    handle = await run(stage, kind, on_missing="fail")
    with pytest.raises(TaskFailed) as raised:
        await handle.result(timeout=30)
    assert raised.value.error_type == "asynctasq.errors.ModelNotFound"
    assert raised.value.reason == "failed"
    assert stage.log == [("failed", "ModelNotFound")]


@both
async def test_it_may_be_skipped(stage: Stage, toy: ToyResolver, kind: Any) -> None:
    handle = await run(stage, kind, on_missing="skip")
    assert await handle.result(timeout=30) is None
    assert await handle.status() is State.COMPLETED
    assert stage.log == []


@both
async def test_it_may_run_with_none_in_its_place(stage: Stage, toy: ToyResolver, kind: Any) -> None:
    handle = await run(stage, kind, on_missing="none")
    assert await handle.result(timeout=30) == ["row 1", None]


class Named(AsyncTask[str]):
    on_missing = "skip"
    relations = ["owner"]  # noqa: RUF012  as users write it

    def __init__(self, row: Row) -> None:
        self.row = row

    async def execute(self) -> str:
        if self.row.key == 1:
            raise ModelNotFound("another's")
        return self.row.name


async def test_class_task_says_it_too_and_only_of_its_own_models(
    stage: Stage, toy: ToyResolver
) -> None:
    first, second = [await stage.app.dispatch(Named(ROWS[key])) for key in (1, 2)]
    del ROWS[2]
    await stage.burst()
    assert await second.result(timeout=30) is None
    assert await stage.state(first) is State.SCHEDULED  # to be retried
    assert toy.relations == [("owner",), ("owner",)]


@task(relations={"row": ["owner", "owner.address"], "others": ["owner"]})
async def with_relations(row: Row, others: list[Row]) -> None:
    pass


async def test_relations_are_loaded_in_the_same_step(stage: Stage, toy: ToyResolver) -> None:
    await stage.app.dispatch(with_relations(ROWS[1], [ROWS[2]]))
    await stage.burst()
    assert toy.calls == [2]
    assert toy.relations == [("owner", "owner.address")]


def test_wrong_relations_are_refused_at_the_definition() -> None:
    for wrong, told in (
        ("owner", "must be a list of relations"),
        ({"row": "owner"}, "must be a list of relations"),
        ({"rwo": ["owner"]}, "must name parameters of the function, got 'rwo'"),
    ):
        with pytest.raises(TypeError, match=told):

            @task(relations=wrong)
            async def refused(row: Row) -> None:
                pass

    with pytest.raises(ValueError, match="joined by dots"):

        @task(relations=["owner..address"])
        async def misspelt(row: Row) -> None:
            pass

    with pytest.raises(TypeError, match="unknown option 'relations'"):
        names([]).options(relations=["owner"])  # type: ignore[call-arg]  # wrong on purpose


@task
async def newest(row: Row) -> dict[str, Row]:
    return {"newest": row}


async def test_result_is_a_model(stage: Stage, toy: ToyResolver) -> None:
    handle = await stage.app.dispatch(newest(ROWS[1]).options(result_ttl=60))
    await stage.burst()
    found = await handle.result(timeout=30)
    assert found["newest"] is ROWS[1]
    del ROWS[1]
    with pytest.raises(ModelNotFound):
        await handle.result(timeout=30)
