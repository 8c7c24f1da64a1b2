"""Messages as the scripts `enqueue` and `requeue` take them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from asynctasq.driverkit.numbers import check_numbers
from asynctasq.driverkit.packing import check_id
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


def is_simple(message: Message) -> bool:
    """Return whether the script `enqueue_one` takes it: small, ready at once, no unique key or expiry."""
    return (
        message.eta is None
        and message.expires is None
        and message.unique is None
        and message.delay <= 0.0
        and len(message.body) <= LARGE_BYTES
    )


def simple_arguments(message: Message) -> tuple[int, int, float, bytes, bytes, bytes]:
    """A message as the script `enqueue_one` takes it."""
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
    """What messages have in common is sent once."""
    profiles: dict[tuple[object, ...], int] = {}
    heads: list[bytes | int] = []
    items: list[bytes | int] = []
    current = length = place = 0
    repeats = len({message.id for message in messages}) < len(messages)
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
        items += (message.id, pack_blob(message))
        if unique is not None:
            check_numbers(message)
            items.append(pack_unique(unique))
    items[place] = pack_run(current, length)
    return [int(repeats), len(profiles), *heads, *items]


def requeue_arguments(messages: Sequence[Message]) -> list[bytes | int]:
    """Dead letters that are to be made ready again, as they are given."""
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


async def enqueue_one(server: "Server", offset: int, message: Message) -> bool:
    """Store a simple message; False if that is for the script `enqueue` to decide."""
    arguments = simple_arguments(message)
    if len(arguments[-1]) > LARGE_BYTES:
        return False
    try:
        return bool(await server.run("enqueue_one", offset, *arguments))
    except DriverError as error:
        if "WRONGTYPE" in str(error):  # a key of the store has another type: `enqueue` replaces it
            return False
        raise
