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
    "races",
    "results",
    "progress",
    "cancel",
    "unique",
    "keys",
    "dead_letters",
    "inspect",
    "listings",
    "pause",
    "purge",
    "workers",
    "news",
    "metrics",
    "schema",
    "transactions",
    "outbox",
    "state",
    "bounds",
    "damage",
    "crash",
    "real_time",
)
