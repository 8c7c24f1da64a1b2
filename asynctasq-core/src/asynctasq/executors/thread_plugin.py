"""The executor plugin `thread`."""

from typing import Any

from asynctasq.contracts.executor import Executor
from asynctasq.hookspecs import hookimpl


@hookimpl
def create_executor(name: str, settings: Any) -> Executor:
    """Create the executor."""
    from asynctasq.executors.thread import ThreadExecutor

    return ThreadExecutor()
