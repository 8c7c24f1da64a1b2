"""The application inside a child of the process executor."""

import importlib
import inspect
import logging
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import MISSING, Field, fields, is_dataclass
from enum import Enum
from pathlib import PurePath
from typing import Any, Self, TypeVar

from asynctasq.app import App, runtime_of
from asynctasq.config import mute_settings_warnings
from asynctasq.config.urls import url_scheme
from asynctasq.contracts.capabilities import Capability
from asynctasq.contracts.driver import DRIVER_API_VERSION, DriverDefaults
from asynctasq.default import existing_default, init
from asynctasq.errors import ConfigurationError, TaskDefinitionError
from asynctasq.import_rules import LOADED_ONLY, ImportRule, importing_for_message, set_import_rule
from asynctasq.importing import import_root_of_main, imported_module, module_name
from asynctasq.logs.fields import LineFormatter, fields_in_use, use_fields
from asynctasq.logs.stream import StderrHandler
from asynctasq.message import Delivery
from asynctasq.results import Handle
from asynctasq.runtime import dispatcher_replaced, use_here
from asynctasq.serializers.codec import Codec
from asynctasq.tasks.base import BaseTask
from asynctasq.tasks.definition import ExecutionMode
from asynctasq.tasks.registry import registry
from asynctasq.worker.call import WorkerCall, call_class
from asynctasq.worker.log_guard import keep_loggers_enabled

T = TypeVar("T")
logger = logging.getLogger("asynctasq")

PLAIN = (str, int, float, bool, type(None))


def worker_codec(app: App, serializer: str | None) -> Codec:
    """Return the codec of a worker: the app's codec, unless the worker has its own serializer."""
    runtime = runtime_of(app)
    return runtime.codec if serializer is None else runtime.codec_with(serializer)


# In the worker.


def describe_app(app: App, serializer: str | None, rule: ImportRule) -> dict[str, Any]:
    """Describe the app for `bootstrap`, with values that msgpack can encode."""
    own = [each.module for each in registry if each.mode is ExecutionMode.PROCESS]
    modules = [*app.settings.imports, *own]
    settings = {name: _plain(value) for name, value in runtime_of(app).arguments.items()}
    lost = [name for name, value in settings.items() if value is MISSING]
    if _is_in_memory(app) or "state" in lost:
        settings["driver"], settings["state"] = MISSING, None
    return {
        "imports": list(dict.fromkeys(modules)),
        "app": _path_of(app, dict.fromkeys(modules)),
        "settings": {name: value for name, value in settings.items() if value is not MISSING},
        "driver": settings.get("driver") is not MISSING,
        "lost": [name for name in lost if name not in {"driver", "state"}],
        "command_line": {name: _plain(value) for name, value in runtime_of(app).overrides.items()},
        "lifespan": _function_path(app.lifespan),
        "import_rule": None
        if rule is LOADED_ONLY
        else {"modules": sorted(rule.modules()), "whole_folder": rule.whole_folder},
        "import_root": import_root_of_main(),
        "serializer": serializer,
        "log_level": logging.getLogger().getEffectiveLevel(),
        "log_fields": fields_in_use(),
    }


def _is_in_memory(app: App) -> bool:
    """Return whether the app's store, or its state store, exists in one process only."""
    state = app.settings.state
    kinds = {app.settings.driver_name, url_scheme(state) or state if isinstance(state, str) else ""}
    return "memory" in kinds


def _path_of(app: App, modules: Mapping[str, None]) -> str | None:
    """Return `module:name` of an app that is a global variable of a module, otherwise None."""
    for name in modules:
        module = imported_module(name)
        for attribute, value in list(vars(module).items()) if module is not None else ():
            if value is app:
                return f"{name}:{attribute}"
    return None


def _function_path(function: object) -> str | None:
    """Return `module:name` of a function of a module; an empty text for other callables."""
    if function is None:
        return None
    name = function.__qualname__ if inspect.isfunction(function) else "<>"
    try:
        return "" if "<" in name else f"{module_name(function)}:{name}"
    except TaskDefinitionError:
        return ""


