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
        """The reference of a model instance; None if it is not one of this ORM's.

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
            relations: what is to be loaded along, for those models that have it: names of
                relations, or paths of such (`customer.address`).
        """
        ...

    async def close(self) -> None:
        """Let go of connections. Idempotent."""
        ...


@runtime_checkable
class ExecutionScope(Protocol):
    """What a resolver may be besides: it is there whenever code of a task runs, with models or without.

    For frameworks that keep connections open behind the code that uses them. A method that raises is
    reported, and changes nothing; whoever was told of a beginning is told of the end.
    """

    def enter(self) -> None:
        """Code of a sync task is about to run in this thread."""
        ...

    def leave(self) -> None:
        """It has ended."""
        ...

    async def enter_loop(self) -> None:
        """Code of an async task is about to run on this loop, beside others."""
        ...

    async def leave_loop(self) -> None:
        """It has ended."""
        ...


@runtime_checkable
class Explainer(Protocol):
    """What a resolver may be besides: it knows why its framework raised."""

    def explain(self, error: Exception) -> str | None:
        """What to add to an error that a task raised; None if it is not about models. Must not raise."""
        ...
