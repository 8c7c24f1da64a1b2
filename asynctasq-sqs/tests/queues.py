"""The stand-in for SQS as a queue that state stores complete."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from asynctasq.contracts.driver import Driver
from tests.composed.queue_kinds import QueueKind
from tests.servers.moto_driver import ENDS_LEASES, REASON, MovableClock, new_namespace
from tests.servers.shared import shared_url


@contextmanager
def _sqs(_: Path, factory: pytest.TempPathFactory) -> Iterator[Callable[[], Driver]]:
    address, namespace = shared_url("sqs", factory), new_namespace()
    yield lambda: MovableClock.at(address, namespace)


QUEUE = QueueKind(
    "sqs",
    _sqs,
    known_failures={**ENDS_LEASES, "owners_are_ended_during_the_pause_too": REASON},
    timeout=120.0,
    sample=4,
)
