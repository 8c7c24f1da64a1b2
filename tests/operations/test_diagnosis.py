"""The checks of `asynctasq doctor` on every store."""

import pytest

from asynctasq import App
from asynctasq.contracts.capabilities import SchemaState
from asynctasq.contracts.driver import Driver
from asynctasq.errors import DriverError
from asynctasq.operations.diagnosis import CHECKS, Status, Subject, diagnose
from asynctasq.operations.diagnosis.clock import judge_clock
from asynctasq.operations.diagnosis.tables import schema_finding
from tests.stores import Store


def subject_of(app: App, driver: Driver) -> Subject:
    async def connect() -> Driver:
        await driver.open()
        return driver

    return Subject(
        settings=app.settings,
        plugins=app.plugins,
        place=driver.description,
        connect=connect,
        stores=[driver.clone()],
        queues=["default"],
        has_tasks=False,
    )


@pytest.mark.every_store
async def test_a_new_store_has_no_problem(store: Store) -> None:
    driver = store.driver()
    found = [each async for each in diagnose(subject_of(App({"driver": driver}), driver))]
    await driver.close()
    statuses = {each.check: each.status for each in found}
    assert list(statuses) == list(CHECKS)
    assert Status.PROBLEM not in statuses.values(), found
    for check in ("store", "schema", "rights", "clock", "queues", "paused", "dead-letters"):
        assert statuses[check] is Status.OK, found


async def test_a_failing_check_hides_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    app = App({"driver": "memory"})
    driver = await app.driver()

    async def fails() -> frozenset[str]:
        raise DriverError("no")

    monkeypatch.setattr(driver, "paused", fails)
    found = [each async for each in diagnose(subject_of(app, driver))]
    await app.close()
    assert [each.check for each in found if each.status is Status.PROBLEM] == ["queues", "paused"]
    assert [each.check for each in found] == list(CHECKS)


@pytest.mark.parametrize(
    "now, status",
    [
        (100.5, Status.OK),
        (102.5, Status.OK),
        (104.0, Status.WARNING),
        (97.0, Status.WARNING),
        (70.0, Status.PROBLEM),
        (4000.0, Status.PROBLEM),
    ],
)
def test_clocks_are_judged_by_the_time_that_the_call_cannot_explain(
    now: float, status: Status
) -> None:
    assert judge_clock(now, 100.0, 101.0).status is status


@pytest.mark.parametrize(
    "state, status, remedy",
    [
        (SchemaState(4, 4), Status.OK, ""),
        (SchemaState(0, 4), Status.PROBLEM, "Run asynctasq migrate."),
        (SchemaState(3, 4), Status.WARNING, "Run asynctasq migrate."),
        (SchemaState(1, 4, 2), Status.PROBLEM, "Run asynctasq migrate."),
        (SchemaState(5, 4), Status.PROBLEM, "Upgrade asynctasq."),
    ],
)
def test_tables_are_judged_by_their_version(
    state: SchemaState, status: Status, remedy: str
) -> None:
    found = schema_finding("schema", "here", state)
    assert (found.status, found.remedy) == (status, remedy)
