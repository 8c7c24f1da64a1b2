"""The executors of core keep every rule of their contract."""

from typing import Any

import pytest

from asynctasq.conformance import ExecutorConformance
from asynctasq.contracts.executor import Executor
from asynctasq.executors.loop import LoopExecutor
from asynctasq.executors.process.executor import ProcessExecutor
from asynctasq.executors.process.settings import ProcessSettings
from asynctasq.executors.thread import ThreadExecutor


class TestLoop(ExecutorConformance):
    mode = "loop"

    def make_executor(self, settings: Any) -> Executor:
        return LoopExecutor()


class TestThread(ExecutorConformance):
    mode = "thread"

    def make_executor(self, settings: Any) -> Executor:
        return ThreadExecutor()


@pytest.mark.sampled(5)
class TestProcess(ExecutorConformance):
    mode = "process"

    def make_executor(self, settings: Any) -> Executor:
        return ProcessExecutor(ProcessSettings(**settings))
