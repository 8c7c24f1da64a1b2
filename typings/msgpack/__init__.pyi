# The part of msgpack that this repository uses; msgpack itself ships no types.

from collections.abc import Callable
from typing import Any, NamedTuple, Self

class ExtType(NamedTuple):
    code: int
    data: bytes

class UnpackException(Exception): ...

class Packer:
    def __init__(
        self,
        *,
        default: Callable[[Any], object] | None = None,
        use_single_float: bool = False,
        autoreset: bool = True,
        use_bin_type: bool = True,
        strict_types: bool = False,
        datetime: bool = False,
        unicode_errors: str | None = None,
        buf_size: int = ...,
    ) -> None: ...
    def pack(self, obj: object, /) -> bytes: ...

class Unpacker:
    def __init__(
        self,
        *,
        object_hook: Callable[[dict[Any, Any]], object] | None = None,
        list_hook: Callable[[list[Any]], object] | None = None,
        ext_hook: Callable[[int, bytes], object] = ...,
        use_list: bool = True,
        raw: bool = False,
        timestamp: int = 0,
        strict_map_key: bool = True,
        unicode_errors: str | None = None,
        max_buffer_size: int = ...,
        max_str_len: int = -1,
        max_bin_len: int = -1,
        max_array_len: int = -1,
        max_map_len: int = -1,
        max_ext_len: int = -1,
    ) -> None: ...
    def feed(self, next_bytes: bytes | bytearray | memoryview, /) -> None: ...
    def unpack(self) -> Any: ...
    def skip(self) -> None: ...
    def tell(self) -> int: ...
    def __iter__(self) -> Self: ...
    def __next__(self) -> Any: ...

def packb(
    o: object,
    *,
    default: Callable[[Any], object] | None = None,
    use_single_float: bool = False,
    use_bin_type: bool = True,
    strict_types: bool = False,
    datetime: bool = False,
    unicode_errors: str | None = None,
) -> bytes: ...
def unpackb(
    packed: bytes | bytearray | memoryview,
    *,
    object_hook: Callable[[dict[Any, Any]], object] | None = None,
    object_pairs_hook: Callable[[list[tuple[Any, Any]]], object] | None = None,
    list_hook: Callable[[list[Any]], object] | None = None,
    ext_hook: Callable[[int, bytes], object] = ...,
    use_list: bool = True,
    raw: bool = False,
    timestamp: int = 0,
    strict_map_key: bool = True,
    unicode_errors: str | None = None,
    max_str_len: int = -1,
    max_bin_len: int = -1,
    max_array_len: int = -1,
    max_map_len: int = -1,
    max_ext_len: int = -1,
) -> Any: ...
