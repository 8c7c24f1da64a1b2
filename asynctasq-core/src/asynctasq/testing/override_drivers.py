"""Other drivers in the place of those of every app."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from asynctasq.app import App
from asynctasq.contracts.driver import Driver
from asynctasq.dispatch.connections import ConnectionPool
from asynctasq.errors import ConfigurationError


@contextmanager
def stand_in(make: Callable[[App, Driver], Driver]) -> Iterator[None]:
    """Give every app of this process other drivers, whatever their settings say.

    What apps have open stays open, unused, and is theirs again afterwards.

    Args:
        make: asked for an unopened driver instead of the one that it is shown.

    Raises:
        ConfigurationError: others stand in already.
    """
    if App._stand_in is not None:
        raise ConfigurationError("Other drivers stand in for those of all apps already.")
    before = {app: (app._swap_pool(ConnectionPool()), app._portal.is_open) for app in App._apps}
    App._stand_in = make
    try:
        yield
    finally:
        for app in list(App._apps):  # those made meanwhile, too
            pool, called_sync = before.get(app, (ConnectionPool(), False))
            if not called_sync:
                app.close_sync()
            app._swap_pool(pool)
        App._stand_in = None
