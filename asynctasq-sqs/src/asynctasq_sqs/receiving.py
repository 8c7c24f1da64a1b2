"""Receiving messages: in several calls at once, and by long polls that outlive a cancelled wait."""

import asyncio
import logging
import math
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

from asynctasq.contracts.driver import BYTES_AT_ONCE
from asynctasq.errors import DriverError
from asynctasq_sqs.client import PARALLEL_CALLS, Client
from asynctasq_sqs.leases import LONGEST_VISIBILITY, Received, Shared
from asynctasq_sqs.queues import Queues
from asynctasq_sqs.records import ATTRIBUTE
from asynctasq_sqs.sending import BATCH

logger = logging.getLogger("asynctasq.sqs")

UNCLAIMED_SECONDS = 1.0
"""Seconds after which messages of a long poll that no `reserve` has taken go back to their queue."""
_FIRST_RECEIPT = "ApproximateFirstReceiveTimestamp"
_SYSTEM_ATTRIBUTES = ("ApproximateReceiveCount", "MessageGroupId", _FIRST_RECEIPT)
_FIRST_CALLS, _GROWTH = 1, 4

GiveBack = Callable[[Sequence[Received]], Coroutine[None, None, None]]


def visibility_of(lease: float) -> int:
    """Return the seconds for which SQS hides a message with such a lease."""
    return min(max(math.ceil(lease), 1), LONGEST_VISIBILITY)


async def receive(
    client: Client, url: str, queue: str, count: int, *, visibility: int, wait: float = 0.0
) -> list[Received]:
    """Receive up to `count` messages, at most ten."""
    began = time.monotonic()
    answer = await client.call(
        "receive_message",
        seconds=wait,
        QueueUrl=url,
        MaxNumberOfMessages=min(count, BATCH),
        VisibilityTimeout=visibility,
        WaitTimeSeconds=int(wait),
        AttributeNames=list(_SYSTEM_ATTRIBUTES),
        MessageAttributeNames=["All"],
    )
    at = time.monotonic() if wait else began
    return [_received(each, queue, at, visibility) for each in answer.get("Messages", ())]


def _received(each: Mapping[str, Any], queue: str, at: float, visibility: float) -> Received:
    attributes = dict(each.get("MessageAttributes", {}))
    data = attributes.pop(ATTRIBUTE, {}).get("BinaryValue")
    system = each.get("Attributes", {})
    first = system.get(_FIRST_RECEIPT)
    return Received(
        queue, each["ReceiptHandle"], each["MessageId"], each.get("Body", ""), data,
        int(system.get("ApproximateReceiveCount", 1)), system.get("MessageGroupId"), at, visibility, attributes,
        None if first is None else int(first) / 1000,
    )  # fmt: skip


def most_of_call(*, is_fifo: bool) -> int:
    """Return how many messages a call may receive.

    SQS keeps a group from being delivered to two calls, but gives several messages of it to one call.
    """
    return 1 if is_fifo else BATCH


async def receive_many(
    client: Client, url: str, queue: str, count: int, *, visibility: int, most: int = BATCH
) -> list[Received]:
    """Receive up to `count` messages, in more and more calls at once as long as each comes back full.

    If a call fails after others have brought messages, those are returned.

    Args:
        client: of the opened driver.
        url: of the queue.
        queue: its name in asynctasq.
        count: of messages.
        visibility: seconds for which SQS hides them.
        most: messages of each call.
    """
    found: list[Received] = []
    calls = _FIRST_CALLS
    while len(found) < count and sum(each.size for each in found) < BYTES_AT_ONCE:
        room = count - len(found)
        counts = [min(most, room - most * i) for i in range(min(calls, math.ceil(room / most)))]
        answers = await asyncio.gather(
            *(receive(client, url, queue, each, visibility=visibility) for each in counts),
            return_exceptions=True,
        )
        errors = [answer for answer in answers if isinstance(answer, BaseException)]
        came = [
            each for answer in answers if not isinstance(answer, BaseException) for each in answer
        ]
        found += came
        if errors:
            if found and isinstance(errors[0], DriverError):
                return found
            raise errors[0]
        if len(came) < sum(counts):
            return found
        calls = min(calls * _GROWTH, PARALLEL_CALLS)
    return found


class Poll:
    """A long poll of one queue that is under way."""

    def __init__(self, task: "asyncio.Task[None]") -> None:
        self.task = task
        self.began = time.monotonic()


