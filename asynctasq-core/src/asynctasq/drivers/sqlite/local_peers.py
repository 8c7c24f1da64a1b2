"""Engines of one process that have the same file open."""

import os
import threading
from typing import Generic, TypeVar
from weakref import WeakSet

T = TypeVar("T")


class LocalPeers(Generic[T]):
    """Objects that have a file open. Keeps none of them alive, and is empty in a forked child."""

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._by_path: dict[str, WeakSet[T]] = {}

    def _enter(self) -> threading.Lock:
        if self._process != os.getpid():
            # The parent's engines have no thread here, and its lock may never be released.
            self._begin()
        return self._lock

    def add(self, path: str, one: T) -> None:
        """Record that an object has the file open."""
        with self._enter():
            self._by_path.setdefault(path, WeakSet()).add(one)

    def discard(self, path: str, one: T) -> None:
        """Record that an object has closed the file."""
        with self._enter():
            engines = self._by_path.get(path)
            if engines is not None:
                engines.discard(one)
                if not engines:
                    del self._by_path[path]

    def others(self, path: str, one: T) -> list[T]:
        """Return all others that have the file open."""
        with self._enter():
            return [other for other in self._by_path.get(path, ()) if other is not one]
