"""The `repr` of tasks with arguments, as shells and errors show it."""

from reprlib import Repr
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from asynctasq.tasks.base import BaseTask

_short = Repr()
_short.maxstring = _short.maxother = 60
_short.maxlevel = 3


def shown_call(task: "BaseTask[Any]", label: str) -> str:
    """Return a task with its arguments in one line: `<call shop:add(1, b=2) options(queue='sums')>`.

    Arguments are shortened. One whose `repr` raises is shown as its type.
    """
    args, kwargs = vars(task).get("_arguments", ((), {}))
    parts = [_short.repr(each) for each in args]
    parts += [f"{name}={_short.repr(value)}" for name, value in kwargs.items()]
    overrides = task._overrides or {}
    chosen = ", ".join(f"{name}={_short.repr(value)}" for name, value in overrides.items())
    options = f" options({chosen})" if chosen else ""
    known = f" id={task._task_id}" if task._task_id is not None else ""
    return f"<{label}({', '.join(parts)}){options}{known}>"
