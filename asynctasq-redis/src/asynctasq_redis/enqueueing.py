"""Messages as the scripts `enqueue` and `requeue` take them."""

from collections.abc import Sequence

from asynctasq.contracts.packing import check_id
from asynctasq.message import Message, UniqueUntil
from asynctasq_redis.codec import (
    HOLDS,
    max_lost_of,
    pack_blob,
    pack_numbers,
    pack_run,
    pack_unique,
    priority_of,
    text_bytes,
)

RUN = 1000
"""Messages that a script stores by one command."""


def is_simple(message: Message) -> bool:
    """Whether the script `enqueue_one` takes it: ready at once, without a unique key or an expiry."""
    return (
        message.eta is None
        and message.expires is None
        and message.unique is None
        and message.delay <= 0.0
    )


def simple_arguments(message: Message) -> list[bytes | int | float]:
    """A message as the script `enqueue_one` takes it."""
    check_id(message.id)
    return [
        priority_of(message),
        max_lost_of(message),
        message.result_ttl,
        text_bytes(message.queue),
        message.id,
        pack_blob(message),
    ]


def enqueue_arguments(messages: Sequence[Message]) -> list[bytes | int]:
    """What messages have in common is sent once."""
    profiles: dict[tuple[object, ...], int] = {}
    heads: list[bytes | int] = []
    items: list[bytes | int] = []
    current = length = place = 0
    # An id that stands twice must not meet itself in one run.
    longest = RUN if len({message.id for message in messages}) == len(messages) else 1
    for message in messages:
        check_id(message.id)
        unique = message.unique
        kind = (
            message.queue,
            message.priority,
            message.max_lost,
            message.result_ttl,
            message.delay,
            message.eta,
            message.expires,
            unique is not None,
        )
        number = profiles.get(kind)
        if number is None:
            number = profiles[kind] = len(profiles) + 1
            heads += (pack_numbers(message), text_bytes(message.queue))
        if number != current or length == longest:
            if length:
                items[place] = pack_run(current, length)
            current, length, place = number, 0, len(items)
            items.append(b"")
        length += 1
        items += (message.id, pack_blob(message))
        if unique is not None:
            items.append(pack_unique(unique))
    items[place] = pack_run(current, length)
    return [len(profiles), *heads, *items]


def requeue_arguments(messages: Sequence[Message]) -> list[bytes | int]:
    """Dead letters that are to be made ready again, as they are given."""
    arguments: list[bytes | int] = []
    for message in messages:
        check_id(message.id)
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
