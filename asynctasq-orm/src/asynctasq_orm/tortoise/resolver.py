"""The resolver of Tortoise models."""

import asyncio
import importlib
from collections.abc import Sequence
from typing import Any
from weakref import WeakKeyDictionary

from tortoise import Tortoise
from tortoise.context import TortoiseContext
from tortoise.models import Model
from tortoise.queryset import QuerySet

from asynctasq.contracts.resolver import Reference
from asynctasq.errors import ArgumentsMismatch, ConfigurationError, NotSerializable
from asynctasq.serializers import class_name, find_class
from asynctasq_orm.batches import Batch, Key, load_in_batches
from asynctasq_orm.tortoise.relations import explain
from asynctasq_orm.tortoise.settings import TortoiseSettings

NAME = "tortoise"


class TortoiseResolver:
    """Refers to models by class and key, and loads them over the connections of Tortoise."""

    def __init__(self, settings: TortoiseSettings) -> None:
        self._config = settings.config
        self._names: WeakKeyDictionary[type, str] = WeakKeyDictionary()
        self._models: dict[str, type[Model]] = {}
        self._own: TortoiseContext | None = None
        """The context that the resolver initialized and closes."""
        self._starting: asyncio.Lock | None = None

    def reference(self, instance: object) -> Reference | None:
        """Return the reference of a model, without a query."""
        if not isinstance(instance, Model):
            return None
        model = type(instance)
        if not instance._saved_in_db or instance.pk is None:
            raise NotSerializable(
                f"a {model.__module__}.{model.__qualname__} without a row: save it before the task is "
                "dispatched"
            )
        name = self._names.get(model)
        if name is None:
            name = self._names[model] = class_name(model)
        return Reference(NAME, name, instance.pk)

    async def resolve(
        self, references: Sequence[Reference], *, relations: Sequence[str] = ()
    ) -> list[object]:
        """Load the models: one query for each class."""
        if not Tortoise._inited:
            await self._start()
        return await load_in_batches(references, self._place, _load, relations)

    def explain(self, error: Exception) -> str | None:
        """Return a note about a relation that was not loaded; None for other errors."""
        return explain(error)

    async def close(self) -> None:
        """Close the connections, if they were opened here. Idempotent."""
        own, self._own = self._own, None
        self._starting = None
        if own is not None:
            await own.close_connections()

    async def _start(self) -> None:
        if self._config is None:
            raise ConfigurationError(
                "A task has a Tortoise model, and Tortoise is not initialized in this worker. Await "
                "Tortoise.init(...) in the app's lifespan, or give the configuration as a setting: "
                'init({"tortoise": {"config": "package.module:NAME"}}).'
            )
        if self._starting is None:
            self._starting = asyncio.Lock()
        async with self._starting:
            if self._own is None:
                context = TortoiseContext()
                with context:
                    # For all tasks, not only for children of this asyncio task.
                    await context.init(config=_found(self._config), _enable_global_fallback=True)
                self._own = context

    def _place(self, reference: Reference) -> tuple[str, type[Model]]:
        model = self._models.get(reference.model)
        if model is None:
            found = find_class(reference.model)
            if not issubclass(found, Model):
                raise ArgumentsMismatch(
                    f"The arguments contain {reference.model}, which is not a Tortoise model here."
                )
            model = self._models[reference.model] = found
        return _connection(model).connection_name, model


def _connection(model: type[Model]) -> Any:
    return model._choose_db(for_write=True)  # a replica may be behind


async def _load(_: str, batches: Sequence[Batch]) -> list[dict[Key, object]]:
    found: list[dict[Key, object]] = []
    for batch in batches:
        # Not the manager of the model, which may hide rows.
        query: QuerySet[Any] = QuerySet(batch.model).using_db(_connection(batch.model))
        query = query.filter(pk__in=[key[0] for key in batch.keys])
        rows = await query.prefetch_related(*("__".join(path) for path in batch.paths()))
        found.append({(row.pk,): row for row in rows})
    return found


def _found(config: dict[str, Any] | str) -> dict[str, Any]:
    if not isinstance(config, str):
        return config
    module, _, name = config.partition(":")
    try:
        found: dict[str, Any] = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigurationError(
            f"The setting tortoise.config is {config!r}, which cannot be imported ({error}). Use the form "
            "package.module:NAME."
        ) from error
    return found