def _plain(value: Any) -> Any:
    """Return a value as msgpack can encode it, or `MISSING`."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, PLAIN):
        return value
    if isinstance(value, PurePath):
        return str(value)
    if is_dataclass(value) and not isinstance(value, type):
        changed = {each.name: getattr(value, each.name) for each in fields(value)}
        return _plain(
            {each.name: changed[each.name] for each in fields(value) if _differs(each, value)}
        )
    if isinstance(value, Mapping):
        made = {name: _plain(part) for name, part in value.items()}
        return MISSING if MISSING in made.values() else made
    if isinstance(value, list | tuple | set | frozenset):
        parts = [_plain(part) for part in value]
        return MISSING if MISSING in parts else parts
    return MISSING


def _differs(each: "Field[Any]", instance: object) -> bool:
    default = each.default if each.default_factory is MISSING else each.default_factory()
    return bool(getattr(instance, each.name) != default)


# In the child.


_is_child = False
"""True in a child process. A script that starts a worker has nothing else to check."""


def refuse_in_child() -> None:
    """Check that this process is not a child.

    Raises:
        ConfigurationError: a child imports a script that starts a worker at import.
    """
    if _is_child:
        raise ConfigurationError(
            "A worker was started while a child process imported the script. Start it below "
            '`if __name__ == "__main__":`.'
        )


def bootstrap(given: Mapping[str, Any]) -> "AppChildApplication":
    """Import the application, and use its app in this process."""
    global _is_child  # noqa: PLW0603  see there
    _is_child = True
    mute_settings_warnings()
    root = given["import_root"]
    if root is not None and root not in sys.path:
        sys.path.append(root)
    keep_loggers_enabled()
    problems = list(_import_all(given["imports"]))
    keep_loggers_enabled()  # the loggers of these modules
    if not logging.getLogger().handlers:
        handler = StderrHandler()
        handler.setFormatter(LineFormatter())
        logging.basicConfig(level=given["log_level"], handlers=[handler])
    use_fields(given["log_fields"])
    for name, problem in problems:
        logger.error(
            "Could not import the module %r in a child process",
            name,
            exc_info=problem,
            extra={"module_name": name},
        )
    app = _find_app(given)
    use_here(app)
    if given["import_rule"] is not None:
        set_import_rule(ImportRule(**given["import_rule"], registered=registry.modules))
    return AppChildApplication(app, worker_codec(app, given["serializer"]), given["lifespan"])


def _import_all(names: list[str]) -> Iterator[tuple[str, BaseException]]:
    with dispatcher_replaced(DispatchForbidden()):
        for name in names:
            try:
                importlib.import_module(name)
            except (Exception, SystemExit) as error:  # noqa: BLE001  logged once logging is set up
                yield name, error


def _find_app(given: Mapping[str, Any]) -> App:
    """Return the worker's app: the same global variable, the default app if its settings match, or a new app."""
    found: object = None
    if given["app"] is not None:
        module, _, attribute = given["app"].partition(":")
        found = getattr(sys.modules.get(module), attribute, None)
    if not isinstance(found, App):
        default = existing_default()
        if not given["driver"] and default is not None:
            found = default
        else:
            settings = dict(given["settings"])
            if not given["driver"]:
                settings |= {"driver": UnavailableDriver(), "state": None}
            lost = list(given["lost"])
            if "outbox" in lost and default is not None:  # made by the module that calls `init`
                lost.remove("outbox")
                settings["outbox"] = default.settings.outbox
            if lost:
                logger.warning(
                    "Child processes do not have the settings that are objects: %s. Call init() in a "
                    "module that the worker imports.",
                    ", ".join(lost),
                )
            app = App(settings)
            found = default if default and default.settings == app.settings else init(settings)
    changes = dict(given["command_line"])
    if _is_in_memory(found):
        changes |= {"driver": UnavailableDriver(), "state": None}
    if changes and not found.is_open:
        found._override(changes)
    return found


