"""The session of the running task: `current_session()`."""

import asyncio
import inspect
from collections.abc import Sequence
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstanceState, Session, object_session

from asynctasq import CurrentTask, current_task
from asynctasq.errors import ConfigurationError
from asynctasq_orm.sqlalchemy.engines import remember
from asynctasq_orm.sqlalchemy.factories import (
    SessionFactory,
    checked_session,
    factory_of,
    what_to_do,
)

_STATE = "asynctasq_orm.sqlalchemy"


def current_session(of: type | None = None) -> Any:
    """Return the session of the running attempt. It contains the models of the task, and is closed at the end.

        session: AsyncSession = current_session()
        user.name = "Ada"
        await session.commit()

    The first call creates the session, and its first use connects. The session never commits by itself.

    Args:
        of: a model, or a base class; required if the task has no SQLAlchemy models, or models of several
            session factories.

    Returns:
        the object that the session factory creates: an `AsyncSession` or a `Session`.

    Raises:
        LookupError: called outside a task.
        ConfigurationError: there is no session factory, or its sessions cannot be used here.
    """
    task = current_task()
    factory = _factory(task, of)
    sessions: dict[SessionFactory, AsyncSession | Session] = task.state.setdefault(_STATE, {})
    session = sessions.get(factory)
    if session is None:
        session = sessions[factory] = _open(factory)
        task.add_cleanup(session.close)
        session.add_all(_loose_models(task, factory))
    return session


def _factory(task: CurrentTask, of: type | None) -> SessionFactory:
    if of is not None:
        found = factory_of(of)
        if found is None:
            raise ConfigurationError(f"A session cannot be opened: {what_to_do(of)}")
        return found
    factories = {
        factory: type(model) for model in _mapped(task) if (factory := factory_of(type(model)))
    }
    if len(factories) == 1:
        return next(iter(factories))
    why = (
        f"models of several session factories ({', '.join(each.__qualname__ for each in factories.values())})"
        if factories
        else "no model of SQLAlchemy"
    )
    raise ConfigurationError(
        f"{task.name} has {why}. Name the base class of the session, as in current_session(Base)."
    )


def _open(factory: SessionFactory) -> AsyncSession | Session:
    made = factory()
    if inspect.isawaitable(made):
        if inspect.iscoroutine(made):
            made.close()
        raise ConfigurationError(
            f"The session factory {factory!r} is async, but current_session() cannot await it. Use an "
            "async_sessionmaker, or a function that is not async."
        )
    session = checked_session(factory, made)
    if isinstance(session, AsyncSession) and not _in_loop():
        raise ConfigurationError(
            f"The session factory {factory!r} creates async sessions, but this task is sync. "
            "Write `async def`, or give its models a sessionmaker of a sync engine."
        )
    remember(session)
    return session


def _in_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _mapped(task: CurrentTask) -> Sequence[object]:
    return [
        model
        for model in task.models
        if isinstance(getattr(model, "_sa_instance_state", None), InstanceState)
    ]


def _loose_models(task: CurrentTask, factory: SessionFactory) -> list[object]:
    """Return the models of the task that come from this factory and do not belong to a session."""
    return [
        model
        for model in _mapped(task)
        if factory_of(type(model)) is factory and object_session(model) is None
    ]
