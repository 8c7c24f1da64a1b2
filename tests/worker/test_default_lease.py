"""The lease of a worker for which no lease is set: that of its driver."""

from collections.abc import Mapping

import pytest

from asynctasq import App, Worker, task
from asynctasq.drivers.memory import MemoryDriver
from asynctasq.errors import ConfigurationError
from asynctasq.message import Delivery


class SlowToRenew(MemoryDriver):
    """A store on which renewals are expensive, so that its leases are long."""

    default_lease = 120.0
    leases: set[float]

    async def reserve(
        self, queues: Mapping[str, int], *, limit: int, owner: str, lease: float
    ) -> list[Delivery]:
        self.leases.add(lease)
        return await super().reserve(queues, limit=limit, owner=owner, lease=lease)


@task
async def nothing() -> None: ...


@pytest.fixture
def leases() -> set[float]:
    SlowToRenew.leases = set()
    return SlowToRenew.leases


@pytest.mark.parametrize(
    ("settings", "lease"), [({}, 120.0), ({"lease": None}, 120.0), ({"lease": 7}, 7.0)], ids=str
)
async def test_a_worker_reserves_for_the_default_lease_of_its_driver(
    settings: dict[str, object], lease: float, leases: set[float]
) -> None:
    async with App({"driver": SlowToRenew(), **settings}) as app:
        await nothing().dispatch()
        await Worker(app=app, burst=True, handle_signals=False).start()
    assert leases == {lease}


async def test_another_driver_of_a_worker_gives_its_own_default(leases: set[float]) -> None:
    async with App({"driver": "memory"}) as app:
        await Worker(SlowToRenew(), app=app, burst=True, handle_signals=False).start()
    assert leases == {120.0}


def test_an_app_checks_durations_against_the_default_lease_of_its_driver() -> None:
    assert App({"driver": SlowToRenew(), "heartbeat_interval": 40}).settings.lease is None
    with pytest.raises(
        ConfigurationError, match=r"^heartbeat_interval \(arguments\): .* 16 and 30 s"
    ):
        App({"driver": "memory", "heartbeat_interval": 16})
    with pytest.raises(ConfigurationError, match=r"^stall_limit \(arguments\): .* 100 and 120 s"):
        App({"driver": SlowToRenew(), "stall_limit": 100})


def test_durations_of_the_environment_are_left_to_the_worker(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ASYNCTASQ_HEARTBEAT_INTERVAL", "16")
    assert App({"driver": "memory"}).settings.heartbeat_interval == 16.0