class Polls:
    """The long polls of one opened driver, and the buffer that they fill."""

    def __init__(self, client: Client, queues: Queues, give_back: GiveBack) -> None:
        self._client = client
        self._shared: Shared = client.shared
        self._queues = queues
        self._give_back = give_back
        self._polls: dict[str, Poll] = {}
        self._rooms: dict[str, int] = {}
        self._errors: dict[str, DriverError] = {}
        self._drained: dict[str, float] = {}
        self._returns: set[asyncio.Task[None]] = set()
        self._timers: set[asyncio.TimerHandle] = set()
        self._is_closing = False

    def set_room(self, queue: str, room: int) -> None:
        """Note how many messages a worker takes from a queue at once."""
        self._rooms[queue] = max(1, min(room, BATCH))

    def take(self, queue: str, room: int) -> list[Received]:
        """Take messages from the buffer."""
        buffer, found = self._shared.buffer(queue), list[Received]()
        while buffer and len(found) < room:
            try:
                found.append(buffer.popleft())
            except IndexError:  # another thread was quicker
                break
        return found

    def is_polling(self, queue: str) -> bool:
        """Return whether a poll of the queue is under way that would bring what is there."""
        poll = self._polls.get(queue)
        return (
            poll is not None
            and not poll.task.done()
            and not self._shared.is_hinted(queue, poll.began)
        )

    def was_drained(self, queue: str) -> bool:
        """Return whether a long poll has just found no more messages."""
        at = self._drained.get(queue)
        return (
            at is not None
            and time.monotonic() - at < UNCLAIMED_SECONDS
            and not self._shared.is_hinted(queue, at)
        )

    def note_received(self, queue: str) -> None:
        """Note that messages came, so that there may be more."""
        self._drained.pop(queue, None)

    async def look(self, queues: Sequence[str], seconds: float) -> None:
        """Give polls that are under way a moment to bring their messages."""
        tasks = [
            poll.task
            for queue in queues
            if (poll := self._polls.get(queue)) and not poll.task.done()
        ]
        if tasks and not any(self._shared.buffer(queue) for queue in queues):
            await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)

    async def wait(self, queues: Sequence[str], timeout: float) -> None:
        """Return when a message of the queues is in the buffer, or after `timeout` seconds.

        Raises:
            DriverError: a poll failed.
        """
        end = asyncio.get_running_loop().time() + timeout
        while not any(self._shared.buffer(queue) for queue in queues):
            left = end - asyncio.get_running_loop().time()
            if left <= 0:
                return
            tasks = [self._start(queue) for queue in queues]
            if not tasks:
                await asyncio.sleep(left)
                return
            await asyncio.wait(tasks, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            for queue in queues:
                if (error := self._errors.pop(queue, None)) is not None:
                    raise error

    async def close(self, seconds: float) -> None:
        """Stop polling, wait for polls under way, and give back the messages of the buffer."""
        self._is_closing = True
        tasks = [poll.task for poll in self._polls.values() if not poll.task.done()]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=seconds)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        for timer in self._timers:
            timer.cancel()
        for queue in self._polls:
            if unclaimed := self.take(queue, len(self._shared.buffer(queue))):
                await self._give_back(unclaimed)
        await asyncio.gather(*self._returns, return_exceptions=True)

    def keep(self, queue: str, messages: Sequence[Received]) -> None:
        """Put messages into the buffer, for about a second."""
        if not messages:
            return
        self._shared.buffer(queue).extend(messages)
        timer = asyncio.get_running_loop().call_later(
            UNCLAIMED_SECONDS, self._return, queue, messages
        )
        self._timers.add(timer)
        self._timers = {
            each
            for each in self._timers
            if not each.cancelled() and each.when() > time.monotonic() - 60
        }

    def _start(self, queue: str) -> "asyncio.Task[None]":
        poll = self._polls.get(queue)
        if poll is None or poll.task.done():
            poll = self._polls[queue] = Poll(asyncio.create_task(self._poll(queue)))
        return poll.task

    async def _poll(self, queue: str) -> None:
        try:
            url = await self._queues.source_url(queue, creates=True)
            if url is None:
                await asyncio.sleep(UNCLAIMED_SECONDS)
                return
            most = most_of_call(is_fifo=self._queues.is_fifo(queue))
            room = min(self._rooms.get(queue, BATCH), most)
            visibility = visibility_of(self._shared.lease) + 1
            messages = await receive(
                self._client,
                url,
                queue,
                room,
                visibility=min(visibility, LONGEST_VISIBILITY),
                wait=self._client.settings.long_poll,
            )
        except DriverError as error:
            self._queues.forget(queue)
            self._errors[queue] = error
            return
        if len(messages) < room:
            self._drained[queue] = time.monotonic()
        else:
            self._drained.pop(queue, None)
        self.keep(queue, messages)

    def _return(self, queue: str, messages: Sequence[Received]) -> None:
        """Give back those of the messages that are still in the buffer."""
        buffer, unclaimed = self._shared.buffer(queue), list[Received]()
        for each in messages:
            try:
                buffer.remove(each)
            except ValueError:  # it was reserved
                continue
            unclaimed.append(each)
        if unclaimed and not self._is_closing:
            task = asyncio.create_task(self._give_back(unclaimed))
            self._returns.add(task)
            task.add_done_callback(self._returns.discard)
