"""Short storms on RabbitMQ; `make chaos-rabbitmq` runs the long ones."""

from pathlib import Path

import pytest

from tests.chaos.faults.connections import CONNECTIONS
from tests.chaos.faults.outages import ANSWERS
from tests.chaos.short import brief_storm, quick_kinds, short_storm
from tests.chaos.stores.rabbitmq import RabbitmqAloneStore, RabbitmqStore
from tests.chaos.stores.rabbitmq_faults import OF_BROKER
from tests.chaos.stores.sqlite import STATEMENTS


@pytest.mark.full
async def test_after_a_brief_storm_the_ledger_agrees_with_rabbitmq(tmp_path: Path) -> None:
    lanes = {"store": [*CONNECTIONS, *OF_BROKER], "partial": [STATEMENTS, ANSWERS]}
    store = RabbitmqStore(tmp_path / "store")
    report = await brief_storm(store, tmp_path, lanes, kinds=quick_kinds())
    assert not report.problems, str(report)


@pytest.mark.full
async def test_after_a_short_storm_the_ledger_agrees_with_rabbitmq(tmp_path: Path) -> None:
    report = await short_storm(RabbitmqStore(tmp_path / "store"), tmp_path)
    assert not report.problems, str(report)


@pytest.mark.full
async def test_after_a_short_storm_no_task_of_rabbitmq_alone_is_lost(tmp_path: Path) -> None:
    report = await short_storm(RabbitmqAloneStore(tmp_path / "store"), tmp_path)
    assert not report.problems, str(report)
