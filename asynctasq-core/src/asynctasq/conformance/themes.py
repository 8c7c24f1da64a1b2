"""The checks of all themes, in the order in which a driver is best written."""

from importlib import import_module
from types import ModuleType

from asynctasq.conformance.check import Check
from asynctasq.conformance.theme_names import THEME_NAMES

THEMES: tuple[ModuleType, ...] = tuple(
    import_module(f"asynctasq.conformance.{name}") for name in THEME_NAMES
)


def all_checks() -> list[Check]:
    """Every check; names are unique.

    Raises:
        ValueError: two checks have one name.
    """
    checks = [
        value for theme in THEMES for value in vars(theme).values() if isinstance(value, Check)
    ]
    names = [check.name for check in checks]
    if len(set(names)) < len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        raise ValueError(f"two checks are called {', '.join(twice)}")
    return checks
