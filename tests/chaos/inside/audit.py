"""The duties of every driver of a storm: write the ledger, lose answers, move the clock."""

import os
import time
from collections.abc import Awaitable, Sequence
from pathlib import Path
from typing import TypeVar

from asynctasq.contracts.driver import Driver
from asynctasq.errors import DriverUnavailable
from asynctasq.message import Delivery, Message
from asynctasq.settlement import Settled, Settlement
from tests.chaos.inside.switches import Switches
from tests.chaos.ledger import AUDIT, Pen

T = TypeVar("T")

ANSWER_LOST = "answers lost"
CLOCK_JUMPED = "clocks of workers jumped"


class Audit:
    """The ledger's side of a driver; the driver calls it around its own methods."""

    def __init__(self, folder: Path, switches: Switches) -> None:
        self._pen = Pen(folder / AUDIT)
        self.switches = switches

    def close(self) -> None:
        """Close the ledger."""
        self._pen.close()

    def sent(self, messages: Sequence[Message]) -> None:
        """Write down that messages are sent to the store, for the first time or again."""
        self._pen.write("".join(f"Q {each.id.hex()}\n" for each in messages))

    async def reserve(self, driver: Driver, call: Awaitable[list[Delivery]]) -> list[Delivery]:
        """Await a reserve and write down what it brought."""
        self._set_clock(driver)
        asked_at = time.time()
        found = await call
        self._lose_answer()
        if found:
            tail = f"{os.getpid()} {asked_at:.6f} {time.time():.6f}"
            lines = [
                f"R {each.message.id.hex()} {each.lease.token} {tail} {each.attempt} {each.lost}\n"
                for each in found
            ]
            self._pen.write("".join(lines))
        return found

    async def settle(
        self, settlements: Sequence[Settlement], call: Awaitable[list[Settled]]
    ) -> list[Settled]:
        """Await the settling of a batch; write down what is asked before, what is answered after."""
        self._write("T", settlements, ["-"] * len(settlements))
        answers = await call
        self._lose_answer()
        self._write("S", settlements, [answer.name for answer in answers])
        return answers

    async def other(self, driver: Driver, call: Awaitable[T]) -> T:
        """Await a call that the ledger does not record."""
        self._set_clock(driver)
        answer = await call
        self._lose_answer()
        return answer

    def _write(self, what: str, settlements: Sequence[Settlement], words: Sequence[str]) -> None:
        now = time.time()
        lines = [
            f"{what} {each.lease.id.hex()} {each.lease.token} {type(each).__name__} {word} {now:.6f}\n"
            for each, word in zip(settlements, words, strict=True)
        ]
        self._pen.write("".join(lines))

    def _lose_answer(self) -> None:
        """Fail although the store has done its part."""
        if self.switches.strikes(ANSWER_LOST):
            raise DriverUnavailable("The storm has lost the answer of the store.")

    def _set_clock(self, driver: Driver) -> None:
        offset = self.switches.value(CLOCK_JUMPED)
        if offset != driver.clock_offset:
            driver.clock_offset = offset
            if offset:
                self.switches.note(CLOCK_JUMPED)
