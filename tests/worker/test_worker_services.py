"""Services of a worker: their order, and the policies for their failures."""

from contextlib import AsyncExitStack

import pytest

from asynctasq.worker.life import Closing, Life
from asynctasq.worker.services.service import Failed, OnFailure, Services


class Service:
    """Notes its calls; `failed` is what the worker gave it."""

    def __init__(self, name: str, log: list[str], on_failure: OnFailure) -> None:
        self.name = name
        self.on_failure = on_failure
        self.failed: Failed
        self._log = log

    async def start(self, failed: Failed) -> None:
        self.failed = failed
        self._log.append(f"start {self.name}")
        if self.name == "broken":
            raise LookupError(self.name)

    async def stop(self) -> None:
        self._log.append(f"stop {self.name}")


def services_of(
    log: list[str], *names: str, policy: OnFailure = OnFailure.CONTINUE
) -> tuple[list[Service], Services]:
    made = [Service(name, log, policy) for name in names]
    life = Life()
    closing = Closing(life)
    return made, Services(
        made, life=life, closing=closing, stop_worker=lambda: log.append("stop worker")
    )


async def test_services_stop_in_reverse_order() -> None:
    log: list[str] = []
    _, services = services_of(log, "a", "b")
    async with AsyncExitStack() as stack:
        await services.start(stack)
    assert log == ["start a", "start b", "stop b", "stop a"]


async def test_a_service_that_cannot_start_fails_the_start_and_is_stopped() -> None:
    log: list[str] = []
    _, services = services_of(log, "a", "broken", "never started")
    with pytest.raises(LookupError):
        async with AsyncExitStack() as stack:
            await services.start(stack)
    assert log == ["start a", "start broken", "stop broken", "stop a"]


@pytest.mark.parametrize(
    ("policy", "expected"),
    [(OnFailure.CONTINUE, []), (OnFailure.STOP_WORKER, ["stop worker"])],
)
async def test_the_policy_decides_on_a_failure_while_the_worker_runs(
    policy: OnFailure, expected: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    log: list[str] = []
    [service], services = services_of(log, "a", policy=policy)
    async with AsyncExitStack() as stack:
        await services.start(stack)
        log.clear()
        service.failed(LookupError("the reason"))
        assert log == expected
    [record] = [each for each in caplog.records if "A worker service failed: a" in each.message]
    assert record.exc_info is not None
