"""Instead of numpy, aiofiles, joblib, PIL and cryptography: just enough for the process tasks."""

import math
from types import SimpleNamespace, TracebackType
from typing import Any, Self


class Array:
    """An array whose numbers no operation changes; like the real one it cannot be stored as it is."""

    def __init__(self, values: Any) -> None:
        self._values = list(values)

    @property
    def T(self) -> Self:  # noqa: N802  numpy's name
        """Transposed."""
        return self

    def __matmul__(self, other: Self) -> Self:
        return self

    def tolist(self) -> list[Any]:
        """As a list."""
        return self._values

    def mean(self) -> float:
        """Return the mean of the numbers."""
        return math.fsum(self._values) / len(self._values)

    def std(self) -> float:
        """Return the standard deviation of the numbers, which are all equal."""
        return 0.0

    def max(self) -> float:
        """Return the largest number."""
        return float(max(self._values))


def array(values: Any) -> Array:
    """Act as the function of numpy."""
    return values if isinstance(values, Array) else Array(values)


def mean(values: Any) -> float:
    """Act as the function of numpy."""
    return array(values).mean()


def std(values: Any) -> float:
    """Act as the function of numpy."""
    return array(values).std()


def trace(values: Any) -> float:
    """Act as the function of numpy, for one row."""
    return float(array(values).tolist()[0])


fft = SimpleNamespace(fft=array)
linalg = SimpleNamespace(inv=array)


class _File:
    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Nothing is open."""

    async def read(self) -> bytes:
        """Two kilobytes."""
        return bytes(2048)


def open(path: str, mode: str) -> _File:  # noqa: A001  aiofiles' name
    """Act as the function of aiofiles."""
    return _File()


def load(path: str) -> Any:
    """joblib's: a model that predicts what it is given."""
    return SimpleNamespace(predict=array)


class _Image:
    def filter(self, kind: object) -> Self:
        """PIL's."""
        return self

    def save(self, path: str, *, quality: int) -> None:
        """PIL's."""


Image = SimpleNamespace(open=lambda path: _Image())
ImageFilter = SimpleNamespace(SHARPEN=object(), EDGE_ENHANCE=object())


class Fernet:
    """The interface of cryptography's Fernet; it only reverses the data."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def encrypt(self, data: bytes) -> bytes:
        """Backwards."""
        return data[::-1]
