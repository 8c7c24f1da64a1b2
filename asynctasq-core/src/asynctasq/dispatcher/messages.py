"""From a task with arguments to a message."""

import inspect
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any
from weakref import ReferenceType

from asynctasq.contracts.capabilities import Capability
from asynctasq.contracts.driver import Driver
from asynctasq.errors import CapabilityMissing, NotSerializable, TaskDefinitionError
from asynctasq.hookspecs import DispatchContext
from asynctasq.lifecycle import Observers
from asynctasq.message import (
    NO_HEADERS,
    PRIORITY_DEFAULT,
    Message,
    Parent,
    Unique,
    id_from_text,
    new_id,
)
from asynctasq.retry import RunPolicy
from asynctasq.serializers.codec import Codec
from asynctasq.tasks.base import BaseTask
from asynctasq.tasks.definition import TaskDefinition
from asynctasq.tasks.options import (
    TASK_OPTION_NAMES,
    DispatchOptions,
    ResolvedOptions,
    resolve_options,
)
from asynctasq.tasks.origin import Sender


class MessageFactory:
    """Makes messages of tasks, by the options of every level."""

    def __init__(
        self, codec: Codec, defaults: ResolvedOptions, *, sender: ReferenceType[Sender]
    ) -> None:
        self._codec = codec
        self._sender = sender
        self._defaults = defaults
        self._resolved: dict[str, tuple[TaskDefinition, ResolvedOptions]] = {}

    def make(self, task: BaseTask[Any]) -> Message:
        """The message of a dispatch; new id at every call, unless the task was given one.

        Raises:
            NotSerializable: an argument cannot travel.
            MessageTooLarge: the arguments exceed the limit.
            TaskDefinitionError: the class has no `execute`, so no worker could run it, a field hides
                a method, or another definition has taken the task's name.
            ValueError: an id is no UUID, or options contradict each other.
        """
        definition = task._definition
        if definition is None:
            raise TaskDefinitionError(
                f"{type(task).__qualname__} has no execute(): nothing could be run."
            )
        origin = definition.origin
        if origin is not None and origin.is_watched:
            origin.note_dispatch(definition.name, self._sender)
        task._check_fields()
        overrides = task._overrides
        options = (
            self._of_definition(definition)
            if overrides is None
            else resolve_options(
                self._defaults, definition.options, _without_dispatch_only(overrides)
            )
        )
        args, kwargs = task._arguments
        try:
            body = self._codec.encode_call(args, kwargs, options.policy, task=definition.name)
        except NotSerializable as error:
            raise self._by_name(error, task) from error.__cause__
        message = Message(
            new_id(),
            options.queue,
            definition.name,
            body,
            options.priority,
            0.0,
            None,
            options.expires,
            options.max_attempts,
            options.max_lost,
            options.result_ttl,
        )
        return message if overrides is None else _with_dispatch_only(message, overrides)

    def _by_name(self, error: NotSerializable, task: BaseTask[Any]) -> NotSerializable:
        """The error, with arguments that were passed by place called as the task calls them."""
        definition = task._definition
        args, kwargs = task._arguments
        if definition is None or not args:
            return error
        signature = inspect.signature(definition.check)
        named = signature.bind(*args, **kwargs).arguments
        for parameter in signature.parameters.values():
            if parameter.kind is parameter.VAR_KEYWORD:
                named.update(named.pop(parameter.name, {}))
        try:
            self._codec.encode_call((), named, RunPolicy(), task=definition.name)
        except NotSerializable as better:
            return better
        return error

    def _of_definition(self, definition: TaskDefinition) -> ResolvedOptions:
        known = self._resolved.get(definition.name)
        if known is not None and known[0] is definition:
            return known[1]
        options = resolve_options(self._defaults, definition.options)
        self._resolved[definition.name] = (definition, options)
        return options


_DISPATCH_ONLY = DispatchOptions.__annotations__.keys() - TASK_OPTION_NAMES


def _without_dispatch_only(overrides: DispatchOptions) -> Mapping[str, object]:
    return {name: value for name, value in overrides.items() if name not in _DISPATCH_ONLY}


def _with_dispatch_only(message: Message, overrides: DispatchOptions) -> Message:
    changes: dict[str, Any] = {}
    if "delay" in overrides and "eta" in overrides:
        raise ValueError("A dispatch has a delay and an eta: which of them says when it is due?")
    if "delay" in overrides:
        changes["delay"] = float(overrides["delay"])
    if "eta" in overrides:
        eta = overrides["eta"]
        changes["eta"] = eta.timestamp() if isinstance(eta, datetime) else float(eta)
    if "unique" in overrides:
        unique = overrides["unique"]
        changes["unique"] = Unique(unique) if isinstance(unique, str) else unique
    if "id" in overrides:
        changes["id"] = _id(overrides["id"], "id")
    if "after" in overrides:
        changes["parents"] = tuple(Parent(_id(each, "after")) for each in overrides["after"])
    if "headers" in overrides:
        changes["headers"] = dict(overrides["headers"])
    return replace(message, **changes) if changes else message


def _id(text: str, option: str) -> bytes:
    try:
        return id_from_text(text)
    except ValueError:
        raise ValueError(
            f"options({option}=...): {text!r} is no task id: a UUID is needed."
        ) from None


def check_supported(driver: Driver, message: Message) -> None:
    """Make sure that the driver can do what the message asks for.

    Raises:
        CapabilityMissing: it cannot; the message names capability and remedy.
    """
    capabilities = driver.capabilities
    if message.unique is not None and Capability.UNIQUE not in capabilities:
        _refuse(driver, "unique", Capability.UNIQUE)
    if message.parents and Capability.DEPENDENCIES not in capabilities:
        _refuse(driver, "after", Capability.DEPENDENCIES)
    if message.priority != PRIORITY_DEFAULT and Capability.PRIORITY not in capabilities:
        _refuse(driver, "priority", Capability.PRIORITY)


def _refuse(driver: Driver, option: str, capability: Capability) -> None:
    raise CapabilityMissing(
        f"The option {option!r} needs the capability {capability.name}, which "
        f"{type(driver).__qualname__} does not have. Leave it out, or use a driver that has it "
        f"(`asynctasq plugins list --check` shows which)."
    )


async def announce(observers: Observers, message: Message) -> Message:
    """Tell observers that a message is about to be enqueued; returns it with the headers they added."""
    context = DispatchContext(message, dict(message.headers))
    await observers.notify(observers.before_dispatch, context)
    return replace(message, headers=context.headers or NO_HEADERS)
