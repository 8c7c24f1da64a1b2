"""Names of queues and exchanges, and the routing keys of delayed messages."""

DELIVER = "asynctasq.deliver"
"""The exchange that takes delayed messages to their queues. All namespaces of a virtual host share it."""
UNDELIVERED = "asynctasq.undelivered"
"""The exchange and the queue for delayed messages whose queue was deleted in the meantime."""
LEVELS = 28
UNIT = 0.25
"""Seconds of the shortest level of delays."""
LONGEST = UNIT * (2**LEVELS - 1)


def work_queue(namespace: str, queue: str) -> str:
    """Return the name of a queue at the broker."""
    return f"{namespace}.q.{queue}"


def dead_queue(namespace: str, queue: str) -> str:
    """Return the name of the queue of dead letters."""
    return f"{namespace}.dead.{queue}"


def held_queue(namespace: str, hub: str) -> str:
    """Return the name of the queue, and of its exchange, that holds the long tasks of a process."""
    return f"{namespace}.held.{hub}"


def level(queue_type: str, number: int) -> str:
    """Return the name of the exchange, and of the queue, of a level of delays.

    Type and unit are in the name, because a queue cannot be declared again with other arguments.
    """
    return f"asynctasq.delay.{queue_type}.{UNIT:g}.{number}"


def word(queue: str) -> str:
    """Return the name of a queue at the broker as one word of a routing key."""
    return queue.replace(".", "~")


def delay_route(queue_type: str, seconds: float, queue: str) -> tuple[str, str]:
    """Return exchange and routing key for a message that arrives after some seconds, or slightly earlier.

    Args:
        queue_type: of the levels.
        seconds: at least `UNIT`. Longer delays than `LONGEST` end after that.
        queue: name of the queue at the broker.
    """
    units = min(int(seconds / UNIT), 2**LEVELS - 1)
    digits = ".".join(f"{units:0{LEVELS}b}")
    return level(queue_type, units.bit_length() - 1), f"{digits}.{word(queue)}"
