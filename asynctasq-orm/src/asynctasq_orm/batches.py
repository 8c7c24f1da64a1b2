"""Loading of the models of one message in batches, by database and class."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import Any, TypeVar

from asynctasq.contracts.resolver import Reference
from asynctasq.records import record

D = TypeVar("D", bound=Hashable)
Key = tuple[Any, ...]


@record
class Batch:
    """The rows of one class in one database to which a message refers."""

    model: Any
    """The class."""
    keys: tuple[Key, ...]
    """Key of each row once, in the order in which they occur."""
    relations: tuple[str, ...] = ()
    """Relations to load if the class has them: names, or paths of names joined by dots."""

    def paths(self) -> list[list[str]]:
        """Return the relations that the class has, split into steps."""
        steps = [path.split(".") for path in self.relations]
        return [path for path in steps if hasattr(self.model, path[0])]


Load = Callable[[D, Sequence[Batch]], Awaitable[Sequence[dict[Key, object]]]]
"""Function that loads the batches of one database in turn, and returns a dict of models by key for each."""


def key_of(reference: Reference) -> Key:
    """Return the key as a tuple, also if the reference contains a single value."""
    key = reference.key
    return tuple(key) if isinstance(key, list | tuple) else (key,)


async def load_in_batches(
    references: Sequence[Reference],
    place: Callable[[Reference], tuple[D, type]],
    load: Load[D],
    relations: Sequence[str] = (),
) -> list[object]:
    """Return the models of all references, in order, with None for a missing row.

    `place` returns the database and class of a reference.
    """
    databases: dict[D, dict[type, dict[Key, None]]] = {}
    places = []
    for reference in references:
        database, model = place(reference)
        key = key_of(reference)
        databases.setdefault(database, {}).setdefault(model, {})[key] = None
        places.append((database, model, key))

    loaded: dict[tuple[D, type], dict[Key, object]] = {}

    async def load_database(database: D) -> None:
        wanted = databases[database]
        batches = [Batch(model, tuple(keys), tuple(relations)) for model, keys in wanted.items()]
        found = await load(database, batches)
        for batch, models in zip(batches, found, strict=True):
            loaded[database, batch.model] = models

    await _all([load_database(database) for database in databases])
    return [loaded[database, model].get(key) for database, model, key in places]


async def _all(coroutines: "Sequence[Any]") -> None:
    """Await coroutines together; the first error cancels the others and is raised unchanged."""
    if len(coroutines) == 1:
        await coroutines[0]
        return
    try:
        async with asyncio.TaskGroup() as group:
            for each in coroutines:
                group.create_task(each)
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None
