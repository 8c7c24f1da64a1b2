"""Where the sessions come from that load models: `Base._asynctasq_session_factory`."""

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
    """The session factory of a model: its own, or that of the nearest class above it."""
    factory: SessionFactory | None = getattr(model, ATTRIBUTE, None)
    return factory


def what_to_do(model: type) -> str:
    """How to give a model a session factory, for errors."""
    return (
        f"no session factory is known for {model.__module__}.{model.__qualname__}. Set one on its base "
        f"class, in a module that the worker imports too: Base.{ATTRIBUTE} = async_sessionmaker(engine)"
    )


def create_worker_session_factory(
    dsn: str | URL, **engine_options: Any
) -> async_sessionmaker[AsyncSession]:
    """A session factory with an engine of its own, for `Base._asynctasq_session_factory`.

    Connections are tested before they are used, replaced after an hour, and opened in the process that
    uses them. Sessions do not expire their models on commit.

    Args:
        dsn: without a driver (`postgresql://...`) the usual async one is taken.
        engine_options: those of `create_async_engine`, for what is to be otherwise.
    """
    url = make_url(dsn)
    url = url.set(drivername=_ASYNC_DRIVERS.get(url.drivername, url.drivername))
    options = {"pool_pre_ping": True, "pool_recycle": 3600, **engine_options}
    return async_sessionmaker(create_async_engine(url, **options), expire_on_commit=False)


async def new_session(factory: SessionFactory) -> AsyncSession | Session:
    """A session of the factory; the caller closes it.

    Raises:
        ConfigurationError: what the factory returns is no session.
    """
    session = factory()
    if inspect.isawaitable(session):
        session = await session
    return checked_session(factory, session)


def checked_session(factory: SessionFactory, session: object) -> AsyncSession | Session:
    """What a factory has made, if it is a session.

    Raises:
        ConfigurationError: it is none.
    """
    if not isinstance(session, AsyncSession | Session):
        raise ConfigurationError(
            f"The session factory {factory!r} returned a {type(session).__qualname__}, which is "
            "neither a Session nor an AsyncSession of SQLAlchemy."
        )
    return session
