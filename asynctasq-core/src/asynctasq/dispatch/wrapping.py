"""Hooks around each enqueue: `wrap_dispatch` may add headers, and sees the error of the store."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from asynctasq.dispatch.observing import with_headers
from asynctasq.hookspecs import DispatchBatch, DispatchContext
from asynctasq.message import Message
from asynctasq.plugins.observers import Observers
from asynctasq.plugins.surrounding import Surrounding


@contextmanager
def wrapped(
    observers: Observers,
    messages: Sequence[Message],
    check: Callable[[Message], None],
    *,
    in_transaction: bool = False,
) -> Iterator[list[Message]]:
    """Surround the enqueue of a batch by all `wrap_dispatch`, in the context of the caller.

    Check whether there are such hooks before you call this.

    Args:
        observers: of the app.
        messages: the batch.
        check: called with each message whose headers have changed; raises if it cannot be sent.
        in_transaction: True if the messages appear at the commit of a transaction.

    Yields:
        The messages to send, with the headers that the hooks have added.

    Raises:
        DispatchError: a header is not Unicode text.
    """
    contexts = [DispatchContext(message, dict(message.headers)) for message in messages]
    with Surrounding(observers.wrap_dispatch, DispatchBatch(contexts, in_transaction)):
        changed: list[Message] = []
        for message, context in zip(messages, contexts, strict=True):
            if context.headers != message.headers:
                message = with_headers(context, "wrap_dispatch")  # noqa: PLW2901  the one to send
                check(message)
            changed.append(message)
        yield changed
