"""Times of the connection for notifications. Tests shorten them."""

from asynctasq.backoff import Backoff
from asynctasq.records import record


@record
class ListenerTiming:
    """How a listener keeps its connection."""

    keepalive: float = 10.0
    """Seconds between two signs of life of the connection, which may die without notice."""
    reconnect: Backoff = Backoff(0.05, 2.0)
    """Pauses between attempts to connect."""
