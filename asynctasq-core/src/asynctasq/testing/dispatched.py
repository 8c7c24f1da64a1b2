"""Dispatches in a sandbox, and the comparison with the expectations of a test."""

from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Any

from asynctasq.annotations import signature_of
from asynctasq.app import App, runtime_of
from asynctasq.errors import BodyError, NotSerializable
from asynctasq.message import Message, id_to_text
from asynctasq.records import record
from asynctasq.results import Handle
from asynctasq.retry import RunPolicy
from asynctasq.tasks.base import BaseTask
from asynctasq.tasks.decorator import FunctionCall, FunctionTask
from asynctasq.tasks.definition import definition_of
from asynctasq.tasks.registry import registry

AnyTask = FunctionTask[..., Any] | type[BaseTask[Any]] | BaseTask[Any] | str
"""A task with or without arguments, or its name."""


@record
class Dispatched:
    """A dispatch, as a store receives it."""

    name: str
    """Name of the task."""
    arguments: Mapping[str, object] = field(hash=False)
    """Arguments by parameter name, including defaults; models are references."""
    queue: str
    delay: float
    """Seconds until the task is due."""
    message: Message
    app: App = field(repr=False)

    @property
    def handle(self) -> Handle[Any]:
        """Handle of the task, as `dispatch` returned it."""
        return self.app.handle(id_to_text(self.message.id))

    def __str__(self) -> str:
        later = f", due after {self.delay:g} s" if self.delay > 0.0 else ""
        return f"{_as_call(self.name, self.arguments)} on {self.queue!r}{later}"


def what_was_sent(app: App, message: Message, now: float) -> Dispatched:
    """Describe a message as a dispatch."""
    return Dispatched(
        name=message.task,
        arguments=_arguments_in(app, message),
        queue=message.queue,
        delay=message.delay if message.eta is None else max(message.eta - now, 0.0),
        message=message,
        app=app,
    )


class Expectation:
    """A dispatch that a test expects."""

    def __init__(self, task: AnyTask, *, queue: str | None) -> None:
        """Expect a task.

        Args:
            task: a task with arguments, which must be equal, as must its options; or a task without
                arguments, which matches any.
            queue: expected queue; None for any.

        Raises:
            TypeError: `task` is not a task.
        """
        self.name = _name_of(task)
        self._task = task if isinstance(task, BaseTask) else None
        self._queue = queue

    def __str__(self) -> str:
        shown = self.name
        if self._task is not None:
            shown = _as_call(self.name, _bound(self._task, *self._task._arguments))
            for option, value in (self._task._overrides or {}).items():
                shown += f" with {option}={value!r}"
        return shown if self._queue is None else f"{shown} on {self._queue!r}"

    def differences(self, actual: Dispatched) -> list[str]:
        """List the differences of a dispatch of the same task."""
        found = []
        if self._queue is not None and actual.queue != self._queue:
            found.append(f"on {actual.queue!r}")
        if self._task is not None:
            expected = _bound(self._task, *self._task._arguments)
            found += [
                f"{name}={actual.arguments[name]!r}" if name in actual.arguments else f"no {name}"
                for name in expected
                if name not in actual.arguments
                or not _is_same(actual.app, expected[name], actual.arguments[name])
            ]
            found += [
                f"{name}={value!r}"
                for name, value in actual.arguments.items()
                if name not in expected
            ]
            found += _different_options(self._task, actual)
        return found


def report(
    expected: Expectation, all_dispatched: Sequence[Dispatched], *, found: int, wanted: int | None
) -> str:
    """Return the message of a failed assertion, with all dispatches.

    Args:
        expected: the expected dispatch.
        all_dispatched: all dispatches.
        found: number of matching dispatches.
        wanted: expected number; None for at least one.
    """
    said = f"{expected} was "
    said += f"dispatched {_how_often(found)}" if found else "never dispatched"
    if wanted is not None:
        said += f", not {_how_often(wanted)}"
    if not all_dispatched:
        return f"{said}; no task was."
    lines = [f"{said}. Dispatched tasks:"]
    for number, each in enumerate(all_dispatched, start=1):
        line = f"  {number}. {each}"
        differences = expected.differences(each) if each.name == expected.name else []
        lines.append(f"{line}    <- differs: {', '.join(differences)}" if differences else line)
    return "\n".join(lines)


