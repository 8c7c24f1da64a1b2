"""Messages whose IDs begin or end with some digits."""

from asynctasq.contracts.capabilities import Page
from asynctasq.driverkit.id_walks import IdWalk
from asynctasq.driverkit.packing import ID_BYTES
from asynctasq_postgres.server import Server

LOOKED_AT_ONCE = 10_000
"""IDs that one call looks at, which takes a few milliseconds."""
_GREATEST = (1 << 8 * ID_BYTES) - 1


async def match_ids(server: Server, part: str, *, limit: int, cursor: str | None) -> Page[bytes]:
    """Return a page of the IDs that begin or end with a part."""
    walk = IdWalk.begin(part, limit=limit, cursor=cursor)
    most = min(max(limit, 0), LOOKED_AT_ONCE) + 1
    [(ids, until)] = await server.rows(
        "match_ids", server.settings.namespace, _following(walk.after), walk.last[:ID_BYTES],
        part if walk.searches_ends else None, LOOKED_AT_ONCE, most,
    )  # fmt: skip
    return walk.page(ids, until)


def _following(message_id: bytes) -> bytes:
    """Return the ID that comes after one, or the first one if it is empty."""
    if not message_id:
        return bytes(ID_BYTES)
    number = int.from_bytes(message_id[:ID_BYTES].ljust(ID_BYTES, b"\0"))
    return min(number + 1, _GREATEST).to_bytes(ID_BYTES)
