"""Definition of tasks: the decorator, the base classes, the options, and the running task."""

from asynctasq.tasks.base import (
    AsyncProcessTask,
    AsyncTask,
    BaseTask,
    SyncProcessTask,
    SyncTask,
)
from asynctasq.tasks.context import CurrentTask, current_task
from asynctasq.tasks.decorator import FunctionCall, FunctionTask, task
from asynctasq.tasks.options import DispatchOptions, TaskOptions
from asynctasq.tasks.outcomes import Reject, Retry, Snooze

__all__ = [
    "AsyncProcessTask",
    "AsyncTask",
    "BaseTask",
    "CurrentTask",
    "DispatchOptions",
    "FunctionCall",
    "FunctionTask",
    "Reject",
    "Retry",
    "Snooze",
    "SyncProcessTask",
    "SyncTask",
    "TaskOptions",
    "current_task",
    "task",
]
