"""The executors `loop`, `thread` and `process`, and the parts that authors of others need.

- `classify_exception` returns the outcome of an attempt whose task raised
- `run_failed` calls the task's `failed` hook
- `call_hook` calls a method of a task on the worker's event loop, for both of them
- `refuse_unfinished` raises for a return value that shows unfinished work, such as a coroutine
- `surrounded` returns a function that runs within the context managers of plugins, for code outside of event loops
- `error_info` returns an exception as text

Each module is imported when you first use one of its names.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from asynctasq.executors.failures import HookCaller, call_hook, classify_exception, run_failed
    from asynctasq.executors.surrounding import surrounded
    from asynctasq.executors.unfinished import refuse_unfinished
    from asynctasq.failures import error_info

__all__ = [
    "HookCaller",
    "call_hook",
    "classify_exception",
    "error_info",
    "refuse_unfinished",
    "run_failed",
    "surrounded",
]

_MODULES = {
    "HookCaller": "asynctasq.executors.failures",
    "call_hook": "asynctasq.executors.failures",
    "classify_exception": "asynctasq.executors.failures",
    "error_info": "asynctasq.failures",
    "refuse_unfinished": "asynctasq.executors.unfinished",
    "run_failed": "asynctasq.executors.failures",
    "surrounded": "asynctasq.executors.surrounding",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_MODULES[name]), name)
    globals()[name] = value
    return value
