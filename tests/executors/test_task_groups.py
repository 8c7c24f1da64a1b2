"""Exception groups, unfinished work, wrappers and tracebacks, in every mode."""

from typing import Any

import pytest

from asynctasq.errors import TaskFailed
from tests.executors import group_tasks as tasks
from tests.executors.conftest import ServedApp

pytestmark = pytest.mark.asyncio(loop_scope="module")

KINDS = [tasks.InLoop, tasks.InThread, tasks.InProcess, tasks.InProcessLoop]


@pytest.fixture(params=KINDS, ids=["loop", "thread", "process", "process-loop"])
def kind(request: pytest.FixtureRequest) -> Any:
    return request.param


async def failure_of(served: ServedApp, made: Any) -> TaskFailed:
    with pytest.raises(TaskFailed) as failure:
        await served.result(made)
    return failure.value


@pytest.mark.parametrize("case", ["reject", "reject within", "reject before all", "except star"])
async def test_a_group_with_a_reject_is_rejected(shared: ServedApp, kind: Any, case: str) -> None:
    failure = await failure_of(shared, kind(case=case))
    assert (failure.reason, failure.error_message) == ("rejected", "no such order")
    [dead] = await shared.dead()
    assert dead.attempts == 1


@pytest.mark.parametrize(
    ("case", "heard"),
    [
        ("retry", ("retry", 0.01)),
        ("retry before snooze", ("retry", 0.01)),
        ("snooze", ("release", 0.02)),
        ("wanted", ("retry", 0.0)),
        ("wanted with retry", ("retry", 0.0)),
        ("base", ("retry", 0.0)),
        ("cancellations", ("retry", 0.0)),
    ],
)
async def test_a_group_asks_for_another_run(
    shared: ServedApp, kind: Any, case: str, heard: tuple[str, float]
) -> None:
    assert await shared.result(kind(case=case)) == "done"
    assert shared.watcher.heard == [heard]


@pytest.mark.parametrize("case", ["not wanted", "timeout"])
async def test_a_group_with_an_error_that_is_not_to_be_retried_is_dead(
    shared: ServedApp, kind: Any, case: str
) -> None:
    failure = await failure_of(shared, kind(case=case))
    assert (failure.reason, failure.error_type) == ("failed", "ExceptionGroup")
    [dead] = await shared.dead()
    assert dead.attempts == 1


@pytest.mark.parametrize("case", tasks.ODD)
async def test_an_exception_that_lies_about_itself_is_an_ordinary_error(
    shared: ServedApp, kind: Any, case: str
) -> None:
    failure = await failure_of(shared, kind(case=case))
    assert failure.reason == "failed"
    assert failure.error_type.endswith(f".{case}")
    assert failure.error_message == {"OddlyTold": "odd"}.get(case, failure.error_message)
    [dead] = await shared.dead()
    assert dead.attempts == (2 if case == "Untouchable" else 1)  # whose should_retry raises


@pytest.mark.parametrize("rule", [tasks.by_type, tasks.by_predicate])
async def test_retry_on_holds_for_the_errors_in_a_group(shared: ServedApp, rule: Any) -> None:
    assert await shared.result(rule("wanted")) == "done"
    assert (await failure_of(shared, rule("not wanted"))).error_type == "ExceptionGroup"


async def test_retry_on_may_name_the_type_of_a_group(shared: ServedApp) -> None:
    assert await shared.result(tasks.by_type("own")) == "done"


@pytest.mark.parametrize("case", tasks.RETURNED)
async def test_work_that_is_not_done_is_a_failure(shared: ServedApp, kind: Any, case: str) -> None:
    failure = await failure_of(shared, kind(case=case).options(max_attempts=1))
    assert failure.error_type == "TypeError"
    assert "its work was not done" in failure.error_message


@pytest.mark.parametrize("made", [tasks.returns_task, tasks.returns_gathering])
async def test_a_future_that_was_not_awaited_is_cancelled(shared: ServedApp, made: Any) -> None:
    failure = await failure_of(shared, made())
    assert "its work was not done" in failure.error_message


async def test_sync_wrappers_of_async_code_work_in_every_mode(shared: ServedApp) -> None:
    assert await shared.result(tasks.wrapped_in_process(1)) == 2
    assert await shared.result(tasks.WrappedInThread()) == 2


async def test_a_dead_task_is_logged_with_the_traceback_of_its_code(
    shared: ServedApp, kind: Any, caplog: pytest.LogCaptureFixture
) -> None:
    await failure_of(shared, kind(case="fail").options(max_attempts=1))
    [record] = [each for each in caplog.records if each.levelname == "ERROR"]
    trace = str(record.exc_text)
    assert "raise LookupError(case)" in trace
    assert "LookupError: fail" in trace
    assert "asynctasq/executors" not in trace
    in_this_process = kind in {tasks.InLoop, tasks.InThread}
    error = record.exc_info[1] if record.exc_info else None
    assert isinstance(error, LookupError) is in_this_process
