"""The app that the workers of a storm serve: `--app tests.chaos.inside.app:app`."""

import os
import resource
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from asynctasq import App
from asynctasq.contracts.driver import Driver
from tests.chaos.inside.audit import Audit
from tests.chaos.inside.audited import AuditedCalls
from tests.chaos.inside.sqlite import AuditedSqliteDriver, abort_statements
from tests.chaos.inside.starts import fail_thread_starts
from tests.chaos.inside.switches import Switches
from tests.chaos.inside.tasks import LEASE
from tests.chaos.ledger import FOLDER, STARTED, Pen

STORE = "CHAOS_STORE"
"""Environment variable: `sqlite`, `redis`, `postgres`, `mysql`, `rabbitmq` or `rabbitmq-alone`."""
ADDRESS = "CHAOS_ADDRESS"
"""Environment variable: the path of the file, or the URL of the server."""
DESCRIPTORS = 256
"""A task can open as many, so the limit is low."""
SETTINGS: dict[str, Any] = {
    "lease": LEASE,
    "heartbeat_interval": LEASE / 4,
    "grace_period": 2.0,
    "mismatch_patience": 3.0,
    "process_pool_size": 1,
    "process_pool_max_memory": 150 * 2**20,
    "default_retry_delay": 0.3,
    "default_result_ttl": 1800.0,
    "default_max_attempts": 100,
    "default_max_lost": 1000,
}


def audited_driver(store: str, address: str, audit: Audit) -> Driver:
    """Return a driver that writes the ledger."""
    AuditedCalls.audit = audit
    if store == "sqlite":
        return AuditedSqliteDriver(address, synchronous="normal", busy_timeout=1.0)
    if store == "postgres":
        from tests.chaos.inside.postgres import AuditedPostgresDriver

        return AuditedPostgresDriver(address)
    if store == "mysql":
        from tests.chaos.inside.mysql import AuditedMySQLDriver

        return AuditedMySQLDriver(address)
    if store.startswith("rabbitmq"):
        from tests.chaos.inside.rabbitmq import audited_rabbitmq

        return audited_rabbitmq(address)
    from tests.chaos.inside.redis import AuditedRedisDriver

    return AuditedRedisDriver(address)


def make_app() -> App:
    """Return the app of a worker, which fails when the storm asks for it."""
    folder, store = Path(os.environ[FOLDER]), os.environ[STORE]
    switches = Switches(folder)
    switches.start()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (DESCRIPTORS, most))
    fail_thread_starts(switches)
    if store in {"sqlite", "rabbitmq"}:
        abort_statements(switches)
    elif store == "redis":
        from tests.chaos.inside.redis import abort_scripts

        abort_scripts(switches)
    driver = audited_driver(store, os.environ[ADDRESS], Audit(folder, switches))
    pen = Pen(folder / STARTED)

    @asynccontextmanager
    async def lifespan(_: App) -> AsyncIterator[None]:
        """Tell the storm that this process is ready to work."""
        pen.write(f"{os.getpid()} {os.getppid()}\n")
        yield

    return App({"driver": driver, **SETTINGS}, lifespan=lifespan)


if STORE in os.environ:
    app = make_app()
