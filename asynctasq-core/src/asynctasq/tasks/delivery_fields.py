"""Fields of a running task that come from its delivery."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from asynctasq.message import Delivery

if TYPE_CHECKING:
    from asynctasq.tasks.base import BaseTask

V = TypeVar("V")


class _DeliveryField(Generic[V]):
    """A value that is computed when it is read: most tasks never read it."""

    def __init__(self, default: V, read: Callable[[Delivery], V]) -> None:
        self._default = default
        self._read = read

    def __get__(self, task: "BaseTask[Any] | None", owner: type) -> V:
        delivery = None if task is None else task._delivery
        return self._default if delivery is None else self._read(delivery)


def delivery_field(default: V, read: Callable[[Delivery], V]) -> V:
    """Make a field that is read from the delivery in a worker, and has a default elsewhere."""
    return cast("V", _DeliveryField(default, read))  # for type checkers, an ordinary field