class DispatchForbidden:
    """Refuses dispatches while a child imports a script: each child would repeat them."""

    async def dispatch(self, task: BaseTask[T], *, transaction: object = None) -> Handle[T]:
        """Refuse the call.

        Raises:
            ConfigurationError: always.
        """
        return self.dispatch_sync(task, transaction=transaction)

    def dispatch_sync(self, task: BaseTask[Any], *, transaction: object = None) -> Handle[Any]:  # noqa: ARG002  the signature of dispatchers
        """Refuse the call.

        Raises:
            ConfigurationError: always.
        """
        raise ConfigurationError(
            f"{type(task).__qualname__} was dispatched while a child process imported the script. Dispatch it below "
            '`if __name__ == "__main__":`.'
        )

    async def schedule(self, task: BaseTask[Any], name: str, options: Mapping[str, object]) -> Any:  # noqa: ARG002  the signature of dispatchers
        """Refuse the call.

        Raises:
            ConfigurationError: always.
        """
        return self.dispatch_sync(task)

    def handle(self, task_id: str) -> Handle[Any]:
        """Refuse the call.

        Raises:
            ConfigurationError: always.
        """
        raise ConfigurationError(
            f"The handle of task {task_id} was requested while a child process imported the script. Request it below "
            '`if __name__ == "__main__":`.'
        )


class AppChildApplication:
    """The application in a child process, for `executors.process`."""

    def __init__(self, app: App, codec: Codec, lifespan: str | None) -> None:
        self._app = app
        self._codec = codec
        self._lifespan = lifespan
        self._stack = AsyncExitStack()
        self._resources: object = None
        self._new_call = call_class(())

    async def open(self) -> None:
        """Enter the app's `lifespan`, so that each child has its own resources."""
        runtime_of(self._app).resolvers.prepare()
        self._new_call = call_class(runtime_of(self._app).observers.wrap_task)
        lifespan: Any = self._app.lifespan
        if lifespan is None and self._lifespan:
            module, _, name = self._lifespan.partition(":")
            lifespan = importlib.import_module(module)
            for part in name.split("."):
                lifespan = getattr(lifespan, part)
        if lifespan is not None:
            self._resources = await self._stack.enter_async_context(lifespan(self._app))
        elif self._lifespan is not None:
            logger.warning(
                "The app's lifespan is not a function of a module, so process tasks do not have its resources"
            )

    async def close(self) -> None:
        """Leave the lifespan, and close the app."""
        await self._stack.aclose()
        await self._app.close()
        self._app.close_sync()

    def make_call(
        self,
        delivery: Delivery,
        module: str,
        report: Callable[[bytes], None],
        note_wait: Callable[[bytes, bool], None],
    ) -> WorkerCall:
        """Return the call of a delivery."""
        name = delivery.message.task
        if not registry.knows(name):
            with importing_for_message(module):
                importlib.import_module(module)
        return self._new_call(
            delivery,
            registry.find(name),
            self._codec.open_call(delivery.message.body),
            codec=self._codec,
            resolvers=runtime_of(self._app).resolvers,
            resources=self._resources,
            report=lambda _, progress: report(progress),
            waits=ReportedWaits(note_wait),
        )


class ReportedWaits:
    """The waits of a child process, which it reports to the worker; implements `worker.call.Waits`."""

    def __init__(self, note_wait: Callable[[bytes, bool], None]) -> None:
        self._note_wait = note_wait

    @asynccontextmanager
    async def waiting(self, call: WorkerCall, message_id: bytes) -> AsyncIterator[None]:
        """Surround a wait for a result. Works on any event loop."""
        self.note(call, message_id, begins=True)
        try:
            yield
        finally:
            self.note(call, message_id, begins=False)

    def note(self, call: WorkerCall, message_id: bytes, *, begins: bool) -> None:
        """Report the start or the end of a wait, as long as the task runs."""
        if not call.ended:
            self._note_wait(message_id, begins)


class UnavailableDriver(DriverDefaults):
    """Replaces a driver that only the worker's process has, so that a child does not dispatch elsewhere."""

    capabilities = Capability(0)
    api_version = DRIVER_API_VERSION
    description = "the driver of the worker's process"

    clock_offset = 0.0

    def clone(self) -> Self:
        """Return the driver itself."""
        return self

    async def open(self) -> None:
        """Refuse the call.

        Raises:
            ConfigurationError: always.
        """
        await self._refuse()

    async def close(self) -> None:
        """Do nothing: nothing is open."""

    async def _refuse(self, *_: object, **__: object) -> Any:
        raise ConfigurationError(
            "The worker's driver exists only in its own process (the memory driver, or one given as an "
            "object), so a process task cannot dispatch to it. Give the driver by name or URL, or call "
            "init() in a module that the worker imports."
        )

    enqueue = reserve = wait = settle = extend = count = _refuse
