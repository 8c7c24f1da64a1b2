"""The contract between core and a serializer: values to bytes and back."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

Refer = Callable[[object], "int | None"]
"""Returns, for an object that a serializer does not know, its place in the list of model references that
travels beside the payload; None if no resolver knows it either."""


class Serializer(Protocol):
    """Turns values into bytes and back. Safe to share between threads."""

    content_type: str
    """Names the serializer in every envelope: the name of its entry point."""

    def dumps(self, value: object, *, refer: Refer) -> bytes:
        """Encode a value.

        Raises:
            NotSerializable: something in it can be neither encoded nor referred to; the message
                gives the type and the path to it (`args[0].items['a']`).
        """
        ...

    def loads(self, data: bytes, *, models: Sequence[object] = ()) -> Any:
        """Decode a value, with `models[i]` in the place of reference `i`.

        Raises:
            BodyCorrupt: the bytes are not such an encoding.
        """
        ...
