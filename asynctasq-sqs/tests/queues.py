"""The stand-in for SQS as a queue that state stores complete."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from asynctasq.contracts.driver import Driver
from tests.composed.queue_kinds import QueueKind
from tests.servers.moto_driver import SETTINGS, MovableClock
from tests.servers.shared import shared_url


@contextmanager
def _sqs(_: Path, factory: pytest.TempPathFactory) -> Iterator[Callable[[], Driver]]:
    address = shared_url("sqs", factory)
    namespace = f"t{uuid4().hex[:12]}"
    yield lambda: MovableClock(**SETTINGS, endpoint_url=address, namespace=namespace)


QUEUE = QueueKind(
    "sqs",
    _sqs,
    known_failures={
        **{
            name: reason
            for name, reason in MovableClock.known_failures.items()
            if name != "years_ahead"  # the state store keeps it
        },
        **dict.fromkeys(
            (
                "ended_leases_of_the_caller_reveal_an_outage",
                "owners_are_ended_during_the_pause_too",
            ),
            "SQS ends leases by its own clock, also right after an outage",
        ),
    },
    timeout=120.0,
    sample=4,
)
