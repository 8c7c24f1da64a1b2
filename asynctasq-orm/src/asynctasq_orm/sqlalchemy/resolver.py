"""The resolver of SQLAlchemy models."""

import asyncio
from collections.abc import Sequence
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import Select, and_, inspect, or_, select
from sqlalchemy.exc import NoInspectionAvailable
from sqlalchemy.orm import InstanceState, Mapper, Session

from asynctasq.contracts.resolver import Reference
from asynctasq.errors import ArgumentsMismatch, ConfigurationError, NotSerializable
from asynctasq.records import record
from asynctasq.serializers import class_name, find_class
from asynctasq_orm.batches import Batch, Key, key_of, load_in_batches
from asynctasq_orm.sqlalchemy.engines import close_idle_connections, remember
from asynctasq_orm.sqlalchemy.factories import (
    SessionFactory,
    factory_of,
    new_session,
    what_to_do,
)
from asynctasq_orm.sqlalchemy.relations import explain, options_of

NAME = "sqlalchemy"


@record
class Database:
    """One session factory, and the engine that its sessions use for a model."""

    factory: SessionFactory
    bind: Any
    """None unless the factory sends models to several engines."""


class SqlalchemyResolver:
    """Refers to models by their identity, and loads them in sessions of the factory of their base."""

    def __init__(self) -> None:
        self._names: WeakKeyDictionary[type, str] = WeakKeyDictionary()
        self._models: dict[str, type] = {}

    def reference(self, instance: object) -> Reference | None:
        """Return the reference of a mapped instance, without a query."""
        state = getattr(instance, "_sa_instance_state", None)
        if not isinstance(state, InstanceState):
            return None
        model = type(instance)
        name = self._names.get(model)
        if name is None:
            name = self._names[model] = class_name(model)
        if factory_of(model) is None:
            raise NotSerializable(what_to_do(model))
        identity = state.key
        if identity is None or state.deleted or state.was_deleted:
            raise NotSerializable(_no_row(state, model))
        key = identity[1]
        return Reference(NAME, name, key[0] if len(key) == 1 else key)

    async def resolve(
        self, references: Sequence[Reference], *, relations: Sequence[str] = ()
    ) -> list[object]:
        """Load the models: one query for each class."""
        return await load_in_batches(references, self._place, self._load, relations)

    async def close(self) -> None:
        """Close the idle connections of engines that were used on this loop or in threads."""
        await close_idle_connections()

    def explain(self, error: Exception) -> str | None:
        """Return a note about an attribute that was not loaded; None for other errors."""
        return explain(error)

    def _place(self, reference: Reference) -> tuple[Database, type]:
        model = self._models.get(reference.model)
        if model is None:
            model = self._models[reference.model] = _mapped(reference.model)
        factory = factory_of(model)
        if factory is None:
            raise ConfigurationError(f"A task cannot be loaded: {what_to_do(model)}")
        if len(key_of(reference)) != len(_mapper(model).primary_key):
            raise ArgumentsMismatch(
                f"The primary key of {reference.model} has {len(_mapper(model).primary_key)} columns "
                f"here, and the task was dispatched with the key {reference.key!r}."
            )
        return Database(factory, _bind_of(factory, model)), model

    async def _load(self, database: Database, batches: Sequence[Batch]) -> list[dict[Key, object]]:
        session = await new_session(database.factory)
        remember(session)
        if isinstance(session, Session):
            return await asyncio.to_thread(_load_sync, session, batches)
        async with session:
            found = []
            for batch in batches:
                options = options_of(batch)
                rows = await session.scalars(_query(batch).options(*options))
                models = _by_key(rows.unique().all())
                for key in _spelled_otherwise(batch, models):
                    models |= _if_any(key, await session.get(batch.model, key, options=options))
                found.append(models)
            return found


def _load_sync(session: Session, batches: Sequence[Batch]) -> list[dict[Key, object]]:
    with session:
        found = []
        for batch in batches:
            options = options_of(batch)
            models = _by_key(session.scalars(_query(batch).options(*options)).unique().all())
            for key in _spelled_otherwise(batch, models):
                models |= _if_any(key, session.get(batch.model, key, options=options))
            found.append(models)
        return found


def _query(batch: Batch) -> Select[Any]:
    mapper = _mapper(batch.model)
    columns = [
        getattr(batch.model, mapper.get_property_by_column(column).key)
        for column in mapper.primary_key
    ]
    if len(columns) == 1:
        return select(batch.model).where(columns[0].in_([key[0] for key in batch.keys]))
    rows = (
        and_(*(column == part for column, part in zip(columns, key, strict=True)))
        for key in batch.keys
    )
    return select(batch.model).where(or_(*rows))


def _by_key(rows: Sequence[Any]) -> dict[Key, object]:
    found: dict[Key, object] = {}
    for row in rows:
        identity = inspect(row).identity
        found[tuple(identity)] = row
    return found


def _spelled_otherwise(batch: Batch, models: dict[Key, object]) -> list[Key]:
    """Return keys that may have been found with another spelling.

    Databases pad a CHAR, ignore case in some collations, or cut microseconds off.
    """
    if models.keys() <= set(batch.keys):
        return []
    return [key for key in batch.keys if key not in models]


def _if_any(key: Key, model: object) -> dict[Key, object]:
    return {} if model is None else {key: model}


def _bind_of(factory: SessionFactory, model: type) -> Any:
    """Return the engine of a model if the factory has several engines; None otherwise."""
    options = getattr(factory, "kw", {})
    if not options.get("binds"):
        return None
    # Creating a session does not connect.
    session = factory()
    return session.get_bind(_mapper(model))


def _mapper(model: type) -> Mapper[Any]:
    return inspect(model)


def _mapped(name: str) -> type:
    model = find_class(name)
    try:
        _mapper(model)
    except NoInspectionAvailable:
        raise ArgumentsMismatch(
            f"The arguments contain the model {name}, which SQLAlchemy has not mapped here."
        ) from None
    return model


def _no_row(state: InstanceState[Any], model: type) -> str:
    label = f"{model.__module__}.{model.__qualname__}"
    if state.key is not None:
        return f"a deleted {label}: there is no row that a worker could load"
    if state.pending:
        return f"a {label} without a row yet: flush the session, and commit before the task starts"
    return (
        f"a {label} that is neither saved nor attached to a session, so that it has no key: "
        "add it to a session and commit it first"
    )
