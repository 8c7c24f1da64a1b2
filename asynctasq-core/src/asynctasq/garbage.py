"""Python's garbage collector, where thousands of objects are made and dropped that are no garbage."""

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager

YOUNG_OBJECTS = 5_000
"""More than are alive for a moment while messages are made or tasks run, and few enough that what is
garbage goes soon."""


class _Collector:
    """How often it is to come: rarely while anybody asks for that, and otherwise as it was before."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._asking = 0
        self._before = 0

    def begin(self) -> None:
        with self._lock:
            self._asking += 1
            if self._asking == 1:
                self._before, *older = gc.get_threshold()
                if 0 < self._before < YOUNG_OBJECTS:  # 0 is never, which is rare enough
                    gc.set_threshold(YOUNG_OBJECTS, *older)

    def end(self) -> None:
        with self._lock:
            self._asking -= 1
            if not self._asking:
                gc.set_threshold(self._before, *gc.get_threshold()[1:])


_collector = _Collector()
"""Process-wide, as the collector is."""


@contextmanager
def collected_rarely() -> Iterator[None]:
    """Let the garbage collector come less often for a while."""
    _collector.begin()
    try:
        yield
    finally:
        _collector.end()
