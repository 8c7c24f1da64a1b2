"""The contract between core and a model resolver: ORM instances to references and back."""

from collections.abc import Sequence
from typing import Protocol

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

    async def resolve(self, references: Sequence[Reference]) -> list[object]:
        """Load all models of one message, in order.

        Raises:
            ModelNotFound: a row does not exist.
        """
        ...

    async def close(self) -> None:
        """Let go of connections. Idempotent."""
        ...
