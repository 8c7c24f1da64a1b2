"""The executor plugin `process`."""

from typing import Any

from asynctasq.contracts.executor import Executor
from asynctasq.hookspecs import hookimpl


@hookimpl
def create_executor(name: str, settings: Any) -> Executor:
    """Create the executor."""
    from asynctasq.executors.process.executor import ProcessExecutor
    from asynctasq.executors.process.settings import ProcessSettings

    return ProcessExecutor(ProcessSettings(**settings))
