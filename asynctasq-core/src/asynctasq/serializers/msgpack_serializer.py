"""The serializer `msgpack`.

Plain data is ordinary msgpack. A scalar is an extension whose data is its text. A compound is an array
that begins with an empty extension, its mark, so that parts nest without being packed twice and
without recursion in the decoder. Only the `ExtType` of msgpack is packed as an extension otherwise, and
`strict_types` refuses it, so that no value looks like a mark.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgpack

from asynctasq.contracts.serializer import Refer
from asynctasq.errors import BodyCorrupt, BodyError
from asynctasq.serializers.extension_types import (
    BY_CODE,
    REFERENCE,
    Compound,
    Dissected,
    dissect,
    model_at,
)
from asynctasq.serializers.unserializable import brief, no_reference
from asynctasq.serializers.value_path import locate

_MARKS = {
    code: msgpack.ExtType(code, b"") for code, kind in BY_CODE.items() if isinstance(kind, Compound)
}
_PACKERS_KEPT = 64
_BUFFER_FIRST = 1024
_BUFFER_KEPT = 2**20
"""Bytes; the buffer of a packer never shrinks, so a packer that packed more is not kept."""
_Extension = msgpack.ExtType._make  # half the time of calling the class, which checks both fields


class MsgpackSerializer:
    """The default serializer: compact, fast, exact."""

    content_type = "msgpack"

    def __init__(self) -> None:
        # Creating a packer takes longer than packing a few arguments. Each call takes one out, so that
        # neither threads nor an encode function that calls `dumps` share one.
        self._idle: deque[_Packing] = deque(maxlen=_PACKERS_KEPT)

    def dumps(self, value: object, *, refer: Refer) -> bytes:
        """Encode a value."""
        try:
            packing = self._idle.pop()
        except IndexError:
            packing = _Packing()
        packed = packing.pack(value, refer)
        if len(packed) < _BUFFER_KEPT:
            self._idle.append(packing)
        return packed

    def loads(self, data: bytes, *, models: Sequence[object] = ()) -> Any:
        """Decode a value."""
        try:
            return msgpack.unpackb(data, strict_map_key=False, ext_hook=_not_plain)
        except _NotPlain:
            return _Decoder(models).decode(data)
        except Exception as error:
            raise BodyCorrupt(f"The bytes are not msgpack: {brief(error)}") from error


class _Packing:
    """Packs one value at a time."""

    __slots__ = ("_again", "_pack", "_refer", "_taken")

    def __init__(self) -> None:
        self._pack: Callable[[object], bytes] = msgpack.Packer(
            default=self._take_apart, strict_types=True, buf_size=_BUFFER_FIRST
        ).pack
        self._refer: Refer = no_reference
        self._taken: list[Dissected] = []
        self._again: Iterator[Dissected] | None = None

    def pack(self, value: object, refer: Refer) -> bytes:
        self._refer = refer
        try:
            packed = self._pack(value)
            # The packer packs bytearray and memoryview as bytes, without calling `default`.
            # (Searching a number takes a sixth of the time of searching a byte string.)
            if 0xC4 in packed or 0xC5 in packed or 0xC6 in packed:
                packed = self._with_buffers(value, packed)
        except Exception as error:
            raise locate(value, refer, error) from error
        if self._taken:
            self._taken = []
        self._refer = no_reference
        return packed

    def _with_buffers(self, value: object, packed: bytes) -> bytes:
        """Pack again if there are buffers, without dissecting values a second time."""
        if not _has_buffer([value, *(content for _, content in self._taken)]):
            return packed
        self._again = iter(self._taken)
        packed = self._pack(_hide_buffers(value))
        self._again = None
        return packed

    def _take_apart(self, part: object) -> object:
        """Return the packable form of a value that the packer does not know."""
        if type(part) is _Buffer:
            kind, content = dissect(part.buffer, self._refer)
        elif self._again is not None:
            kind, content = next(self._again)
            content = _hide_buffers(content)
        else:
            taken = dissect(part, self._refer)
            self._taken.append(taken)
            kind, content = taken
        if kind is None:
            return content
        if isinstance(content, str):
            return _Extension((kind.code, content.encode()))
        return [_MARKS[kind.code], *content]


class _Buffer:
    """Hides a bytearray or memoryview from the packer, so that it calls `default`."""

    __slots__ = ("buffer",)

    def __init__(self, buffer: object) -> None:
        self.buffer = buffer


def _has_buffer(values: list[Any]) -> bool:
    pending = values
    while pending:
        part = pending.pop()
        cls = type(part)
        if cls is list:
            pending.extend(part)
        elif cls is dict:
            pending.extend(part.values())
        elif cls is bytearray or cls is memoryview:
            return True
    return False


def _hide_buffers(part: Any) -> Any:
    cls = type(part)
    if cls is list:
        return [_hide_buffers(child) for child in part]
    if cls is dict:
        return {key: _hide_buffers(child) for key, child in part.items()}
    return _Buffer(part) if cls is bytearray or cls is memoryview else part


class _NotPlain(Exception):
    """Raised by the decoder of plain data when it meets an extension."""


def _not_plain(_code: int, _data: bytes) -> object:
    raise _NotPlain


class _Decoder:
    """Decodes one value that is not plain."""

    __slots__ = ("_models", "_open")

    def __init__(self, models: Sequence[object]) -> None:
        self._models = models
        self._open = 0  # marks that were read, and whose arrays are not complete

    def decode(self, data: bytes) -> Any:
        try:
            value = msgpack.unpackb(
                data, strict_map_key=False, ext_hook=self._extension, list_hook=self._array
            )
        except BodyError:
            raise
        except Exception as error:
            raise BodyCorrupt(f"The bytes are not encoded values: {brief(error)}") from error
        if self._open:
            raise BodyCorrupt("The bytes are not encoded values: a mark is in the wrong place.")
        return value

    def _extension(self, code: int, data: bytes) -> object:
        kind = BY_CODE.get(code)
        if kind is None:
            raise BodyCorrupt(f"The bytes have an extension of the unknown code {code}.")
        if isinstance(kind, Compound):
            self._open += 1
            return kind
        text = data.decode()
        return model_at(self._models, text) if kind is REFERENCE else kind.build(text)

    def _array(self, items: list[Any]) -> object:
        if items and type(items[0]) is Compound:
            self._open -= 1
            kind = items[0]
            del items[0]
            return kind.build(items)
        return items
