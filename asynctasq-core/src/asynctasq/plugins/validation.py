"""Checks of a plugin's hooks, and of the products of its factories, against the contract."""

import inspect
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from functools import cache

import pluggy

from asynctasq import hookspecs
from asynctasq.annotations import signature_of
from asynctasq.contracts.capabilities import Capability, check_capabilities
from asynctasq.contracts.driver import DRIVER_API_VERSION
from asynctasq.errors import PluginBroken
from asynctasq.hookspecs import PROJECT
from asynctasq.plugins.discovery import PluginEntry

FACTORIES: Mapping[str, str] = {
    "driver": "create_driver",
    "serializer": "create_serializer",
    "executor": "create_executor",
    "resolver": "create_resolver",
    "transaction": "create_transaction_adapter",
}
"""Kind of plugin to the hook that creates its product."""

MEMBERS: Mapping[str, Sequence[str]] = {
    "driver": (
        *("api_version", "capabilities", "clock_offset", "description"),
        *("clone", "open", "close"),
        *("enqueue", "reserve", "wait", "settle", "extend", "count"),
    ),
    "serializer": ("content_type", "dumps", "loads"),
    "executor": ("start", "stop", "execute", "failed"),
    "resolver": ("reference", "resolve", "close"),
    "transaction": ("unwrap", "is_async", "dialect", "sees_commit", "run"),
}
"""Kind of plugin to the attributes that its product must have."""

# Called without `await`, so that a coroutine would never run.
PLAIN_HOOKS = frozenset(
    [
        *FACTORIES.values(),
        "settings_class",
        "wrap_execute",
        "wrap_dispatch",
        "wrap_task",
        "collect",
        "register_commands",
    ]
)


@cache
def specifications() -> Mapping[str, tuple[str, ...]]:
    """Return all hooks with the names of their parameters."""
    return {
        name: tuple(signature_of(function).parameters)
        for name, function in vars(hookspecs).items()
        if hasattr(function, f"{PROJECT}_spec")
    }


def check_hooks(target: object, implementations: Sequence[tuple[str, pluggy.HookImpl]]) -> None:
    """Check the hooks for mistakes that pluggy accepts silently or reports unclearly.

    Raises:
        PluginBroken: a hook does not exist, or its function cannot be called as it will be.
    """
    for name, implementation in implementations:
        if name in specifications():
            _check_function(name, implementation, of_class=isinstance(target, type))
        elif not implementation.optionalhook:
            near = get_close_matches(name, specifications(), n=1)
            raise PluginBroken(
                f"there is no hook named {name!r}."
                + (f" Did you mean {near[0]!r}?" if near else "")
            )


def check_purpose(kind: str, target: object, implemented: frozenset[str]) -> None:
    """Check that a plugin implements the hooks of its kind.

    Raises:
        PluginBroken: it has no factory, or, among the hooks, nothing at all.
    """
    factory = FACTORIES.get(kind)
    if factory in implemented or (factory is None and implemented):
        return
    missing = "any hook" if factory is None else f"the hook {factory!r}"
    remedy = (
        "mark its functions with @hookimpl of asynctasq.hookspecs"
        if unmarked(target)
        else "a plugin is a module or object with functions marked @hookimpl of asynctasq.hookspecs"
    )
    raise PluginBroken(f"it does not implement {missing}: {remedy}.")


def unmarked(target: object) -> list[str]:
    """Return functions that are named like hooks but lack the decorator."""
    found: list[str] = []
    for name in specifications():
        function = inspect.getattr_static(target, name, None)
        if inspect.isfunction(function) and not (
            hasattr(function, f"{PROJECT}_spec") or hasattr(function, f"{PROJECT}_impl")
        ):
            found.append(name)
    return found


