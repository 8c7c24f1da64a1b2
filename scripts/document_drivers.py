"""Write docs/reference/drivers.md from the capabilities of the drivers."""

from asynctasq.contracts.capabilities import RESERVED, Capability
from asynctasq.contracts.capabilities.deaths import SupportsDeaths
from asynctasq.drivers.composed.placing import capabilities_of
from asynctasq.drivers.sqlite import SqliteDriver
from asynctasq.plugins import PluginRegistry
from scripts.markdown import docstring, made_by, own_plugins, prose, source, table

INTRODUCTION = """
# Stores

A driver keeps the queue in a store. You choose the driver with the setting `driver`, either by name or as a URL
whose scheme is the name. Your tasks and dispatches do not change. For example:

```python
import asynctasq

asynctasq.init({{"driver": "sqlite:////srv/shop/tasks.db"}})
```

| driver | use it for | install | survives |
|---|---|---|---|
| `sqlite` | one machine, where any number of processes share a file | nothing | a power failure |
| `memory` | tests, and programs that run their own worker | nothing | nothing |
| `redis` | several machines, high rates | `pip install 'asynctasq[redis]'`, and a server | depends on the settings of the server: see [Redis and Valkey](../redis.md) |
| `postgres` | several machines, and dispatches in transactions of your PostgreSQL database | `pip install 'asynctasq[postgres]'`, and a server | a power failure: see [PostgreSQL](../postgres.md) |
| `mysql` | several machines, and dispatches in transactions of your MySQL or MariaDB database | `pip install 'asynctasq[mysql]'`, and a server | a power failure: see [MySQL and MariaDB](../mysql.md) |
| `rabbitmq` | several machines with a broker that you already run | `pip install 'asynctasq[rabbitmq]'`, and a server | a power failure: see [RabbitMQ](../rabbitmq.md) |
| `sqs` | several machines, without a server of your own | `pip install 'asynctasq[sqs]'`, and an AWS account | the loss of a data center: see [Amazon SQS](../sqs.md) |

`sqlite` is the default, with the file `asynctasq.db` in the current folder. [What is guaranteed](../guarantees.md#what-survives-what)
lists the failures that each store survives, depending on its settings. [Settings](../settings.md) lists the settings
of each driver.

## Capabilities

Every driver can enqueue messages, lease and settle them, renew leases, wait for messages and count them. Each driver
declares its further capabilities. If you use an option or command that needs a missing one, the dispatch or the start
raises `CapabilityMissing` with the name of the capability.

{capabilities}
A queue such as SQS has more capabilities beside a [state store](../state-store.md), which the setting `state` names.

`asynctasq plugins list --check` prints the capabilities of all installed drivers, including third-party ones.
"""


def render() -> str:
    drivers = _drivers()
    flags = source("asynctasq.contracts.capabilities.flags")["Capability"].members
    rows = [
        [
            f"`{flag.name}`",
            prose(docstring(flags[str(flag.name)])),
            *("yes" if flag in capabilities else "no" for capabilities in drivers.values()),
        ]
        for flag in Capability
        if flag not in RESERVED or any(flag in can for can in drivers.values())
    ]
    titles = ["capability", "purpose", *(f"`{name}`" for name in drivers)]
    return made_by(__name__) + INTRODUCTION.format(capabilities=table(titles, rows))


def _drivers() -> dict[str, Capability]:
    """Return the capabilities of each driver by its name, or by the first of its names."""
    registry = PluginRegistry()
    found: dict[object, tuple[str, Capability]] = {}
    for name in own_plugins("driver"):
        settings = registry.settings_class("driver", name)
        driver = registry.create_driver(name, settings() if settings else {})
        found.setdefault(type(driver), (name, driver.capabilities))
        if isinstance(driver, SupportsDeaths):
            composed = capabilities_of(driver.capabilities, SqliteDriver.capabilities)
            found.setdefault((type(driver), "state"), (f"{name} with state", composed))
    return dict(found.values())
