"""Settings of the Tortoise resolver."""

from typing import Any

from asynctasq.records import record


@record
class TortoiseSettings:
    """Settings of the resolver `tortoise`."""

    config: dict[str, Any] | str | None = None
    """Value for `Tortoise.init(config=...)`, or its place as `package.module:NAME`. The resolver uses it if
    Tortoise is not initialized when the models of a task are loaded; None leaves this to the
    application."""
