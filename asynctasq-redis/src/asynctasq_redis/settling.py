"""Settlements as the script `settle` takes them."""

from collections.abc import Sequence
from itertools import groupby
from operator import itemgetter
from struct import Struct

from asynctasq.driverkit.numbers import can_settle
from asynctasq.driverkit.packing import ID_BYTES
from asynctasq.settlement import (
    Cancelled,
    Complete,
    ErrorInfo,
    Fail,
    Reason,
    Release,
    Retry,
    Settlement,
)
from asynctasq_redis.codec import BODY_LIMIT, LARGEST_TOKEN, batches, pack_error

COMPLETE, COMPLETE_EMPTY, RETRY, FAIL = 1, 2, 3, 4
FAIL_UNTRIED, RELEASE, RELEASE_MISMATCHED, CANCEL, FAIL_DAMAGED = 5, 6, 7, 8, 9
CARRYING = frozenset({COMPLETE, RETRY, FAIL, FAIL_UNTRIED, RELEASE_MISMATCHED, FAIL_DAMAGED})
"""Kinds that have bytes."""

AT_ONCE = 1000
"""Settlements that one script call takes."""
BYTES_SENT_AT_ONCE = 64_000_000
"""Of results and errors in one call, unless one alone is larger: a server closes connections that bring
it a gigabyte at once."""

Packed = tuple[int, tuple[int, int, float], bytes, bytes]
"""Its place among the settlements; kind, token, and delay or time to live; id; bytes."""

_RUN = Struct(">BQdHB")


def pack_settlement(place: int, settlement: Settlement) -> Packed | None:
    """Numbers and bytes; None if no lease can be that of the settlement."""
    lease = settlement.lease
    token = lease.token
    if not isinstance(token, int) or not 0 <= token <= LARGEST_TOKEN or len(lease.id) != ID_BYTES:
        return None
    kind, number, payload = _parts(settlement)
    return place, (kind, token, number), lease.id, payload


def batches_of(packed: list[Packed]) -> list[Sequence[Packed]]:
    """What one script call takes each: no lease twice, not too many, and not too large in sum."""
    if len({parts[2] for parts in packed}) < len(packed):
        # Whoever comes second with a lease finds it ended. Of several tokens one is current at most.
        leases = {(parts[2], parts[1][1]): parts for parts in reversed(packed)}
        packed = [parts for parts in packed if leases[parts[2], parts[1][1]] is parts]
    if sum(len(parts[3]) for parts in packed) <= BYTES_SENT_AT_ONCE:
        return batches(packed, AT_ONCE)
    found: list[list[Packed]] = []
    size = BYTES_SENT_AT_ONCE
    for parts in packed:
        if size + len(parts[3]) > BYTES_SENT_AT_ONCE or len(found[-1]) == AT_ONCE:
            found.append([])
            size = 0
        found[-1].append(parts)
        size += len(parts[3])
    return list(found)


def settle_arguments(packed: Sequence[Packed]) -> list[bytes]:
    """Settlements as the script takes them: those that follow on one another and are alike together."""
    arguments: list[bytes] = []
    for numbers, run in groupby(packed, key=itemgetter(1)):
        like = list(run)
        carries = numbers[0] in CARRYING
        arguments.append(_RUN.pack(*numbers, len(like), carries))
        arguments += [each[2] for each in like]
        if carries:
            arguments += [each[3] for each in like]
    return arguments


def is_refused(settlement: Settlement) -> bool:
    """Return whether Redis cannot apply a settlement: it is too large, or a number is not finite."""
    if type(settlement) is Complete:
        ttl, result = settlement.result_ttl, settlement.result
        return ttl - ttl != 0 or (result is not None and len(result) > BODY_LIMIT)
    return not can_settle(settlement)


def pack_damaged(message_id: bytes, token: int, error: ErrorInfo) -> Packed:
    """Pack the end of a lease whose message cannot be read."""
    reason = Reason.UNDECODABLE.value.encode()
    payload = bytes([len(reason)]) + reason + pack_error(error)
    return 0, (FAIL_DAMAGED, token, 0.0), message_id, payload


def _parts(settlement: Settlement) -> tuple[int, float, bytes]:
    match settlement:
        case Complete(result=result, result_ttl=ttl):
            if result is None or ttl <= 0.0:
                return COMPLETE_EMPTY, ttl, b""
            return COMPLETE, ttl, result
        case Retry(delay=delay, error=error):
            return RETRY, _whole(delay), pack_error(error)
        case Fail(reason=reason, error=error, attempted=attempted):
            named = bytes([len(reason.value)]) + reason.value.encode()
            return FAIL if attempted else FAIL_UNTRIED, 0.0, named + pack_error(error)
        case Release(delay=delay, mismatched=mismatched, error=error):
            if not mismatched:
                return RELEASE, _whole(delay), b""
            why = b"" if error is None else pack_error(error)
            return RELEASE_MISMATCHED, _whole(delay), why
        case Cancelled(result_ttl=ttl):
            return CANCEL, ttl, b""


def _whole(seconds: float) -> float:
    """A delay of whole microseconds that ends before numbers lose them."""
    return min(max(round(seconds, 6), 0.0), 4e9)
