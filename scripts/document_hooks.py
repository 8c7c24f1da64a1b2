"""Write docs/reference/hooks.md from the hook specifications."""

import inspect
from collections.abc import Callable
from typing import Any

from asynctasq import hookspecs
from scripts.markdown import made_by, prose, table

INTRODUCTION = """
# Hooks

A plugin is a module or an object with functions that are marked `@hookimpl` and have the names on this page. Your
function may take fewer arguments than the page lists. [Observe tasks with a plugin](../how-to/own-plugin.md) shows how
to write a plugin, and [Write a driver](../writing-a-driver.md) how to publish one.

| kind | entry-point group |
|---|---|
{groups}
Users select a plugin by the name of its entry point, whose value is the module. In an application, you can register
a plugin without an entry point: `app.plugins.register(module_or_object, kind=..., name=...)`.

## Factories

These hooks are called only on the plugin that a name selects.

{factories}
`settings` is an instance of the class that your `settings_class` returns, filled from arguments, environment and
`.env`. Without that hook it is a plain dict. Import heavy modules inside the factory.

## Observers

Each observer takes one context, may be sync or async, and cannot change the outcome. If one raises an exception, it
is logged with the name of the plugin and has no other effect. `before_dispatch` may add headers.

{observers}
## Hooks that change the outcome

{changing}
## Hooks around dispatches and tasks

Each hook returns a context manager, or `None`. The context manager sees exceptions, and cannot change them. If a hook
or its context manager raises an exception, it is logged with the name of the plugin and has no other effect.

{surrounding}
## Further hooks

{others}
## Contexts

::: asynctasq.hookspecs.DispatchContext
    options:
      heading_level: 3

::: asynctasq.hookspecs.DispatchBatch
    options:
      heading_level: 3

::: asynctasq.hookspecs.ExecutionContext
    options:
      heading_level: 3

::: asynctasq.hookspecs.SettledContext
    options:
      heading_level: 3

::: asynctasq.hookspecs.NewsContext
    options:
      heading_level: 3

::: asynctasq.hookspecs.WorkerContext
    options:
      heading_level: 3

::: asynctasq.hookspecs.OperationContext
    options:
      heading_level: 3

::: asynctasq.hookspecs.Sample
    options:
      heading_level: 3

`delivery` is an [`asynctasq.message.Delivery`][], `message` an [`asynctasq.message.Message`][], and `news` an
[`asynctasq.contracts.capabilities.News`][].
"""


def render() -> str:
    hooks = {name: value for name, value in vars(hookspecs).items() if is_hook(value)}
    observers = {name: hook for name, hook in hooks.items() if "context" in parameters(hook)}
    factories = {name: hook for name, hook in hooks.items() if "name" in parameters(hook)}
    rest = {n: hook for n, hook in hooks.items() if n not in observers and n not in factories}
    changing = {name: rest.pop(name) for name in ("wrap_execute",)}
    surrounding = {name: rest.pop(name) for name in ("wrap_dispatch", "wrap_task")}
    groups = "".join(f"| {kind} | `{group}` |\n" for kind, group in hookspecs.GROUPS.items())
    return made_by(__name__) + INTRODUCTION.format(
        groups=groups,
        factories=_table(factories, "hook", "what it does"),
        observers=_table(observers, "hook", "when"),
        changing=_table(changing, "hook", "what it does"),
        surrounding=_table(surrounding, "hook", "what it surrounds"),
        others=_table(rest, "hook", "what it does"),
    )


def is_hook(value: object) -> bool:
    """Return whether the value is a hook specification."""
    return inspect.isfunction(value) and hasattr(value, f"{hookspecs.PROJECT}_spec")


def parameters(hook: Callable[..., Any]) -> list[str]:
    """Return the names of the arguments of a hook."""
    return list(inspect.signature(hook).parameters)


def _table(hooks: dict[str, Callable[..., Any]], *titles: str) -> str:
    rows: list[list[str]] = []
    for name, hook in hooks.items():
        if not hook.__doc__:
            raise ValueError(f"the hook {name} has no docstring: documents show it")
        rows.append(
            [f"`{name}({', '.join(_arguments(hook))})`", prose(inspect.cleandoc(hook.__doc__))]
        )
    return table(titles, rows)


def _arguments(hook: Callable[..., Any]) -> list[str]:
    return [
        name if each.annotation in {str, Any} else f"{name}: {_type(each.annotation)}"
        for name, each in inspect.signature(hook).parameters.items()
    ]


def _type(annotation: Any) -> str:
    return (
        annotation
        if isinstance(annotation, str)
        else getattr(annotation, "__name__", str(annotation))
    )
