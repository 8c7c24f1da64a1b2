"""Exceptions of a store's client as errors of the driver contract."""

from collections.abc import Iterator
from contextlib import contextmanager

from asynctasq.errors import BodyCorrupt, DriverError, DriverUnavailable


@contextmanager
def store_errors(
    store: str, *unavailable: type[Exception], refused: tuple[type[Exception], ...] = ()
) -> Iterator[None]:
    """Turn exceptions of a store's client, and `BodyCorrupt`, into a `DriverError`.

    Args:
        store: name of the store in the errors, such as the driver's `description`.
        unavailable: these become `DriverUnavailable`, because a later call may succeed.
        refused: these become `DriverError`, unless `unavailable` contains them.
    """
    others: tuple[type[Exception], ...] = (BodyCorrupt, *refused)
    try:
        yield
    except DriverError:
        raise
    except unavailable as error:
        raise DriverUnavailable(f"Cannot use {store}: {error}") from error
    except others as error:
        raise DriverError(f"A call of {store} failed: {error}") from error
