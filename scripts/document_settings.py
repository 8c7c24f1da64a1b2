"""Write docs/settings.md from the settings themselves."""

from collections.abc import Iterable
from dataclasses import MISSING

from asynctasq.config import SettingInfo, describe_plugin_settings, describe_settings
from asynctasq.config.values import value_as_text
from asynctasq.hookspecs import GROUPS
from asynctasq.plugins import PluginRegistry
from scripts.markdown import made_by, own_plugins, prose, table

INTRODUCTION = """
# Settings and environment

```python
import asynctasq

asynctasq.init({"driver": "sqlite:////srv/shop/tasks.db", "concurrency": 50})
```

The first in this list that has a setting wins:

1. an option of the command line, such as `asynctasq worker --concurrency 50`;
2. the arguments of `asynctasq.init({...})` or `App({...})`;
3. environment variables, `ASYNCTASQ_` and the name in capitals;
4. a file `.env` in the current folder, with the same names;
5. the defaults below.

If a value given to `init()` hides a different one of the environment or of `.env`, the log says so once. Pass to
`init()` what is the same on every machine, such as `lifespan=`, and leave the store to `ASYNCTASQ_DRIVER`.

`asynctasq publish` writes a commented `.env.example` with all of them, those of installed plugins
too.

## How values are written

In code a value has its type: `"100"` is no number there. A text where a list is wanted is a list of
one, and a path may be a text. In the environment and in `.env`, lists are comma separated
(`emails,reports`) or JSON (`["emails", "reports"]`), truth values are `true` and `false`, and `none`
or nothing at all means none where that is allowed. `None` given in code is a value like any other:
`{"default_timeout": None}` beats a `ASYNCTASQ_DEFAULT_TIMEOUT=30` in the environment.

`.env` is read as other programs read it: `export`, quotes, comments and `${NAME}` work (in single
quotes a `${NAME}` stays as it is). Names without our prefix are left to others.

## Plugins

The settings of a plugin form a section with the plugin's name: a dict, or an instance of the
plugin's settings class. An instance says only what differs from its defaults.

```python
asynctasq.init({"driver": "sqlite", "sqlite": {"namespace": "shop"}})
```

In the environment the plugin's name comes first: `ASYNCTASQ_SQLITE_NAMESPACE=shop`.

A driver may be given as a URL, whose scheme is the plugin's name. What the URL says counts like a
section in the same place: a URL in code beats the environment, a URL in the environment yields to a
section in code. A URL and a section in the same place must not contradict each other. Passwords in
URLs are percent-encoded, and masked wherever a URL is logged or shown.

## Mistakes

A key that does not exist, a value of the wrong type or out of range is a `ConfigurationError`. It
tells everything that is wrong at once, each by the key as you wrote it, where it was found, and the
nearest one that exists:

```text
2 settings are not right:
concurency (arguments): unknown setting; did you mean concurrency?
ASYNCTASQ_LEASE (.env line 7): expected a number, got 'long'. Seconds after which the tasks of a worker that died are given to another.
```

Variables of plugins that are not in use are not looked at.

## Variables that are no settings

| variable | meaning |
|---|---|
| `ASYNCTASQ_DEBUG` | `1` makes every command show tracebacks of errors, as `asynctasq --debug` does |
| `ASYNCTASQ_MODEL_EXAMPLES` | how many plays the model test of `asynctasq.testing` tries with a driver |
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
