"""The upgrade of a namespace from the format before."""

import logging
from typing import TYPE_CHECKING

from asynctasq.errors import DriverError, DriverUnavailable
from asynctasq_redis.codec import FORMAT

if TYPE_CHECKING:
    from asynctasq_redis.server import Server

log = logging.getLogger("asynctasq.redis")


async def upgrade(server: "Server", offset: int) -> None:
    """Move the messages of format 1 to this format, in bounded steps; does nothing if there are none.

    Messages that workers of the release before lease stay where they are until those leases end, and
    messages that such processes add are moved by the next `reserve` of a worker. Several processes may
    do this at once, and any of them may be killed: each step is complete in itself.

    Raises:
        DriverError: the namespace has a format that this release does not know.
    """
    place: bytes = b""
    left = 0
    while True:
        try:
            found, place, left = await server.run("upgrade", offset, place, left)
        except (
            DriverUnavailable
        ) as error:  # the server takes no writes just now: reserves will do it
            log.debug("Could not look for messages of format 1: %s", error)
            return
        if found not in (b"1", b"%d" % FORMAT):
            raise DriverError(
                f"The namespace {server.settings.namespace!r} of the Redis at {server.place} must have "
                f"format {FORMAT} or older, got {found.decode(errors='replace')}. Upgrade "
                "asynctasq-redis in this process, or choose another namespace."
            )
        if not place:
            break
    if left:
        log.warning(
            "Left %s messages to workers of an earlier release on namespace %s of the Redis at %s; "
            "taking them over when their leases end",
            left,
            server.settings.namespace,
            server.place,
        )
