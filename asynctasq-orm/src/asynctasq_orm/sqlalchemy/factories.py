"""Where the sessions come from that load models: `Base._asynctasq_session_factory`."""

import inspect
from collections.abc import Callable
from typing import Any, TypeAlias

from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from asynctasq.errors import ConfigurationError

ATTRIBUTE = "_asynctasq_session_factory"

SessionFactory: TypeAlias = Callable[[], Any]
"""An `async_sessionmaker`, a `sessionmaker`, or a function (async or not) that returns a session."""


def factory_of(model: type) -> SessionFactory | None:
    """The session factory of a model: its own, or that of the nearest class above it."""
    factory: SessionFactory | None = getattr(model, ATTRIBUTE, None)
    return factory


def what_to_do(model: type) -> str:
    """How to give a model a session factory, for errors."""
    return (
        f"no session factory is known for {model.__module__}.{model.__qualname__}. Set one on its base "
        f"class, in a module that the worker imports too: Base.{ATTRIBUTE} = async_sessionmaker(engine)"
    )


async def new_session(factory: SessionFactory) -> AsyncSession | Session:
    """A session of the factory; the caller closes it.

    Raises:
        ConfigurationError: what the factory returns is no session.
    """
    session = factory()
    if inspect.isawaitable(session):
        session = await session
    if not isinstance(session, AsyncSession | Session):
        raise ConfigurationError(
            f"The session factory {factory!r} returned a {type(session).__qualname__}, which is "
            "neither a Session nor an AsyncSession of SQLAlchemy."
        )
    return session
