"""Write docs/reference/task-options.md from the options themselves."""

from griffe import Class, Expr

from asynctasq.config import describe_settings
from asynctasq.config.values import value_as_text
from asynctasq.tasks.decorator import FunctionOptions
from asynctasq.tasks.options import DispatchOptions, ResolvedOptions
from asynctasq.tasks.schedule_options import StoredScheduleOptions
from scripts.markdown import docstring, made_by, prose, source, table

INTRODUCTION = """
# Task options

You can set an option in three places:

```python
from asynctasq import AsyncTask, task


@task(queue="mail", timeout=30)  # 1. of a function
async def welcome(address: str) -> None: ...


class Charge(AsyncTask[None]):  # 2. of a class
    queue = "payments"
    max_attempts = 5

    async def execute(self) -> None: ...


welcome("ada@example.org").options(priority=9, timeout=5)  # 3. of one dispatch
```

An option of a dispatch overrides that of the task, which overrides the setting in the last column. An unknown option
or a value out of range raises an error in the line where you write it.

Three options of a dispatch also have a method: `.on_queue(name)` is `.options(queue=name)`, `.delay(seconds)` is
`.options(delay=seconds)`, and `.retry_after(seconds)` is `.options(retry_delay=seconds)`. You can chain them before
`.dispatch()`.

A duration is a number of seconds, or a `timedelta` from `datetime`.
"""

FUNCTIONS = """
For functions. Classes have the methods `should_retry` and `failed` in place of the last two, and base classes in place
of `process`:

"""


SCHEDULES = """
For functions, and for `task(...).schedule(name, ...)`, which also takes `at`. See [Run tasks
periodically](../how-to/schedules.md):

"""


def render() -> str:
    of_function = _chain(FunctionOptions)
    of_dispatch = _chain(DispatchOptions)
    common = [each for each in of_function if each in of_dispatch]
    definition = [each for each in of_function[:-1] if each not in of_dispatch]
    parts = [
        made_by(__name__),
        INTRODUCTION,
        "\n## Of tasks and of single dispatches\n\n",
        *(_table(each, defaults=True) for each in common),
        "\n## Of tasks only\n",
        *(f"\nFor functions and classes:\n\n{_table(each)}" for each in definition),
        FUNCTIONS,
        _table(of_function[-1]),
        SCHEDULES,
        _table(_chain(StoredScheduleOptions)[0]),
        "\n## Of single dispatches only\n\n",
        _table(of_dispatch[-1]),
    ]
    return "".join(parts)


def _chain(cls: type) -> list[str]:
    """Return the paths of a TypedDict and of those it extends; TypedDicts forget their bases."""
    found = [f"{cls.__module__}.{cls.__name__}"]
    while True:
        bases = [
            str(base.canonical_path) for base in _class(found[0]).bases if isinstance(base, Expr)
        ]
        above = [base for base in bases if base.startswith("asynctasq.")]
        if not above:
            return found
        found.insert(0, above[0])


def _class(path: str) -> Class:
    module, _, name = path.rpartition(".")
    found = source(module)[name]
    assert isinstance(found, Class)
    return found


def _table(path: str, *, defaults: bool = False) -> str:
    settings = {each.name for each in describe_settings()}
    rows: list[list[str]] = []
    for name, member in _class(path).attributes.items():
        row = [f"`{name}`", prose(docstring(member)), f"`{member.annotation}`"]
        if defaults:
            setting = f"default_{name}"
            row += [f"`{_default(name)}`", f"`{setting}`" if setting in settings else ""]
        rows.append(row)
    titles = ["option", "meaning", "type", *(["default", "setting"] if defaults else [])]
    return table(titles, rows)


def _default(name: str) -> str:
    """Return the default of an option, as the page shows it."""
    nothing_said = ResolvedOptions()
    origin = nothing_said if hasattr(nothing_said, name) else nothing_said.policy
    return value_as_text(getattr(origin, name))
