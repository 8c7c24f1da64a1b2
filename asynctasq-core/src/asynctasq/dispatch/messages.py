"""From a task with arguments to a message."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast
from weakref import ReferenceType

from asynctasq.annotations import signature_of
from asynctasq.contracts.capabilities import Capability
from asynctasq.contracts.capabilities.checking import name_of, remedy_for
from asynctasq.contracts.driver import Driver
from asynctasq.errors import (
    CapabilityMissing,
    MessageTooLarge,
    MessageTooLargeForStore,
    NotSerializable,
    TaskDefinitionError,
)
from asynctasq.message import (
    NO_HEADERS,
    PRIORITY_DEFAULT,
    Message,
    Parent,
    headers_bytes,
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
from asynctasq.tasks.unconfirmed import keep_id, take_id


class MessageFactory:
    """Makes the messages of tasks from their arguments and the options of every level."""

    def __init__(
        self, codec: Codec, defaults: ResolvedOptions, *, sender: ReferenceType[Sender]
    ) -> None:
        self._codec = codec
        self._sender = sender
        self._defaults = defaults
        self._resolved: dict[str, tuple[TaskDefinition, ResolvedOptions]] = {}

    def make(self, task: BaseTask[Any]) -> Message:
        """Make the message of a dispatch.

        Each call makes a new id, unless the task has the option `id`, or keeps the id of a dispatch
        that raised.

        Raises:
            NotSerializable: an argument cannot travel.
            MessageTooLarge: arguments and headers exceed the limit.
            TaskDefinitionError: the class has no `execute`, so no worker could run it, a field hides
                a method, or another definition has taken the task's name.
            ValueError: an id is not a UUID, or options contradict each other.
        """
        definition = task._definition
        if definition is None:
            raise TaskDefinitionError(
                f"{type(task).__qualname__} must define execute(): without it, a worker could not run the task."
            )
        origin = definition.origin
        if origin is not None and origin.is_watched:
            origin.note_dispatch(definition.name, self._sender)
        task._check_fields()
        overrides = task._overrides
        if overrides is None:
            known = self._resolved.get(definition.name)
            if known is not None and known[0] is definition:
                options = known[1]
            else:
                options = self._resolve(definition)
        else:
            own = _without_dispatch_only(overrides)
            options = resolve_options(self._defaults, definition.options, own)
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
            None, (), None, None, (), None, NO_HEADERS,
        )  # fmt: skip
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

    def check(self, driver: Driver, message: Message) -> None:
        """Make sure that a driver takes a message whose headers have changed.

        Raises:
            MessageTooLarge: it is too large for the setting or for the driver.
        """
        self.check_size(message)
        check_supported(driver, message)

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
                f"Task {message.task!r} was not dispatched: arguments and headers must take at most "
                f"{limit:,} bytes together (setting max_message_bytes), got {len(message.body):,} and "
                f"{size:,}. Pass a key or a path to large data, or raise the setting."
            )

    def _by_name(self, error: NotSerializable, task: BaseTask[Any]) -> NotSerializable:
        """Return the error with positional arguments named by the parameters of the task."""
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

    def _resolve(self, definition: TaskDefinition) -> ResolvedOptions:
        options = resolve_options(self._defaults, definition.options)
        self._resolved[definition.name] = (definition, options)
        return options


_DISPATCH_ONLY = DispatchOptions.__annotations__.keys() - TASK_OPTION_NAMES


def _without_dispatch_only(overrides: DispatchOptions) -> Mapping[str, object]:
    return {name: value for name, value in overrides.items() if name not in _DISPATCH_ONLY}


def _with_dispatch_only(message: Message, overrides: DispatchOptions) -> Message:
    changes: dict[str, Any] = {}
    if "delay" in overrides and "eta" in overrides:
        raise ValueError("The options delay and eta are mutually exclusive. Set one of them.")
    if "delay" in overrides:
        changes["delay"] = float(cast("float", overrides["delay"]))  # `options` has checked them
    if "eta" in overrides:
        changes["eta"] = overrides["eta"]
    if "unique" in overrides:
        changes["unique"] = overrides["unique"]
    if "id" in overrides:
        changes["id"] = _id(overrides["id"], "id")
        changes["given_id"] = True
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
            f"options(): {option} must be the id of a task (a UUID), got {text!r}."
        ) from None


def _check_driver_limit(driver: Driver, message: Message, most: int) -> None:
    size = len(message.body) + headers_bytes(message.headers)
    if size > most:
        raise MessageTooLargeForStore(
            f"Task {message.task!r} was not dispatched: arguments and headers must take at most {most:,} "
            f"bytes in {name_of(driver)}, got {size:,}. Pass a key or a path to large data, or use another "
            f"store."
        )


def check_supported(driver: Driver, message: Message) -> None:
    """Make sure that the driver supports the options and the size of a message.

    Raises:
        CapabilityMissing: it does not support an option; the error names the capability and the remedy.
        MessageTooLargeForStore: the message is larger than the driver's `max_message_bytes`.
    """
    most = driver.max_message_bytes
    if most is not None and (message.headers or len(message.body) > most):
        _check_driver_limit(driver, message, most)
    capabilities = driver.capabilities
    if message.unique is not None and Capability.UNIQUE not in capabilities:
        _refuse(driver, "unique", Capability.UNIQUE)
    if message.parents and Capability.DEPENDENCIES not in capabilities:
        _refuse(driver, "after", Capability.DEPENDENCIES)
    if message.priority != PRIORITY_DEFAULT and Capability.PRIORITY not in capabilities:
        _refuse(driver, "priority", Capability.PRIORITY)
    if message.max_lost == 0 and getattr(driver, "may_deliver_twice", False):
        raise CapabilityMissing(
            f"The option 'max_lost' must be at least 1 in {name_of(driver)}, which may deliver a message twice by "
            "itself. Set `state` to a store beside the queue, such as redis or postgres, or allow a second run."
        )


def _refuse(driver: Driver, option: str, capability: Capability) -> None:
    raise CapabilityMissing(
        f"The option {option!r} needs the capability {capability.name}, which "
        f"{name_of(driver)} does not have. Leave the option out. {remedy_for(driver, capability)}"
    )
