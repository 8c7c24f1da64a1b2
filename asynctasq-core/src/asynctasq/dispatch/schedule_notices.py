"""Notices about changed schedules, from an application to the workers in its process."""

from collections.abc import Callable, Generator
from contextlib import contextmanager


class ScheduleNotices:
    """Wakes the workers of this process when the application changes a schedule. Any thread may use it."""

    def __init__(self) -> None:
        self._wakes: list[Callable[[], None]] = []

    def changed(self) -> None:
        """Wake all workers."""
        for wake in tuple(self._wakes):
            wake()

    @contextmanager
    def waking(self, wake: Callable[[], None]) -> Generator[None]:
        """Have `wake` called after each change within the block."""
        self._wakes.append(wake)
        try:
            yield
        finally:
            self._wakes.remove(wake)
