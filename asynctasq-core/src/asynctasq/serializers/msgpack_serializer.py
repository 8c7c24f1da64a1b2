"""Values to msgpack and back.

Plain data is ordinary msgpack. A leaf is an extension whose data is its text. A compound is an array
that begins with an empty extension, its mark, so that parts nest without being packed twice and
without recursion in the decoder. What a user passes never yields an extension, so no value of theirs
can be taken for a mark.
"""

from collections.abc import Sequence
from typing import Any

import msgpack

from asynctasq.contracts.serializer import Refer
from asynctasq.errors import BodyCorrupt, BodyError
from asynctasq.serializers.kinds import BY_CODE, REFERENCE, Compound, dissect, model_at
from asynctasq.serializers.locating import locate
from asynctasq.serializers.unserializable import brief

_MARKS = {
    code: msgpack.ExtType(code, b"") for code, kind in BY_CODE.items() if isinstance(kind, Compound)
}


class MsgpackSerializer:
    """The default: compact, fast, exact."""

    content_type = "msgpack"

    def __init__(self) -> None:
        # Knows plain data only, so that it never calls Python code while it packs: that is what
        # makes one packer safe for all threads.
        self._pack_plain = msgpack.Packer(strict_types=True).pack

    def dumps(self, value: object, *, refer: Refer) -> bytes:
        """Encode a value."""
        try:
            packed: bytes = self._pack_plain(value)
        except Exception:  # noqa: BLE001 - not plain: packed again below, which reports
            packed, contents = _pack(value, refer)
        else:
            contents = []
        # The packer takes bytearray and memoryview for bytes without asking.
        if (b"\xc4" in packed or b"\xc5" in packed or b"\xc6" in packed) and _has_buffer(
            [value, *contents]
        ):
            packed, _ = _pack(value, refer, buffers=True)
        return packed

    def loads(self, data: bytes, *, models: Sequence[object] = ()) -> Any:
        """Decode a value."""
        try:
            return msgpack.unpackb(data, strict_map_key=False, ext_hook=_not_plain)
        except _NotPlain:
            return _Decoder(models).decode(data)
        except Exception as error:
            raise BodyCorrupt(f"The bytes are not msgpack: {brief(error)}") from error


def _pack(value: object, refer: Refer, *, buffers: bool = False) -> tuple[bytes, list[list[Any]]]:
    """Pack a value that is not plain; also the parts into which compounds were taken apart."""
    contents: list[list[Any]] = []

    def default(part: object) -> object:
        if type(part) is _Buffer:
            part = part.buffer
        kind, content = dissect(part, refer)
        if isinstance(content, str):
            return msgpack.ExtType(kind.code, content.encode())
        if buffers:
            content = _wrap_buffers(content)
        contents.append(content)
        return [_MARKS[kind.code], *content]

    try:
        root = _wrap_buffers(value) if buffers else value
        return msgpack.Packer(default=default, strict_types=True).pack(root), contents
    except Exception as error:
        raise locate(value, refer, error) from error


class _Buffer:
    """Hides a bytearray or memoryview from the packer, so that it asks."""

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


def _wrap_buffers(part: Any) -> Any:
    cls = type(part)
    if cls is list:
        return [_wrap_buffers(child) for child in part]
    if cls is dict:
        return {key: _wrap_buffers(child) for key, child in part.items()}
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
        self._open = 0  # marks read and not yet used by the array that they begin

    def decode(self, data: bytes) -> Any:
        try:
            value = msgpack.unpackb(
                data, strict_map_key=False, ext_hook=self._extension, list_hook=self._array
            )
        except BodyError:
            raise
        except Exception as error:
            raise BodyCorrupt(f"The bytes are no values of ours: {brief(error)}") from error
        if self._open:
            raise BodyCorrupt("The bytes are no values of ours: a mark stands where none belongs.")
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
