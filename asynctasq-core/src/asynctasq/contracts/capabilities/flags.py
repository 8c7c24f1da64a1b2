"""Flags of the capabilities that a driver has beyond the required methods."""

from enum import Flag, auto


class Capability(Flag):
    """Flags of `Driver.capabilities`.

    A flag either promises a small protocol of methods (`SupportsResults` for `RESULTS`, for example) or
    a property of the required methods (`FENCED`, for example).
    """

    NONE = 0
    PRIORITY = auto()
    """`Message.priority` orders a queue."""
    UNIQUE = auto()
    """Unique keys, with every `UniqueUntil` and `OnConflict`; their scope is the namespace."""
    RESULTS = auto()
    """Callers can await the result of a task, and read its outcome."""
    PROGRESS = auto()
    """Running tasks can report progress."""
    CANCEL = auto()
    """Waiting messages can be cancelled, and running ones interrupted."""
    PAUSE = auto()
    """Queues can be paused and resumed."""
    DEAD_LETTERS = auto()
    """Dead letters can be listed, retried, edited and deleted."""
    INSPECT = auto()
    """Queues and messages can be listed and found."""
    PURGE = auto()
    """The waiting messages of a queue can be deleted together."""
    WORKERS = auto()
    """Workers register themselves and can be listed."""
    SCHEMA = auto()
    """The store has tables, which `asynctasq migrate` updates."""
    EVENTS = auto()
    """The store passes events on to listeners."""
    TRANSACTIONS = auto()
    """Dispatch, cancel, status and completion can take place in a transaction of the application."""
    DEPENDENCIES = auto()
    """Reserved: messages that wait for other messages."""
    SCHEDULES = auto()
    """Schedules dispatch messages at given times."""
    LIMITS = auto()
    """Reserved: limits across workers on how many messages run at once or per second."""
    FENCED = auto()
    """`settle` and `extend` act for the current token only. That includes retry and release."""
    ATOMIC = auto()
    """A chunk is enqueued whole or not at all."""
    COUNTED = auto()
    """`Delivery.attempt` and `Delivery.lost` are exact."""
    IDEMPOTENT = auto()
    """An enqueue of a known id changes nothing."""
    FIFO = auto()
    """The order of `reserve` is exact."""
    EXACT_COUNT = auto()
    """`count` is exact. Without it, fields of `QueueCounts` are estimates or None."""
    DETACHED = auto()
    """Only time ends a lease. Without it, a lease may also end when the worker's connection closes."""
    NEWS = auto()
    """The driver reports which messages its upkeep moved."""
    STATE = auto()
    """The store can keep outcomes and marks for messages that a broker holds."""
    METRICS = auto()
    """The store keeps counts per minute, queue and task, and the latest outcomes."""
    STEPS = auto()
    """Reserved: results of the steps of a task, kept between its runs."""
    MOVE = auto()
    """Waiting messages can be moved to another queue, and get another priority, due time or expiry."""
    WORKER_REQUESTS = auto()
    """Operators can ask workers to take nothing new, or to stop."""
    OUTBOX = auto()
    """The database can hold the outbox of an application whose messages go to another store."""


EXACT_STORE = (
    Capability.FENCED
    | Capability.ATOMIC
    | Capability.COUNTED
    | Capability.IDEMPOTENT
    | Capability.FIFO
    | Capability.EXACT_COUNT
    | Capability.DETACHED
)
"""Properties of a store that does each call in one transaction, or under one lock."""

FULL_STORE = (
    EXACT_STORE
    | Capability.PRIORITY
    | Capability.UNIQUE
    | Capability.RESULTS
    | Capability.PROGRESS
    | Capability.CANCEL
    | Capability.PAUSE
    | Capability.DEAD_LETTERS
    | Capability.INSPECT
    | Capability.PURGE
    | Capability.WORKERS
)
"""Capabilities of a store that can be searched, as databases can and brokers cannot."""
