"""Settlements as the script `settle` takes them."""

from collections.abc import Sequence
from itertools import groupby
from operator import itemgetter
from struct import Struct

from asynctasq.settlement import Cancelled, Complete, Fail, Release, Retry, Settlement
from asynctasq_redis.codec import BODY_LIMIT, ID_BYTES, MOST_32, pack_error

COMPLETE, COMPLETE_EMPTY, RETRY, FAIL = 1, 2, 3, 4
FAIL_UNTRIED, RELEASE, RELEASE_MISMATCHED, CANCEL = 5, 6, 7, 8
CARRYING = frozenset({COMPLETE, RETRY, FAIL, FAIL_UNTRIED})
"""Kinds that have bytes."""

Packed = tuple[int, tuple[int, int, float], bytes, bytes]
"""Its place among the settlements; kind, token, and delay or time to live; id; bytes."""

_RUN = Struct(">BIdHB")


def pack_settlement(place: int, settlement: Settlement) -> Packed | None:
    """Numbers and bytes; None if no lease can be that of the settlement."""
    lease = settlement.lease
    token = lease.token
    if not isinstance(token, int) or not 0 <= token <= MOST_32 or len(lease.id) != ID_BYTES:
        return None
    kind, number, payload = _parts(settlement)
    return place, (kind, token, number), lease.id, payload


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


def is_too_large(settlement: Settlement) -> bool:
    """Whether Redis would close the connection rather than take it."""
    return isinstance(settlement, Complete) and len(settlement.result or b"") > BODY_LIMIT


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
        case Release(delay=delay, mismatched=mismatched):
            return RELEASE_MISMATCHED if mismatched else RELEASE, _whole(delay), b""
        case Cancelled(result_ttl=ttl):
            return CANCEL, ttl, b""


def _whole(seconds: float) -> float:
    """A delay of whole microseconds that ends before numbers lose them."""
    return min(max(round(seconds, 6), 0.0), 4e9)
