"""Conversion of every supported value to plain data and back, for serializers of any format.

`{"$datetime": "2024-01-01T00:00:00"}` represents a datetime, and `{"$tuple": [1, 2]}` for a tuple: a value
that is not plain becomes a dict whose only key begins with a dollar sign. A dict of the user with such a
key, or with keys that are not strings, becomes `{"$dict": [[key, value], ...]}`, so that it comes back
unchanged. The names after the dollar sign are part of stored messages and never change.
"""

from collections.abc import Sequence
from math import isfinite
from typing import Any, TypeAlias

from asynctasq.contracts.serializer import Refer
from asynctasq.errors import BodyCorrupt, BodyError
from asynctasq.serializers.extension_types import (
    BY_NAME,
    BYTES,
    DICT,
    FLOAT,
    REFERENCE,
    ScalarType,
    bytes_text,
    dissect,
    model_at,
    pairs,
)
from asynctasq.serializers.unserializable import Unserializable, brief, no_reference
from asynctasq.serializers.value_path import locate

Plain: TypeAlias = "bool | int | float | str | bytes | list[Plain] | dict[str, Plain] | None"
"""Data that most formats can write: integers from -2**63 to 2**64 - 1, finite floats, Unicode text,
lists, and dicts with string keys. Bytes occur only with `keep_bytes=True`."""

SIGN = "$"
"""First character of the key that marks a value which is not plain."""
_LEAST_INTEGER = -(2**63)
_INTEGER_LIMIT = 2**64
_UNCHANGED = frozenset({bool, type(None)})


def to_plain(value: object, *, refer: Refer = no_reference, keep_bytes: bool = False) -> Plain:
    """Convert a value of any supported type to plain data, which `from_plain` converts back.

        def dumps(self, value: object, *, refer: Refer) -> bytes:
            return json.dumps(to_plain(value, refer=refer)).encode()

    Args:
        value: any value that tasks accept as an argument.
        refer: the function that `Serializer.dumps` received. Without it, ORM models are refused.
        keep_bytes: leave `bytes` as they are. By default they become base64 text, for formats
            without a type for bytes.

    Raises:
        NotSerializable: a part has an unsupported type; the message gives its path and type.
    """
    try:
        plain: Plain = _Encoder(refer, keep_bytes=keep_bytes).encode(value)
    except Exception as error:
        raise locate(value, refer, error) from error
    return plain


def from_plain(plain: object, *, models: Sequence[object] = ()) -> Any:
    """Convert plain data from `to_plain` back to the value.

        def loads(self, data: bytes, *, models: Sequence[object] = ()) -> Any:
            return from_plain(json.loads(data), models=models)

    Args:
        plain: the data, as your format has read it.
        models: the sequence that `Serializer.loads` received.

    Raises:
        BodyCorrupt: the data did not come from `to_plain`.
        ArgumentsMismatch: a class in the data is missing here, or its fields have changed.
    """
    try:
        return _Decoder(models).decode(plain)
    except BodyError:
        raise
    except Exception as error:
        raise BodyCorrupt(f"The data is not the plain form of a value: {brief(error)}") from error


class _Encoder:
    __slots__ = ("_keep_bytes", "_refer")

    def __init__(self, refer: Refer, *, keep_bytes: bool) -> None:
        self._refer = refer
        self._keep_bytes = keep_bytes

    def encode(self, value: Any) -> Any:
        cls = type(value)
        if cls is str:
            return value if value.isascii() else _unicode(value)
        if cls in _UNCHANGED:
            return value
        if cls is int and _LEAST_INTEGER <= value < _INTEGER_LIMIT:
            return value
        if cls is float:
            return value if isfinite(value) else {SIGN + FLOAT.name: repr(value)}
        if cls is list:
            return [self.encode(part) for part in value]
        if cls is dict:
            return self._dict(value)
        if cls is bytes:
            return value if self._keep_bytes else {SIGN + BYTES.name: bytes_text(value)}
        kind, content = dissect(value, self._refer)
        if kind is None:
            return self.encode(content)
        if isinstance(content, list):
            return {SIGN + kind.name: [self.encode(part) for part in content]}
        return {SIGN + kind.name: _unicode(content)}

    def _dict(self, value: dict[Any, Any]) -> dict[str, Any]:
        for key in value:
            if type(key) is not str or key.startswith(SIGN):
                return {SIGN + DICT.name: self.encode(pairs(value))}
        return {self.encode(key): self.encode(part) for key, part in value.items()}


def _unicode(text: str) -> str:
    """Return the text; raise for lone surrogates, which no format can write."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise Unserializable("is a str with lone surrogates.") from error
    return text


class _Decoder:
    __slots__ = ("_models",)

    def __init__(self, models: Sequence[object]) -> None:
        self._models = models

    def decode(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self.decode(part) for part in value]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            ((key, content),) = value.items()
            if key.startswith(SIGN):
                return self._build(key, content)
        return {key: self.decode(part) for key, part in value.items()}

    def _build(self, key: str, content: Any) -> Any:
        kind = BY_NAME.get(key[len(SIGN) :])
        if kind is None:
            raise BodyCorrupt(f"The data has a value of the unknown kind {key[:100]!r}.")
        if isinstance(kind, ScalarType):
            if not isinstance(content, str):
                raise BodyCorrupt(f"The data has a value of the kind {key} without its text.")
            return model_at(self._models, content) if kind is REFERENCE else kind.build(content)
        if not isinstance(content, list):
            raise BodyCorrupt(f"The data has a value of the kind {key} without its parts.")
        return kind.build([self.decode(part) for part in content])
