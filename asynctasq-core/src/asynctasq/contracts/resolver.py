"""The contract between core and a model resolver: ORM instances to references and back."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from asynctasq.records import record


@record
class Reference:
    """A model instance as it travels."""

    resolver: str
    """Name of the resolver's entry point."""
    model: str
    """The class, as the resolver names it."""
    key: object
    """The primary key: a value, or a list of values, that msgpack and JSON can carry."""


class Resolver(Protocol):
    """Turns instances of one ORM into references and back."""

    def reference(self, instance: object) -> Reference | None:
        """Return the reference of a model instance; None if it does not belong to this ORM.

        Raises:
            NotSerializable: it is a model, but has no key yet (unsaved) or cannot be referred to.
        """
        ...

    async def resolve(
        self, references: Sequence[Reference], *, relations: Sequence[str] = ()
    ) -> Sequence[object]:
        """Load all models of one message, in order; None where there is no row.

        Args:
            references: each model once.
            relations: names of relations to load with the models that have them, or paths of such
                names (`customer.address`).
        """
        ...

    async def close(self) -> None:
        """Close connections. Idempotent."""
        ...


@runtime_checkable
class ExecutionScope(Protocol):
    """Optional resolver interface: hooks that run around every execution of task code.

    For frameworks that keep connections open for the code that uses them. An error in a hook is logged and
    changes nothing. If an `enter` hook was called, its `leave` hook is called, too.
    """

    def enter(self) -> None:
        """Prepare this thread, in which code of a sync task is about to run."""
        ...

    def leave(self) -> None:
        """Clean up after `enter`, in the same thread."""
        ...

    async def enter_loop(self) -> None:
        """Prepare this loop, on which code of an async task is about to run, beside others."""
        ...

    async def leave_loop(self) -> None:
        """Clean up after `enter_loop`, on the same loop."""
        ...


@runtime_checkable
class Explainer(Protocol):
    """Optional resolver interface: explains errors of the resolver's framework."""

    def explain(self, error: Exception) -> str | None:
        """Return text to add to an error that a task raised; None if it is not about models. Must not raise."""
        ...
