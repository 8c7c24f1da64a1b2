"""The executor plugin `loop`."""

from typing import Any

from asynctasq.contracts.executor import Executor
from asynctasq.hookspecs import hookimpl


@hookimpl
def create_executor(name: str, settings: Any) -> Executor:
    """Create the executor."""
    from asynctasq.executors.loop import LoopExecutor

    return LoopExecutor()
