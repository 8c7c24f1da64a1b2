"""Functions that drivers of SQL databases share: they shape data and know no client library.

- queries: statements by name, from files
- migrations: the steps from one version of the tables to the next
- rows: messages as the columns of a row
- connection_adapter: the base of adapters for plain connections
- plans: running the plan of a call in a transaction, and its statements
- metric_walk: pages of counts
- grouping: messages, and completions, that one statement writes together
"""

from asynctasq.driverkit.sql.connection_adapter import ConnectionAdapter
from asynctasq.driverkit.sql.grouping import (
    BatchMismatch,
    Completions,
    InCommon,
    completions_of,
    runs_of,
)
from asynctasq.driverkit.sql.metric_walk import MetricWalk, name_bytes, name_text
from asynctasq.driverkit.sql.migrations import Step, check_version, pending_steps
from asynctasq.driverkit.sql.plans import (
    is_table_missing,
    named_statement,
    no_transaction,
    other_database,
    run_plan,
    run_plan_async,
    wrong_transaction,
)
from asynctasq.driverkit.sql.queries import read_queries, read_script
from asynctasq.driverkit.sql.rows import BLOCKED, DEAD, LEASED, STATES, pack_row, rank

__all__ = [
    "BLOCKED",
    "DEAD",
    "LEASED",
    "STATES",
    "BatchMismatch",
    "Completions",
    "ConnectionAdapter",
    "InCommon",
    "MetricWalk",
    "Step",
    "check_version",
    "completions_of",
    "is_table_missing",
    "name_bytes",
    "name_text",
    "named_statement",
    "no_transaction",
    "other_database",
    "pack_row",
    "pending_steps",
    "rank",
    "read_queries",
    "read_script",
    "run_plan",
    "run_plan_async",
    "runs_of",
    "wrong_transaction",
]
