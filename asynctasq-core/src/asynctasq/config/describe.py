"""Descriptions of all settings, for `docs/settings.md` and the file that `asynctasq publish` writes."""

import ast
import inspect
import textwrap
from dataclasses import fields
from itertools import pairwise
from typing import Any, get_type_hints

from asynctasq.config.sections import variable_of
from asynctasq.config.settings import CORE_FIELDS, CORE_TYPES, default_of, rule_of
from asynctasq.config.values import type_text
from asynctasq.records import record


@record
class SettingInfo:
    """One setting."""

    name: str
    type: str
    """The type in words, with its bounds."""
    default: object
    """The default; `dataclasses.MISSING` if the setting is required."""
    description: str
    variable: str
    """The environment variable."""


def describe_settings() -> list[SettingInfo]:
    """Return every setting of core, in the order of the documents."""
    return [
        SettingInfo(
            name=name,
            type=_type_and_bounds(name),
            default=default_of(each),
            description=rule_of(name).description,
            variable=variable_of(name),
        )
        for name, each in CORE_FIELDS.items()
    ]


def describe_plugin_settings(plugin: str, settings_class: Any) -> list[SettingInfo]:
    """Return every setting of a plugin; `settings_class` is its dataclass.

    A description is the field's metadata `description`, or the docstring below the field.
    """
    hints = get_type_hints(settings_class)
    docstrings = _field_docstrings(settings_class)
    return [
        SettingInfo(
            name=f"{plugin}.{each.name}",
            type=type_text(hints[each.name]),
            default=default_of(each),
            description=str(each.metadata.get("description") or docstrings.get(each.name, "")),
            variable=variable_of(each.name, plugin),
        )
        for each in fields(settings_class)
        if each.init
    ]


def _type_and_bounds(name: str) -> str:
    rule = rule_of(name)
    return ", ".join(filter(None, (rule.type or type_text(CORE_TYPES[name]), rule.bounds())))


def _field_docstrings(cls: type) -> dict[str, str]:
    """Return the docstrings below fields, each on one line; empty if there is no source."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(cls)))
    except (OSError, TypeError, SyntaxError):
        return {}
    body = tree.body[0].body if isinstance(tree.body[0], ast.ClassDef) else []
    found: dict[str, str] = {}
    for statement, following in pairwise(body):
        if not isinstance(statement, ast.AnnAssign) or not isinstance(statement.target, ast.Name):
            continue
        match following:
            case ast.Expr(value=ast.Constant(value=str() as text)):
                found[statement.target.id] = " ".join(text.split())
            case _:
                pass
    return found
