"""The session factories with which models are loaded: `Base._asynctasq_session_factory`."""

import inspect
from collections.abc import Callable
from typing import Any, TypeAlias

from sqlalchemy import URL, make_url
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import Session

from asynctasq.errors import ConfigurationError

ATTRIBUTE = "_asynctasq_session_factory"

_ASYNC_DRIVERS = {
    "mariadb": "mariadb+aiomysql",
    "mysql": "mysql+aiomysql",
    "postgres": "postgresql+asyncpg",
    "postgresql": "postgresql+asyncpg",
    "sqlite": "sqlite+aiosqlite",
}

SessionFactory: TypeAlias = Callable[[], Any]
"""An `async_sessionmaker`, a `sessionmaker`, or a function (async or not) that returns a session."""


def factory_of(model: type) -> SessionFactory | None:
    """Return the session factory of a model, or of its nearest base class that has one."""
    factory: SessionFactory | None = getattr(model, ATTRIBUTE, None)
    return factory


def what_to_do(model: type) -> str:
    """Return how to set the session factory of a model, for errors."""
    return (
        f"no session factory is known for {model.__module__}.{model.__qualname__}. Set one on its base "
        f"class, in a module that the worker imports too: Base.{ATTRIBUTE} = async_sessionmaker(engine)"
    )


def create_worker_session_factory(
    dsn: str | URL, **engine_options: Any
) -> async_sessionmaker[AsyncSession]:
    """Create a session factory with a new engine, for `Base._asynctasq_session_factory`.

    Connections are tested before they are used, replaced after an hour, and opened in the process that
    uses them. Sessions do not expire their models on commit.

    Args:
        dsn: URL of the database. Without a driver (`postgresql://...`), the usual async one is used.
        engine_options: options of `create_async_engine` that replace these defaults.
    """
    url = make_url(dsn)
    url = url.set(drivername=_ASYNC_DRIVERS.get(url.drivername, url.drivername))
    options = {"pool_pre_ping": True, "pool_recycle": 3600, **engine_options}
    return async_sessionmaker(create_async_engine(url, **options), expire_on_commit=False)


async def new_session(factory: SessionFactory) -> AsyncSession | Session:
    """Create a session of the factory; the caller closes it.

    Raises:
        ConfigurationError: the factory does not return a session.
    """
    session = factory()
    if inspect.isawaitable(session):
        session = await session
    return checked_session(factory, session)


def checked_session(factory: SessionFactory, session: object) -> AsyncSession | Session:
    """Return the object that a factory created, if it is a session.

    Raises:
        ConfigurationError: it is not a session.
    """
    if not isinstance(session, AsyncSession | Session):
        raise ConfigurationError(
            f"The session factory {factory!r} returned a {type(session).__qualname__}, which is "
            "neither a Session nor an AsyncSession of SQLAlchemy."
        )
    return session
