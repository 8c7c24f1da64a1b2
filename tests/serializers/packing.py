"""msgpack by hand, for bodies that asynctasq would not write."""

from typing import Any, cast

import msgpack


def packed(value: Any) -> bytes:
    return cast("bytes", msgpack.packb(value))
