"""The engines that were used here, so that no connection is left open when a worker ends."""

import asyncio
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import Engine
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import Session
from sqlalchemy.pool import StaticPool

from asynctasq_orm.threads import in_own_thread

# Engines are the application's, whichever of its apps uses them.
_used: WeakKeyDictionary[Engine, asyncio.AbstractEventLoop | None] = WeakKeyDictionary()


def remember(session: AsyncSession | Session) -> None:
    """Note the engines of a session; of an async one for the loop that runs."""
    sync = session.sync_session if isinstance(session, AsyncSession) else session
    loop = asyncio.get_running_loop() if isinstance(session, AsyncSession) else None
    # Mangled, but there since binds are: `get_bind` would have to be asked for each class.
    binds: dict[Any, Any] = getattr(sync, "_Session__binds", {})
    for bind in (sync.bind, *binds.values()):
        # A pool of one connection is how a database in memory lives on.
        if isinstance(bind, Engine) and not isinstance(bind.pool, StaticPool):
            _used[bind] = loop


async def close_idle_connections() -> None:
    """Close those of the engines that were used in this loop, or in threads."""
    here = asyncio.get_running_loop()
    for engine, loop in list(_used.items()):
        if loop is here:
            del _used[engine]
            await AsyncEngine(engine).dispose()
        elif loop is None:
            del _used[engine]
            await in_own_thread(engine.dispose)
