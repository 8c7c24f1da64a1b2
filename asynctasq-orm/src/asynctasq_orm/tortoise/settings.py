"""What can be set of the Tortoise resolver."""

from typing import Any

from asynctasq.records import record


@record
class TortoiseSettings:
    """Settings of the resolver `tortoise`."""

    config: dict[str, Any] | str | None = None
    """What `Tortoise.init(config=...)` takes, or where it is to be found: `package.module:NAME`. It is used
    where Tortoise is not initialized when a task's models are loaded; None leaves that to the
    application."""
