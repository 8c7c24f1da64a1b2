"""Confirms of published messages, counted by tag."""

import asyncio
from collections.abc import Sequence
from enum import Enum

from asynctasq_rabbitmq.wire.frames import Outgoing


class Answer(Enum):
    """The broker's answer to a published message."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    """A queue refused it, for example because it is full."""
    UNROUTABLE = "unroutable"
    """No queue took it. The broker has dropped it."""
    UNKNOWN = "unknown"
    """The channel or the connection was closed before an answer."""


class Batch:
    """The answers to messages that were published together."""

    __slots__ = ("answers", "done", "missing")

    def __init__(self, size: int, done: "asyncio.Future[None]") -> None:
        self.answers = [Answer.UNKNOWN] * size
        self.missing = size
        self.done = done

    def note(self, place: int, answer: Answer) -> None:
        """Note the answer to one message."""
        self.answers[place] = answer
        self.missing -= 1
        if not self.missing and not self.done.done():
            self.done.set_result(None)

    def give_up(self) -> None:
        """Note that no more answers will come."""
        if not self.done.done():
            self.done.set_result(None)


class Confirms:
    """The published messages of a channel that have no answer yet."""

    def __init__(self) -> None:
        self._waiting: dict[int, tuple[Batch, int, bytes]] = {}
        self._lowest = 1
        self._next = 1
        self._returned: set[bytes] = set()

    def expect(self, batch: Batch, place: int, messages: Sequence[Outgoing]) -> None:
        """Note messages of a batch, from a place on, as published next."""
        for message in messages:
            self._waiting[self._next] = (batch, place, message.message_id)
            self._next += 1
            place += 1

    def note_return(self, message_id: bytes) -> None:
        """Note that no queue took a message. Its confirm follows."""
        self._returned.add(message_id)

    def note(self, tag: int, *, multiple: bool, accepted: bool) -> None:
        """Note a confirm of one tag, or of all up to it."""
        if multiple:
            for each in range(self._lowest, tag + 1):
                self._note(each, accepted=accepted)
            self._lowest = tag + 1
        else:
            self._note(tag, accepted=accepted)
            if tag == self._lowest:
                self._lowest += 1

    def _note(self, tag: int, *, accepted: bool) -> None:
        found = self._waiting.pop(tag, None)
        if found is None:
            return
        batch, place, message_id = found
        if message_id in self._returned:
            self._returned.discard(message_id)
            batch.note(place, Answer.UNROUTABLE)
        else:
            batch.note(place, Answer.ACCEPTED if accepted else Answer.REFUSED)

    def give_up(self) -> None:
        """Note that no more answers will come."""
        for batch, _, _ in self._waiting.values():
            batch.give_up()
        self._waiting.clear()
