"""Enqueueing: messages as the scripts take them, and the calls."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from asynctasq.contracts.driver import Enqueued, EnqueuedPartly
from asynctasq.driverkit.batching import batches
from asynctasq.driverkit.numbers import check_numbers
from asynctasq.driverkit.packing import ID_BYTES, check_id
from asynctasq.errors import DriverError
from asynctasq.message import Message, UniqueUntil
from asynctasq_redis.codec import (
    HOLDS,
    LARGE_BYTES,
    max_lost_of,
    pack_blob,
    pack_numbers,
    pack_run,
    pack_unique,
    priority_of,
    text_bytes,
)

if TYPE_CHECKING:
    from asynctasq_redis.server import Server

RUN = 1000
"""Messages of one profile in one run of the arguments."""
AT_ONCE = 60_000
"""Messages that one script call stores."""


def is_simple(message: Message) -> bool:
    """Return whether the script `enqueue_one` takes a message: small, ready, no unique key, no expiry."""
    return (
        message.eta is None
        and message.expires is None
        and message.unique is None
        and message.delay <= 0.0
        and len(message.body) <= LARGE_BYTES
    )


def simple_arguments(message: Message) -> tuple[int, int, float, bytes, bytes, bytes]:
    """Return a message as the script `enqueue_one` takes it."""
    check_id(message.id)
    check_numbers(message)
    return (
        priority_of(message),
        max_lost_of(message),
        message.result_ttl,
        text_bytes(message.queue),
        message.id,
        pack_blob(message),
    )


def enqueue_arguments(messages: Sequence[Message]) -> list[bytes | int]:
    """Return messages as the script `enqueue` takes them. Fields that they share are sent once."""
    profiles: dict[tuple[object, ...], int] = {}
    heads: list[bytes | int] = []
    items: list[bytes | int] = []
    current = length = place = 0
    has_large = False
    for message in messages:
        check_id(message.id)
        unique = message.unique
        kind = (
            message.queue,
            message.priority,
            message.max_lost,
            message.max_attempts,  # so that each is checked
            message.result_ttl,
            message.delay,
            message.eta,
            message.expires,
            unique is not None,
        )
        number = profiles.get(kind)
        if number is None:
            check_numbers(message)
            number = profiles[kind] = len(profiles) + 1
            heads += (pack_numbers(message), text_bytes(message.queue))
        if number != current or length == RUN:
            if length:
                items[place] = pack_run(current, length)
            current, length, place = number, 0, len(items)
            items.append(b"")
        length += 1
        blob = pack_blob(message)
        if len(blob) > LARGE_BYTES:
            has_large = True
        items += (message.id, blob)
        if unique is not None:
            check_numbers(message)
            items.append(pack_unique(unique))
    items[place] = pack_run(current, length)
    repeats = len({message.id for message in messages}) < len(messages)
    return [1 if repeats else 2 * has_large, len(profiles), *heads, *items]


def requeue_arguments(messages: Sequence[Message]) -> list[bytes | int]:
    """Return messages that replace dead letters as the script `requeue` takes them."""
    arguments: list[bytes | int] = []
    for message in messages:
        check_id(message.id)
        check_numbers(message)
        unique = message.unique
        keeps = unique is not None and unique.until is not UniqueUntil.PERIOD
        arguments += (
            message.id,
            pack_numbers(message),
            text_bytes(message.queue),
            HOLDS[unique.until] if unique is not None and keeps else 0,
            b"" if unique is None else text_bytes(unique.key),
            pack_blob(message),
        )
    return arguments


async def enqueue(server: "Server", offset: int, messages: Sequence[Message]) -> list[Enqueued]:
    """Store messages, up to `AT_ONCE` in one step.

    Raises:
        EnqueuedPartly: the store has taken the messages of one step, and not those of the next.
    """
    answers: list[Enqueued] = []
    for some in batches(messages, AT_ONCE):
        try:
            answer = await server.run("enqueue", offset, *enqueue_arguments(some))
        except DriverError as error:
            if not answers:
                raise
            rest = [error] * (len(messages) - len(answers))
            raise EnqueuedPartly(
                f"The store has accepted {len(answers)} of {len(messages)} messages: {error}",
                answers=[*answers, *rest],
            ) from error
        if not answer:
            answers += [Enqueued(message.id, True) for message in some]
            continue
        for message, standing in zip(some, answer, strict=True):
            created = standing == b"1"
            answers.append(Enqueued(message.id if created else standing[:ID_BYTES], created))
    return answers


async def enqueue_one(server: "Server", offset: int, message: Message) -> bool:
    """Store a simple message; return False if the script `enqueue` has to decide about it."""
    arguments = simple_arguments(message)
    if len(arguments[-1]) > LARGE_BYTES:
        return False
    try:
        return bool(await server.run("enqueue_one", offset, *arguments))
    except DriverError as error:
        if "WRONGTYPE" in str(error):  # a key of the store has another type: `enqueue` replaces it
            return False
        raise
