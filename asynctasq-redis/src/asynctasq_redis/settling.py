"""Settlements as the script `settle` takes them."""

from struct import Struct

from asynctasq.settlement import Cancelled, Complete, Fail, Release, Retry, Settlement
from asynctasq_redis.codec import BODY_LIMIT, MOST_32, pack_error

_NUMBERS = Struct(">BId16s")
COMPLETE, COMPLETE_EMPTY, RETRY, FAIL, FAIL_UNTRIED, RELEASE, RELEASE_MISMATCHED, CANCEL = range(
    1, 9
)


def pack_settlement(settlement: Settlement) -> tuple[bytes, bytes] | None:
    """Numbers and bytes; None if no lease can be that of the settlement."""
    lease = settlement.lease
    token = lease.token
    if not isinstance(token, int) or not 0 <= token <= MOST_32 or len(lease.id) != 16:
        return None
    kind, number, payload = _parts(settlement)
    return _NUMBERS.pack(kind, token, number, lease.id), payload


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
