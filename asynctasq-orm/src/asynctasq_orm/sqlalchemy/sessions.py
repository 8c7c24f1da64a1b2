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
    """The session of the running attempt: the models of its task are in it, and it is closed at the end.

        session: AsyncSession = current_session()
        user.name = "Ada"
        await session.commit()

    It is made at the first call, and connects when it is first used. Nothing is committed by itself.

    Args:
        of: a model, or a base class; needed if the task has no models of SQLAlchemy, or such of several
            session factories.

    Returns:
        what the session factory makes: an `AsyncSession` or a `Session`, without a static type therefore.

    Raises:
        LookupError: called outside a task.
        ConfigurationError: there is no session factory, or it makes no session that could be used here.
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
        f"{task.name} has {why}: say whose session is wanted, as in current_session(Base)."
    )


def _open(factory: SessionFactory) -> AsyncSession | Session:
    made = factory()
    if inspect.isawaitable(made):
        if inspect.iscoroutine(made):
            made.close()
        raise ConfigurationError(
            f"The session factory {factory!r} is async, and current_session() awaits nothing: make it an "
            "async_sessionmaker, or a function that is not async."
        )
    session = checked_session(factory, made)
    if isinstance(session, AsyncSession) and not _in_loop():
        raise ConfigurationError(
            f"The session factory {factory!r} makes sessions that have to be awaited, and this task is sync: "
            "write `async def`, or give its models a sessionmaker of an engine that is not async."
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
    """The models of the task that come from this factory, and are in no session of the task's own."""
    return [
        model
        for model in _mapped(task)
        if factory_of(type(model)) is factory and object_session(model) is None
    ]
