"""From a task with arguments to a message."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast
from weakref import ReferenceType

from asynctasq.annotations import signature_of
from asynctasq.contracts.capabilities import Capability
from asynctasq.contracts.driver import Driver
from asynctasq.errors import (
    CapabilityMissing,
    DispatchError,
    MessageTooLarge,
    NotSerializable,
    TaskDefinitionError,
)
from asynctasq.hookspecs import DispatchContext
from asynctasq.message import (
    NO_HEADERS,
    PRIORITY_DEFAULT,
    Message,
    Parent,
    headers_bytes,
    id_from_text,
    new_id,
)
from asynctasq.plugins.observers import Observers
from asynctasq.retry import RunPolicy
from asynctasq.serializers.codec import Codec
from asynctasq.tasks.base import BaseTask
from asynctasq.tasks.definition import TaskDefinition
from asynctasq.tasks.option_values import wrong_header
from asynctasq.tasks.options import (
    TASK_OPTION_NAMES,
    DispatchOptions,
    ResolvedOptions,
    resolve_options,
)
from asynctasq.tasks.origin import Sender
from asynctasq.tasks.unconfirmed import keep_id, take_id


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
        """Make the message of a dispatch.

        It gets a new id at every call, unless the task was given one or keeps one of a dispatch that
        raised.

        Raises:
            NotSerializable: an argument cannot travel.
            MessageTooLarge: arguments and headers exceed the limit.
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
        unconfirmed = task._unconfirmed
        message = Message(
            new_id() if unconfirmed is None else take_id(task) or new_id(),
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
        if overrides is None:
            return message
        try:
            message = _with_dispatch_only(message, overrides)
            self.check_size(message)
        except BaseException:
            if unconfirmed is not None:
                keep_id(task, message.id)
            raise
        return message

    def check_size(self, message: Message) -> None:
        """Make sure that a message with its headers is within the limit.

        Raises:
            MessageTooLarge: it is not.
        """
        if not message.headers:
            return
        size, limit = headers_bytes(message.headers), self._codec.max_message_bytes
        if len(message.body) + size > limit:
            raise MessageTooLarge(
                f"Task {message.task!r} was not dispatched: its headers take {size:,} bytes and its "
                f"arguments {len(message.body):,}; together, the setting max_message_bytes allows "
                f"{limit:,}. Pass large values as arguments or by a key, or raise the setting."
            )

    def _by_name(self, error: NotSerializable, task: BaseTask[Any]) -> NotSerializable:
        """The error, with arguments that were passed by place called as the task calls them."""
        definition = task._definition
        args, kwargs = task._arguments
        if definition is None or not args:
            return error
        signature = signature_of(definition.check)
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
        changes["delay"] = float(cast("float", overrides["delay"]))  # `options` has checked them
    if "eta" in overrides:
        changes["eta"] = overrides["eta"]
    if "unique" in overrides:
        changes["unique"] = overrides["unique"]
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
    """Notify observers of a message that is about to be enqueued; returns it with the headers they added.

    Raises:
        DispatchError: a header that they added is not Unicode text.
    """
    context = DispatchContext(message, dict(message.headers))
    await observers.notify(observers.before_dispatch, context)
    headers: object = context.headers
    wrong = (
        wrong_header(cast("dict[object, object]", headers))
        if isinstance(headers, dict)
        else TypeError("a dict is needed.")
    )
    if wrong is not None:
        raise DispatchError(
            f"Task {message.task!r} was not dispatched: a plugin's before_dispatch left headers that "
            f"cannot be sent: {wrong}"
        )
    return replace(message, headers=context.headers or NO_HEADERS)


async def announce_done(observers: Observers, message: Message) -> None:
    """Notify observers of a message that the store has taken."""
    await observers.notify(
        observers.after_dispatch, DispatchContext(message, dict(message.headers))
    )
