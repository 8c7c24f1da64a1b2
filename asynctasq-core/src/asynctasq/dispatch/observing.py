"""The observers of a dispatch: `before_dispatch` may add headers, `after_dispatch` only watches."""

from dataclasses import replace
from typing import cast

from asynctasq.errors import DispatchError
from asynctasq.hookspecs import DispatchContext
from asynctasq.message import NO_HEADERS, Message
from asynctasq.plugins.observers import Observers
from asynctasq.tasks.option_values import wrong_header


async def announce(observers: Observers, message: Message) -> Message:
    """Notify observers before a message is enqueued, and return it with the headers they added.

    Raises:
        DispatchError: a header that they added is not Unicode text.
    """
    context = DispatchContext(message, dict(message.headers))
    await observers.notify(observers.before_dispatch, context)
    return with_headers(context, "before_dispatch")


def with_headers(context: DispatchContext, hook: str) -> Message:
    """Return a message with the headers that a hook has left in its context.

    Raises:
        DispatchError: one is not Unicode text.
    """
    message = context.message
    headers: object = context.headers
    wrong = (
        wrong_header(cast("dict[object, object]", headers))
        if isinstance(headers, dict)
        else TypeError(f"must be a dict, not {type(headers).__qualname__}")
    )
    if wrong is not None:
        raise DispatchError(
            f"Task {message.task!r} was not dispatched: a plugin's {hook} left headers that "
            f"cannot be sent. Headers {wrong}."
        )
    return replace(message, headers=context.headers or NO_HEADERS)


async def announce_done(observers: Observers, message: Message) -> None:
    """Notify observers after a store has accepted a message."""
    await observers.notify(
        observers.after_dispatch, DispatchContext(message, dict(message.headers))
    )
