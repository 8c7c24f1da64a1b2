"""The resolver of Django models."""

from collections.abc import Sequence
from typing import Any

import django
from django.apps import apps
from django.core.exceptions import ImproperlyConfigured
from django.db import models, router

from asynctasq.contracts.resolver import Reference
from asynctasq.errors import ArgumentsMismatch, ConfigurationError, NotSerializable
from asynctasq_orm.batches import Batch, Key, load_in_batches
from asynctasq_orm.django.connections import Connections
from asynctasq_orm.django.relations import explain

NAME = "django"


class DjangoResolver:
    """Refers to models by label, key and database, and loads them in one thread for each database.

    Around each attempt, connections that are broken or older than `CONN_MAX_AGE` are closed, as Django does
    around a request.
    """

    def __init__(self) -> None:
        self._connections = Connections()

    def reference(self, instance: object) -> Reference | None:
        """Return the reference of a model, without a query."""
        if not isinstance(instance, models.Model):
            return None
        row: Any = instance
        label: str = row._meta.label
        if row.pk is None or row._state.adding:
            raise NotSerializable(f"a {label} without a row: save it before the task is dispatched")
        # Not the database of the read, because a replica may be behind.
        database = router.db_for_write(type(row), instance=row)
        return Reference(NAME, f"{label}@{database}", row.pk)

    async def resolve(
        self, references: Sequence[Reference], *, relations: Sequence[str] = ()
    ) -> list[object]:
        """Load the models: one query for each class and database."""
        _set_up()

        async def load(database: str, batches: Sequence[Batch]) -> list[dict[Key, object]]:
            return await self._connections.run(
                database, lambda: [_load_batch(database, batch) for batch in batches]
            )

        return await load_in_batches(references, _place, load, relations)

    async def close(self) -> None:
        """Close the connections that tasks and the resolver left open."""
        await self._connections.close()

    def enter(self) -> None:
        """Prepare this thread for code of a sync task."""
        self._connections.enter()

    def leave(self) -> None:
        """Clean up this thread after code of a sync task."""
        self._connections.leave()

    async def enter_loop(self) -> None:
        """Prepare for code of an async task on this loop."""
        if self._connections.enter_loop():
            await self._connections.tidy_djangos_thread()

    async def leave_loop(self) -> None:
        """Clean up after code of an async task on this loop."""
        if self._connections.leave_loop():
            await self._connections.tidy_djangos_thread()

    def explain(self, error: Exception) -> str | None:
        """Return a note about a relation that was not loaded; None for other errors."""
        return explain(error)


def _set_up() -> None:
    if apps.ready:
        return
    try:
        django.setup()
    except ImproperlyConfigured as error:
        raise ConfigurationError(
            f"A task has a Django model, and Django is not set up in this worker: {error} Set "
            "DJANGO_SETTINGS_MODULE, or call django.setup() in a module that the worker imports."
        ) from error


def _place(reference: Reference) -> tuple[str, type]:
    label, _, database = reference.model.partition("@")
    try:
        return database, apps.get_model(label)
    except (LookupError, ValueError) as error:
        raise ArgumentsMismatch(
            f"The arguments contain the Django model {label}, which is not installed here: {error}"
        ) from error


def _load_batch(database: str, batch: Batch) -> dict[Key, object]:
    keys = [key[0] if len(key) == 1 else key for key in batch.keys]
    # The base manager: the default one may hide rows.
    rows = batch.model._base_manager.using(database).filter(pk__in=keys)
    rows = rows.prefetch_related(*("__".join(path) for path in batch.paths()))
    return {row.pk if isinstance(row.pk, tuple) else (row.pk,): row for row in rows}
