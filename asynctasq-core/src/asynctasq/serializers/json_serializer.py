"""Values to JSON and back.

What JSON lacks is an object of one key that begins with a dollar: `{"$datetime": "2024-01-01T00:00:00"}`,
`{"$tuple": [1, 2]}`. A dict of the user's that has such a key, or keys that are no strings, is written as
`{"$dict": [[key, value], ...]}`, so that it comes back as it was.
"""

from collections.abc import Sequence
from math import isfinite
from typing import Any

import orjson

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
from asynctasq.serializers.unserializable import brief
from asynctasq.serializers.value_path import locate

_SIGN = "$"
_SIGN_IN_JSON = b'"$'
_LEAST_INTEGER = -(2**63)
_INTEGER_LIMIT = 2**64
_AS_THEY_ARE = frozenset({str, bool, type(None)})


class JsonSerializer:
    """Readable in the store and by other languages; slower than msgpack."""

    content_type = "json"

    def dumps(self, value: object, *, refer: Refer) -> bytes:
        """Encode a value."""
        try:
            return orjson.dumps(_Encoder(refer).encode(value))
        except Exception as error:
            raise locate(value, refer, error) from error

    def loads(self, data: bytes, *, models: Sequence[object] = ()) -> Any:
        """Decode a value."""
        try:
            value = orjson.loads(data)
            return _Decoder(models).decode(value) if _SIGN_IN_JSON in data else value
        except BodyError:
            raise
        except Exception as error:
            raise BodyCorrupt(f"The bytes are no JSON of ours: {brief(error)}") from error


class _Encoder:
    """Turns a value into what orjson writes as it stands.

    orjson alone would write tuples as lists, NaN as null, enums as their values.
    """

    def __init__(self, refer: Refer) -> None:
        self._refer = refer

    def encode(self, value: Any) -> Any:
        cls = type(value)
        if cls in _AS_THEY_ARE:
            return value
        if cls is int and _LEAST_INTEGER <= value < _INTEGER_LIMIT:
            return value
        if cls is float:
            return value if isfinite(value) else {_SIGN + FLOAT.name: repr(value)}
        if cls is list:
            return [self.encode(part) for part in value]
        if cls is dict:
            return self._dict(value)
        if cls is bytes:
            return {_SIGN + BYTES.name: bytes_text(value)}
        kind, content = dissect(value, self._refer)
        if kind is None:
            return self.encode(content)
        if isinstance(content, list):
            return {_SIGN + kind.name: [self.encode(part) for part in content]}
        return {_SIGN + kind.name: content}

    def _dict(self, value: dict[Any, Any]) -> dict[str, Any]:
        if all(type(key) is str and not key.startswith(_SIGN) for key in value):
            return {key: self.encode(part) for key, part in value.items()}
        return {_SIGN + DICT.name: self.encode(pairs(value))}


class _Decoder:
    def __init__(self, models: Sequence[object]) -> None:
        self._models = models

    def decode(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self.decode(part) for part in value]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            ((key, content),) = value.items()
            if key.startswith(_SIGN):
                return self._build(key, content)
        return {key: self.decode(part) for key, part in value.items()}

    def _build(self, key: str, content: Any) -> Any:
        kind = BY_NAME.get(key[len(_SIGN) :])
        if kind is None:
            raise BodyCorrupt(f"The JSON has a value of the unknown kind {key[:100]!r}.")
        if isinstance(kind, ScalarType):
            if not isinstance(content, str):
                raise BodyCorrupt(f"The JSON has a value of the kind {key} without its text.")
            return model_at(self._models, content) if kind is REFERENCE else kind.build(content)
        if not isinstance(content, list):
            raise BodyCorrupt(f"The JSON has a value of the kind {key} without its parts.")
        return kind.build([self.decode(part) for part in content])
