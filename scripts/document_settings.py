"""Write docs/settings.md from the settings themselves."""

from collections.abc import Iterable
from dataclasses import MISSING

from asynctasq.config import SettingInfo, describe_plugin_settings, describe_settings
from asynctasq.config.values import value_as_text
from asynctasq.hookspecs import GROUPS
from asynctasq.plugins import PluginRegistry
from scripts.markdown import made_by, own_plugins, prose, table

INTRODUCTION = """
# Settings and environment variables

```python
import asynctasq

asynctasq.init({"driver": "sqlite:////srv/shop/tasks.db", "concurrency": 50})
```

You can give a setting in several places. The first place in this list that has it wins:

1. an option of the command line, for example `asynctasq worker --concurrency 50`
2. the arguments of `asynctasq.init({...})` or `App({...})`
3. environment variables: `ASYNCTASQ_` and the name in capitals
4. a file `.env` in the current folder, with the same names
5. the defaults below

If a value that you pass to `init()` hides a different one from the environment or from `.env`, a log line warns you
once. Pass values to `init()` that are the same on every machine, such as `lifespan=`, and set the store with
`ASYNCTASQ_DRIVER`.

Run `asynctasq publish` to write a commented `.env.example` with all settings, including those of your installed
plugins.

## How to write values

In code, values must have the right type: `"100"` is not accepted as a number. A single string is accepted as a
one-item list, and a path may be a string. In the environment and in `.env`, write lists with commas
(`emails,reports`) or as JSON (`["emails", "reports"]`), and booleans as `true` and `false`. For settings that may be
none, write `none` or leave the value empty. If you pass `None` in code, it counts like any other value. For example,
`{"default_timeout": None}` takes precedence over `ASYNCTASQ_DEFAULT_TIMEOUT=30` in the environment.

You can write `.env` as for other programs: `export`, quotes, comments and `${NAME}` work (in single quotes, `${NAME}`
is not replaced). Names without the prefix `ASYNCTASQ_` are ignored.

## Settings of plugins

The settings of a plugin form a section with the name of the plugin. You can write the section as a dict, or as an
instance of the plugin's settings class. Of an instance, only the values that differ from the defaults count.

```python
asynctasq.init({"driver": "sqlite", "sqlite": {"namespace": "shop"}})
```

In the environment, the name of the plugin comes first: `ASYNCTASQ_SQLITE_NAMESPACE=shop`.

You can give a driver as a URL, whose scheme is the name of the plugin. The settings in a URL count like a section in
the same place. For example, a URL in code takes precedence over the environment, and a section in code takes
precedence over a URL in the environment. A URL and a section in the same place must not contradict each other.
Percent-encode passwords in URLs. They are masked wherever a URL is logged or shown.

## Errors in settings

An unknown setting, or a value of the wrong type or out of range, raises a `ConfigurationError`. The error lists all
problems at once. Each line has the name as you wrote it, the place where it was found, and the most similar existing
name. For example:

```text
2 settings are invalid:
ASYNCTASQ_LEASE (.env line 7) must be a number, got 'long'. Lease duration: seconds until another worker picks up the tasks of a dead worker.
concurency (arguments): unknown setting; did you mean concurrency?
```

Variables of plugins that you do not use are not checked.

## Variables that are not settings

| variable | meaning |
|---|---|
| `ASYNCTASQ_DEBUG` | `1` makes every command show tracebacks of errors, as `asynctasq --debug` does |
| `ASYNCTASQ_MODEL_EXAMPLES` | number of examples that the model test for drivers runs |
| `ASYNCTASQ_TEST_...` | addresses of servers for the tests of asynctasq itself |
"""


def render() -> str:
    sections = [made_by(__name__) + INTRODUCTION, "## Core\n", _table(describe_settings())]
    registry = PluginRegistry()
    for kind in GROUPS:
        described: set[type] = set()  # a plugin of several names (redis, rediss) is described once
        for name in own_plugins(kind):
            settings_class = registry.settings_class(kind, name)
            if settings_class is not None and settings_class not in described:
                described.add(settings_class)
                sections.append(f"## {kind.capitalize()} `{name}`\n")
                sections.append(_table(describe_plugin_settings(name, settings_class)))
    return "\n".join(sections)


def _table(settings: Iterable[SettingInfo]) -> str:
    rows: list[list[str]] = []
    for each in settings:
        if not each.description:
            raise ValueError(f"the setting {each.name} has no description: documents show it")
        default = "" if each.default is MISSING else value_as_text(each.default)
        of = (
            f"; `{default}` by default"
            if default
            else "; empty by default"
            if default == ""
            else ""
        )
        rows.append(
            [
                f"`{each.name}`<br>`{each.variable}`",
                f"{prose(each.description)}<br>*{each.type[0].upper()}{prose(each.type[1:])}{of}.*",
            ]
        )
    return table(["setting and variable", "meaning"], rows)
