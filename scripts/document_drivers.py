"""Write docs/reference/drivers.md: what each driver can, as the drivers say."""

from asynctasq.contracts.capabilities import RESERVED, Capability
from asynctasq.plugins import PluginRegistry
from scripts.markdown import docstring, made_by, own_plugins, prose, source, table

INTRODUCTION = """
# Stores

The queue is kept by a driver, and the setting `driver` chooses it: a name, or a URL whose scheme is the
name. Tasks and dispatches stay as they are.

```python
import asynctasq

asynctasq.init({{"driver": "sqlite:////srv/shop/tasks.db"}})
```

| | `sqlite` | `memory` | `redis` |
|---|---|---|---|
| is for | one machine: any number of processes share a file | tests, and programs with their worker inside | several machines |
| install | nothing | nothing | `pip install 'asynctasq[redis]'`, and a server |
| survives | a power failure | nothing | what the server's settings say: see [Redis and Valkey](../redis.md) |

`sqlite` is the default, with the file `asynctasq.db` in the current folder. What survives what, for each
store and setting, stands in [What is guaranteed](../guarantees.md#what-survives-what); the settings of
each in [Settings](../settings.md).

## Capabilities

Every driver can enqueue, lease, settle, renew leases, wait and count. Beyond that it has capabilities, and
says which. An option or command that needs one which the driver lacks raises `CapabilityMissing`, at the
dispatch or at the start, and names it.

{capabilities}
`asynctasq plugins list --check` prints the same of all drivers that are installed, those of others too.
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
    titles = ["capability", "what it is for", *(f"`{name}`" for name in drivers)]
    return made_by(__name__) + INTRODUCTION.format(capabilities=table(titles, rows))


def _drivers() -> dict[str, Capability]:
    """Name of each driver, the first where one has several, and what it can."""
    registry = PluginRegistry()
    found: dict[type, tuple[str, Capability]] = {}
    for name in own_plugins("driver"):
        settings = registry.settings_class("driver", name)
        driver = registry.create_driver(name, settings() if settings else {})
        found.setdefault(type(driver), (name, driver.capabilities))
    return dict(found.values())
