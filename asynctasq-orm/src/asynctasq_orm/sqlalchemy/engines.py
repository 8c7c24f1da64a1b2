"""The engines that were used, so that no connection stays open when a worker stops."""

import asyncio
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import Engine
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import Session
from sqlalchemy.pool import StaticPool

from asynctasq_orm.threads import in_own_thread

# Engines belong to the application, and several apps may use them.
_used: WeakKeyDictionary[Engine, asyncio.AbstractEventLoop | None] = WeakKeyDictionary()


def remember(session: AsyncSession | Session) -> None:
    """Note the engines of a session; those of an async session for the running loop."""
    sync = session.sync_session if isinstance(session, AsyncSession) else session
    loop = asyncio.get_running_loop() if isinstance(session, AsyncSession) else None
    # A private attribute, but stable; `get_bind` would need a call for each class.
    binds: dict[Any, Any] = getattr(sync, "_Session__binds", {})
    for bind in (sync.bind, *binds.values()):
        # A database in memory exists as long as the connection of its pool.
        if isinstance(bind, Engine) and not isinstance(bind.pool, StaticPool):
            _used[bind] = loop


async def close_idle_connections() -> None:
    """Close the idle connections of engines that were used in this loop, or in threads."""
    here = asyncio.get_running_loop()
    for engine, loop in list(_used.items()):
        if loop is here:
            del _used[engine]
            await AsyncEngine(engine).dispose()
        elif loop is None:
            del _used[engine]
            await in_own_thread(engine.dispose)
