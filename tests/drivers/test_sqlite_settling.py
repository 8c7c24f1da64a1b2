"""Completions of the sqlite driver that one statement writes."""

from pathlib import Path

import pytest

from asynctasq.contracts.capabilities import Outcome
from asynctasq.drivers.sqlite import SqliteDriver
from asynctasq.message import Lease
from asynctasq.settlement import Complete, Settled
from tests.drivers.opening import message, opened


async def test_completions_of_leases_of_several_times_are_written_together(tmp_path: Path) -> None:
    async with opened(SqliteDriver(tmp_path / "work.db")) as driver:
        leases: list[Lease] = []
        for offset in (0.0, 60.0, -60.0):
            driver.clock_offset = offset
            await driver.enqueue([message()])
            [delivery] = await driver.reserve({"q": 1}, limit=1, owner="w", lease=300.0)
            leases.append(delivery.lease)
        assert len({lease.token for lease in leases}) == len(leases)

        completions = [
            Complete(lease, bytes([n]) * n, about=b"about" * n) for n, lease in enumerate(leases)
        ]
        assert await driver.settle(completions) == [Settled.DONE] * len(leases)
        outcomes = await driver.results([lease.id for lease in leases])
        assert [_stored(outcome) for outcome in outcomes] == [
            (b"", b""),
            (b"\1", b"about"),
            (b"\2\2", b"aboutabout"),
        ]


def _stored(outcome: Outcome | None) -> tuple[bytes | None, bytes]:
    assert outcome is not None
    return outcome.result, outcome.about


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize(
    "token", [-1, 2**60, 2**63, 2**200], ids=["negative", "large", "65 bits", "huge"]
)
async def test_tokens_that_no_lease_can_have_are_lost(
    tmp_path: Path, *, token: int, first: bool
) -> None:
    async with opened(SqliteDriver(tmp_path / "work.db")) as driver:
        await driver.enqueue([message(), message()])
        held, other = await driver.reserve({"q": 2}, limit=2, owner="w", lease=300.0)
        settlements = [Complete(held.lease), Complete(Lease(other.lease.id, token))]
        answers = [Settled.DONE, Settled.LOST]
        if first:
            settlements.reverse()
            answers.reverse()
        assert await driver.settle(settlements) == answers
