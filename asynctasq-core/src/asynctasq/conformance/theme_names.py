"""The themes of the conformance suite, in a module that is cheap to import.

Each name is that of a module in this package. The order is the one in which a driver is best written.
"""

THEME_NAMES: tuple[str, ...] = (
    "lifetime",
    "enqueue",
    "due",
    "lease",
    "outage",
    "settle",
    "order",
    "expiry",
    "wait",
    "concurrency",
    "results",
    "progress",
    "cancel",
    "unique",
    "dead_letters",
    "inspect",
    "pause",
    "purge",
    "workers",
    "schema",
    "bounds",
    "damage",
)
