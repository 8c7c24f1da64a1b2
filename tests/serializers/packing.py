"""msgpack by hand, for bodies that asynctasq would not write."""

from typing import Any

import msgpack


def packed(value: Any) -> bytes:
    return msgpack.packb(value)
