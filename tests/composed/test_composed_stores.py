"""Queues of all distributions, composed with the state stores of all distributions."""

import asyncio
from pathlib import Path
from zlib import crc32

import pytest

from asynctasq.conformance import run_conformance
from asynctasq.conformance.runner import select_checks
from asynctasq.contracts.driver import Driver
from asynctasq.drivers.composed import compose
from tests.composed.queue_kinds import QueueKind, queue_kinds
from tests.stores import StoreKind, store_kinds

pytestmark = pytest.mark.full

THEMES = ("results", "progress", "cancel", "expiry", "dead_letters", "pause", "unique")
"""Themes of the features that a state store adds. All others are checked with `--full`."""

SECONDS = 1800
"""Seconds for all checks of a pair: the stand-in for SQS answers slowly."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Compose each queue with one of the servers, and with `--full` with every store."""
    in_full = metafunc.config.getoption("full")
    pairs: list[tuple[QueueKind, StoreKind]] = []
    for queue in queue_kinds():
        kinds = [kind for kind in store_kinds() if not kind.is_queue]
        stores = [kind for kind in kinds if in_full or not kind.embedded]
        if not in_full:
            share = crc32(queue.name.encode())  # the same in every process
            stores = [stores[share % len(stores)]]
        pairs += [(queue, store) for store in stores]
    metafunc.parametrize(
        ("queue", "state"), pairs, ids=[f"{queue.name}-{state.name}" for queue, state in pairs]
    )


def applicable(driver: Driver, queue: QueueKind, *, full: bool) -> frozenset[str]:
    """Return the names of the checks to run."""
    checks = select_checks(
        driver.capabilities, durable=False, clock_is_movable=driver.clock_is_movable
    )
    return frozenset(
        check.name
        for check in checks
        if full or (check.theme in THEMES and crc32(check.name.encode()) % queue.sample == 0)
    )


@pytest.mark.timeout(SECONDS)
def test_composed_drivers_keep_every_rule(
    queue: QueueKind,
    state: StoreKind,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    request: pytest.FixtureRequest,
) -> None:
    with (
        state.open(tmp_path, tmp_path_factory) as store,
        queue.open(tmp_path, tmp_path_factory) as make_queue,
    ):
        # One pair for all checks: clones share what they hold, and the clock is that of all.
        made = compose(make_queue(), store.driver())

        def make() -> Driver:
            return made.clone()

        only = applicable(made, queue, full=bool(request.config.getoption("full")))
        report = asyncio.run(
            run_conformance(
                make,
                only=only,
                timeout=queue.timeout,
                known_failures={
                    name: reason for name, reason in queue.known_failures.items() if name in only
                },
                one_namespace=True,
            )
        )
    assert [f"{each.check.name}: {each.failure}" for each in report.failures] == []
