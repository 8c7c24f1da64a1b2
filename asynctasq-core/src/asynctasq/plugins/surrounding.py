"""Context managers of plugins around one piece of work, whose errors have no other effect than a log line."""

import logging
from collections.abc import Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from asynctasq.plugins.observers import Observer

logger = logging.getLogger("asynctasq.plugins")


class Surrounding:
    """Enters the context managers that hooks return, and leaves them in reverse order.

    They see the exception of the work, and cannot change it.
    """

    __slots__ = ("_context", "_entered", "_observers")

    def __init__(self, observers: Sequence["Observer"], context: object) -> None:
        """Prepare one use.

        Args:
            observers: hooks that return a context manager or None.
            context: their argument.
        """
        self._observers = observers
        self._context = context
        self._entered: list[tuple[Observer, AbstractContextManager[Any]]] = []

    def __enter__(self) -> Self:
        for observer in self._observers:
            try:
                manager: AbstractContextManager[Any] | None = observer.call(self._context)
                if manager is not None:
                    manager.__enter__()
                    self._entered.append((observer, manager))
            except Exception as error:  # noqa: BLE001  logged
                _log(observer, error)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        while self._entered:
            observer, manager = self._entered.pop()
            try:
                manager.__exit__(kind, error, trace)
            except BaseException as raised:
                if raised is error:
                    continue
                if not isinstance(raised, Exception):
                    raise
                _log(observer, raised)


def _log(observer: "Observer", error: Exception) -> None:
    logger.error(
        "Plugin %s raised in %s; tasks are not affected",
        observer.plugin,
        observer.hook,
        exc_info=error,
        extra={"plugin": observer.plugin, "hook": observer.hook},
    )
