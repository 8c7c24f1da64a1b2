"""Run a storm: `python -m tests.chaos STORE [--tasks N] [--seconds S] [--seed N]`. Exit code 1 if it finds something."""

import argparse
import asyncio
import logging
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.chaos.stores.store import Store
from tests.chaos.storm import Storm, new_seed


def _sqlite(folder: Path) -> Store:
    from tests.chaos.stores.sqlite import SqliteStore

    return SqliteStore(folder)


def _redis(folder: Path) -> Store:
    from tests.chaos.stores.redis import RedisStore

    return RedisStore(folder)


def _sentinels(folder: Path) -> Store:
    from tests.chaos.stores.failover import SentinelStore

    return SentinelStore(folder)


def _cluster(folder: Path) -> Store:
    from tests.chaos.stores.failover import ClusterStore

    return ClusterStore(folder)


def _postgres(folder: Path) -> Store:
    from tests.chaos.stores.postgres import PostgresStore

    return PostgresStore(folder)


def _mysql(folder: Path) -> Store:
    from tests.chaos.stores.mysql import MysqlStore

    return MysqlStore(folder)


def _rabbitmq(folder: Path) -> Store:
    from tests.chaos.stores.rabbitmq import RabbitmqStore

    return RabbitmqStore(folder)


def _rabbitmq_alone(folder: Path) -> Store:
    from tests.chaos.stores.rabbitmq import RabbitmqAloneStore

    return RabbitmqAloneStore(folder)


STORES: Mapping[str, Callable[[Path], Store]] = {
    "sqlite": _sqlite,
    "redis": _redis,
    "postgres": _postgres,
    "mysql": _mysql,
    "redis-sentinels": _sentinels,
    "redis-cluster": _cluster,
    "rabbitmq": _rabbitmq,
    "rabbitmq-alone": _rabbitmq_alone,
}


def main() -> None:
    """Run the storm, print its report, and exit."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("store", choices=sorted(STORES))
    parser.add_argument("--tasks", type=int, default=50_000, help="number of tasks")
    parser.add_argument(
        "--seconds",
        type=float,
        default=210.0,
        help="time for which tasks are sent and faults happen",
    )
    parser.add_argument("--seed", type=int, default=new_seed())
    parser.add_argument(
        "--without", action="append", default=[], metavar="FAULT", help="leave a fault out"
    )
    given = parser.parse_args()
    signal.signal(
        signal.SIGTERM, signal.default_int_handler
    )  # so that workers and servers end, too
    folder = Path(tempfile.mkdtemp(prefix=f"chaos-{given.store}-"))
    logging.basicConfig(filename=folder / "dispatcher.log", format="%(asctime)s %(message)s")
    print(f"{given.store}, seed {given.seed}, in {folder}", flush=True)
    store = STORES[given.store](folder / "store")
    faults = {
        name: [each for each in lane if each.name not in given.without]
        for name, lane in store.faults().items()
    }
    kinds = store.kinds(given.tasks, given.seed)
    storm = Storm(store, folder, kinds, faults, seconds=given.seconds, seed=given.seed)
    report = asyncio.run(storm.run(lambda line: print(f"  {line}", flush=True)))
    print(report)
    if report.problems:
        print(f"The ledger, the store and the log of the workers are kept in {folder}.")
        sys.exit(1)
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
