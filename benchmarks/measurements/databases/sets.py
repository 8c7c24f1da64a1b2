"""The measurements of each database."""

from collections.abc import Callable

from benchmarks.measurements.databases.database_bench import MySQLBench, PostgresBench
from benchmarks.measurements.databases.depth import deadlocks, depth, snapshot
from benchmarks.measurements.databases.dispatch import (
    connections,
    dispatch_on_mysql,
    dispatch_on_postgres,
)
from benchmarks.measurements.databases.drain import drain_on_mysql, drain_on_postgres
from benchmarks.measurements.databases.idle import (
    idle_on_mysql,
    idle_on_postgres,
    latency_on_mysql,
    latency_on_postgres,
)

ON_POSTGRES: dict[str, Callable[[PostgresBench], None]] = {
    "drain": drain_on_postgres,
    "dispatch": dispatch_on_postgres,
    "connections": connections,
    "latency": latency_on_postgres,
    "idle": idle_on_postgres,
    "depth": depth,
    "snapshot": snapshot,
}
ON_MYSQL: dict[str, Callable[[MySQLBench], None]] = {
    "drain": drain_on_mysql,
    "dispatch": dispatch_on_mysql,
    "deadlocks": deadlocks,
    "latency": latency_on_mysql,
    "idle": idle_on_mysql,
    "depth": depth,
    "snapshot": snapshot,
}