def check_product(kind: str, name: str, product: object) -> None:
    """Check the product of a factory against the contract of its kind.

    Raises:
        PluginBroken: something is missing, or does not fit.
    """
    made = type(product).__qualname__
    missing = [member for member in MEMBERS[kind] if not hasattr(product, member)]
    if missing:
        raise PluginBroken(f"{made} lacks {', '.join(missing)}, which every {kind} has.")
    if kind == "driver":
        _check_flags(product)
    elif kind == "serializer":
        content_type = getattr(product, "content_type", None)
        if content_type != name:
            raise PluginBroken(
                f"{made}.content_type is {content_type!r}; it must be the name of the entry point, "
                f"{name!r}, by which a worker finds the serializer again."
            )


def check_driver(driver: object, entry: PluginEntry | None = None) -> None:
    """Check a driver against the contract. `entry` is the plugin that created it, if any.

    Raises:
        PluginBroken: a required member is missing, it was written for another version of the
            contract, or its flags and methods disagree.
    """
    if isinstance(driver, str | type):
        raise PluginBroken(
            f"driver must be an instance, got {driver!r}. To choose a driver by name or URL, use the setting "
            "`driver`."
        )
    _check_version(driver, entry)
    check_product("driver", "", driver)


_SINCE_2 = ("max_message_bytes", "longest_delay", "default_lease", "clock_is_movable")
"""Members of drivers that version 1 of the contract did not have."""


def _check_version(driver: object, entry: PluginEntry | None) -> None:
    version = getattr(driver, "api_version", DRIVER_API_VERSION)
    made = type(driver).__qualname__
    source = entry.distribution if entry is not None and entry.distribution else made
    if version == DRIVER_API_VERSION:
        if hasattr(driver, "reserve") and not any(hasattr(driver, name) for name in _SINCE_2):
            # The template of that version imports DRIVER_API_VERSION, so it claims any version.
            raise PluginBroken(
                f"{made} was written for version 1 of the driver API, because it has none of the attributes "
                f"{', '.join(_SINCE_2)}, and this release of {PROJECT} has version {DRIVER_API_VERSION}: "
                f"upgrade {source}. If you have just written it, derive it from DriverDefaults."
            )
        return
    if not isinstance(version, int):
        remedy = "it must be an integer"
    elif version < DRIVER_API_VERSION:
        remedy = f"upgrade {source}"
    else:
        remedy = f"upgrade {PROJECT}"
    raise PluginBroken(
        f"{made} was written for version {version!r} of the driver API, and this release of "
        f"{PROJECT} has version {DRIVER_API_VERSION}: {remedy}."
    )


def _check_flags(driver: object) -> None:
    capabilities = getattr(driver, "capabilities", None)
    if not isinstance(capabilities, Capability):
        raise PluginBroken(
            f"{type(driver).__qualname__}.capabilities is {capabilities!r}; "
            "it must be a combination of Capability flags."
        )
    check_capabilities(driver, capabilities)


def _check_function(name: str, implementation: pluggy.HookImpl, *, of_class: bool) -> None:
    function = implementation.function
    if implementation.wrapper or implementation.hookwrapper:
        raise PluginBroken(f"the hook {name!r} is marked as a wrapper; only wrap_execute may wrap.")
    if inspect.isasyncgenfunction(function) or (
        inspect.isgeneratorfunction(function) and name != "collect"
    ):
        raise PluginBroken(f"the hook {name!r} is a generator, whose code would never run.")
    if name in PLAIN_HOOKS and inspect.iscoroutinefunction(function):
        raise PluginBroken(f"the hook {name!r} must be a plain function, not async.")
    known = specifications()[name]
    for parameter in signature_of(function).parameters.values():
        if parameter.kind in {parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD}:
            continue
        required = parameter.default is parameter.empty
        if parameter.name not in known and not required:
            continue
        if parameter.name not in known:
            hint = " (the plugin is a class: give an instance)" if of_class else ""
            raise PluginBroken(
                f"the hook {name!r} must take only "
                f"{', '.join(known)}, got the parameter {parameter.name!r}{hint}."
            )
        # pluggy passes neither of these, without an error.
        if not required or parameter.kind is parameter.KEYWORD_ONLY:
            raise PluginBroken(
                f"the hook {name!r} must take {parameter.name!r} by position and without a default."
            )
