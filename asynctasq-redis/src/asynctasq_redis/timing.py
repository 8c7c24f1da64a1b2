"""Times of the driver that are not settings. Tests shorten or lengthen them."""

from asynctasq.backoff import Backoff
from asynctasq.records import record


@record
class ListenerTiming:
    """Times of the connection that receives notifications, in seconds."""

    poll: float = 1.0
    """Time after which a waiter looks into the store without a notification."""
    ping: float = 15.0
    """Time between two pings. A connection on which nothing arrives after a ping is half open."""
    reconnect: Backoff = Backoff(0.05, 2.0)
    """Pauses between attempts to connect."""
    refused: float = 60.0
    """Pause if the user may not subscribe."""
