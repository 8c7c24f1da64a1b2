"""Settlements as the script `settle` takes them."""

from collections.abc import Sequence
from itertools import groupby
from operator import itemgetter
from struct import Struct
from typing import TypeAlias

from asynctasq.driverkit.batching import batches
from asynctasq.driverkit.numbers import can_settle
from asynctasq.driverkit.packing import ID_BYTES, pack_error
from asynctasq.settlement import (
    ABOUT_BYTES,
    Cancelled,
    Complete,
    ErrorInfo,
    Fail,
    Reason,
    Release,
    Retry,
    Settled,
    Settlement,
)
from asynctasq_redis.codec import BODY_LIMIT, LARGEST_TOKEN

COMPLETE_EMPTY, COMPLETE, COMPLETE_EMPTY_ABOUT, COMPLETE_ABOUT = 1, 2, 3, 4
"""Kinds of settlements. These are one more than the contents of the outcome that they make."""
RETRY, FAIL, FAIL_UNTRIED, RELEASE, RELEASE_MISMATCHED, CANCEL, FAIL_DAMAGED = 5, 6, 7, 8, 9, 10, 11
EMPTY = frozenset({COMPLETE_EMPTY, RELEASE})
"""Kinds without bytes."""

AT_ONCE = 1000
"""Settlements that one script call takes."""
BYTES_SENT_AT_ONCE = 64_000_000
"""Bytes of results and errors in one call, unless a single one is larger. A server closes connections that
send a gigabyte at once."""

Packed: TypeAlias = tuple[int, tuple[int, int, float], bytes, bytes]
"""The place among the settlements; kind, token, and delay or time to live; id; bytes."""

_RUN = Struct(">BQdHB")
_LENGTH = Struct(">H")


def pack_settlement(place: int, settlement: Settlement) -> Packed | Settled:
    """Return a settlement as numbers and bytes; REFUSED or LOST if Redis cannot apply it."""
    lease = settlement.lease
    token = lease.token
    if type(token) is not int or not 0 <= token <= LARGEST_TOKEN or len(lease.id) != ID_BYTES:
        return Settled.LOST
    if type(settlement) is Complete:
        result, ttl, about = settlement.result, settlement.result_ttl, settlement.about
        if ttl - ttl != 0 or (result is not None and len(result) > BODY_LIMIT):
            return Settled.REFUSED
        if result is None or ttl <= 0.0:
            kind, payload = COMPLETE_EMPTY, b""
        else:
            kind, payload = COMPLETE, result
        if about and len(about) <= ABOUT_BYTES:
            kind += 2
            payload = _LENGTH.pack(len(about)) + about + payload
        numbers = kind, token, ttl
    elif can_settle(settlement):
        kind, number, payload = _parts(settlement)
        numbers = kind, token, number
    else:
        return Settled.REFUSED
    return place, numbers, lease.id, payload


def batches_of(packed: list[Packed]) -> list[Sequence[Packed]]:
    """Return the pieces that one script call takes: no lease twice, not too many, not too large in sum."""
    if len({parts[2] for parts in packed}) < len(packed):
        # The first settlement of a lease ends it. Of several tokens, one at most is current.
        leases = {(parts[2], parts[1][1]): parts for parts in reversed(packed)}
        packed = [parts for parts in packed if leases[parts[2], parts[1][1]] is parts]
    if len(packed) <= AT_ONCE and sum(len(parts[3]) for parts in packed) <= BYTES_SENT_AT_ONCE:
        return [packed] if packed else []
    return list(batches(packed, AT_ONCE, size=_bytes_of, most_bytes=BYTES_SENT_AT_ONCE))


def _bytes_of(parts: Packed) -> int:
    return len(parts[3])


def settle_arguments(packed: Sequence[Packed]) -> list[bytes]:
    """Return settlements as the script takes them, consecutive ones of the same numbers together."""
    arguments: list[bytes] = []
    for numbers, run in groupby(packed, key=itemgetter(1)):
        like = list(run)
        carries = numbers[0] not in EMPTY
        arguments.append(_RUN.pack(*numbers, len(like), carries))
        arguments += [each[2] for each in like]
        if carries:
            arguments += [each[3] for each in like]
    return arguments


def pack_damaged(message_id: bytes, token: int, error: ErrorInfo) -> Packed:
    """Pack the end of a lease whose message cannot be read."""
    payload = failure_of(Reason.UNDECODABLE, b"", error)
    return 0, (FAIL_DAMAGED, token, 0.0), message_id, payload


def _parts(settlement: Settlement) -> tuple[int, float, bytes]:
    match settlement:
        case Retry(delay=delay, error=error):
            return RETRY, _whole(delay), pack_error(error) or b""
        case Fail(reason=reason, error=error, attempted=attempted, about=about):
            return FAIL if attempted else FAIL_UNTRIED, 0.0, failure_of(reason, about, error)
        case Release(delay=delay, mismatched=mismatched, error=error):
            if not mismatched:
                return RELEASE, _whole(delay), b""
            return RELEASE_MISMATCHED, _whole(delay), pack_error(error) or b""
        case Cancelled(result_ttl=ttl, about=about):
            return CANCEL, ttl, about_of(about) if about else b""
        case Complete(result_ttl=ttl):  # pragma: no cover - `pack_settlement` has done it
            return COMPLETE_EMPTY, ttl, b""


def failure_of(reason: Reason, about: bytes, error: ErrorInfo | None) -> bytes:
    """Return the parts of a failure as bytes."""
    named = reason.value.encode()
    return bytes([len(named)]) + named + about_of(about) + (pack_error(error) or b"")


def about_of(about: bytes) -> bytes:
    """Return an `about` with its length before it; empty if it is too long."""
    kept = about if len(about) <= ABOUT_BYTES else b""
    return _LENGTH.pack(len(kept)) + kept


def _whole(seconds: float) -> float:
    """Return a delay of whole microseconds, small enough for a float to hold it."""
    return min(max(round(seconds, 6), 0.0), 4e9)