def _how_often(count: int) -> str:
    return {0: "never", 1: "once", 2: "twice"}.get(count, f"{count} times")


def _name_of(task: object) -> str:
    if isinstance(task, str):
        return task
    definition = definition_of(task)
    if definition is not None:
        return definition.name
    raise TypeError(
        f"task must be a task (`send_email`), a task with arguments (`send_email(to='a@b.c')`), or the "
        f"name of a task, got {task!r}."
    )


def _as_call(name: str, arguments: Mapping[str, object]) -> str:
    return f"{name}({', '.join(f'{key}={value!r}' for key, value in arguments.items())})"


def _arguments_in(app: App, message: Message) -> Mapping[str, object]:
    try:
        envelope = runtime_of(app).codec.open_call(message.body)
        args, kwargs = runtime_of(app).codec.decode_arguments(envelope, envelope.references)
    except BodyError as error:
        return {"unreadable": str(error)}
    if not registry.knows(message.task):
        return {"args": args, **kwargs}
    return _bound(registry.find(message.task).create(), tuple(args), kwargs)


def _bound(
    task: BaseTask[Any], args: tuple[object, ...], kwargs: Mapping[str, object]
) -> dict[str, object]:
    """Return arguments by parameter name, however they were passed."""
    fields = type(task)._fields
    if fields is not None and type(task).__init__ is BaseTask.__init__:
        try:
            return fields.defaults() | fields.bind(args, dict(kwargs))
        except TypeError:  # arguments of an older class
            return {"args": args, **kwargs}
    if isinstance(task, FunctionCall):
        signature = signature_of(task._function_task.fn)
    else:
        whole = signature_of(type(task).__init__)
        signature = whole.replace(parameters=[*whole.parameters.values()][1:])
    try:
        bound = signature.bind(*args, **kwargs)
    except TypeError:  # arguments of an older signature
        return {"args": args, **kwargs}
    bound.apply_defaults()
    named = dict(bound.arguments)
    for parameter in signature.parameters.values():
        if parameter.kind is parameter.VAR_KEYWORD:
            named |= named.pop(parameter.name)
        elif parameter.kind is parameter.VAR_POSITIONAL and not named[parameter.name]:
            del named[parameter.name]
    return named


def _is_same(app: App, expected: object, actual: object) -> bool:
    """Check whether a value equals the expected one, before or after serialization."""
    if expected == actual:
        return True
    try:
        body = runtime_of(app).codec.encode_call((expected,), {}, RunPolicy(), task="")
    except NotSerializable:
        return False
    envelope = runtime_of(app).codec.open_call(body)
    [[arrived], _] = runtime_of(app).codec.decode_arguments(envelope, envelope.references)
    return bool(arrived == actual)


def _different_options(expected: BaseTask[Any], actual: Dispatched) -> list[str]:
    """List options of the expected task that differ in the message."""
    if expected._overrides is None:
        return []
    assert expected._definition is not None, "only tasks with a definition have a name"
    bare = expected._definition.create()
    vars(bare).update(_arguments=((), {}), _overrides=expected._overrides)
    app = actual.app
    wanted = app._dispatcher.messages.make(bare)
    policy = runtime_of(app).codec.open_call(actual.message.body).policy
    wanted_policy = runtime_of(app).codec.open_call(wanted.body).policy
    found = []
    for option in expected._overrides:
        name = {"after": "parents"}.get(option, option)
        one, other = (policy, wanted_policy) if hasattr(policy, name) else (actual.message, wanted)
        if getattr(one, name) != getattr(other, name):
            found.append(f"{option}={getattr(one, name)!r}")
    return found
