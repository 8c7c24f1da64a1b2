"""Messages as the columns of a row.

The fields that the messages of one task have in common are in the column `profile`, so that a chunk is
encoded, and a batch decoded, by one look-up each. The column `payload` is the body as it is. The profile
of a message with more (headers, a delay, a unique key, ...) says so, and its payload is all of the message.
"""

from asynctasq.driverkit.packing import is_plain, not_unicode, pack_message, pack_profile
from asynctasq.message import PRIORITY_HIGHEST, Message, State

BLOCKED, LEASED, DEAD = 4, 5, 6
"""States as stored; lower ones wait, and higher ones have ended."""
STATES = {
    2: State.SCHEDULED,
    3: State.READY,
    BLOCKED: State.BLOCKED,
    LEASED: State.LEASED,
    DEAD: State.DEAD,
    7: State.COMPLETED,
    8: State.CANCELLED,
}


def rank(priority: int) -> int:
    """Return a priority as stored, from 0 to 9: the message to run first has the lowest."""
    return PRIORITY_HIGHEST - min(max(priority, 0), PRIORITY_HIGHEST)


def pack_payload(message: Message, *, plain: bool) -> bytes:
    """Return the body, or all of a message that has more (`is_plain`).

    Raises:
        DriverError: a header, the unique key or another name is not valid Unicode.
    """
    if plain:
        return message.body
    try:
        return pack_message(message)
    except UnicodeEncodeError as error:
        raise not_unicode(error) from error


def pack_row(message: Message) -> tuple[bytes, bytes]:
    """Return the profile and the payload of a message.

    Raises:
        DriverError: a name or a header is not valid Unicode.
    """
    plain = is_plain(message)
    payload = pack_payload(message, plain=plain)
    try:
        profile = pack_profile(
            message.task,
            message.priority,
            message.max_attempts,
            message.max_lost,
            message.result_ttl,
            message.expires,
            plain,
        )
    except UnicodeEncodeError as error:
        raise not_unicode(error) from error
    return profile, payload
