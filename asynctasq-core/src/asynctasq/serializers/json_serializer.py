"""The serializer `json`: the plain form of values, written by orjson."""

from collections.abc import Sequence
from typing import Any

import orjson

from asynctasq.contracts.serializer import Refer
from asynctasq.errors import BodyCorrupt
from asynctasq.serializers.plain import SIGN, from_plain, to_plain
from asynctasq.serializers.unserializable import brief
from asynctasq.serializers.value_path import locate

_SIGN_IN_JSON = f'"{SIGN}'.encode()


class JsonSerializer:
    """Serializer whose bodies people and other languages can read; slower than msgpack."""

    content_type = "json"

    def dumps(self, value: object, *, refer: Refer) -> bytes:
        """Encode a value."""
        # orjson alone would write tuples as lists, NaN as null and enums as their values.
        plain = to_plain(value, refer=refer)
        try:
            return orjson.dumps(plain)
        except Exception as error:
            raise locate(value, refer, error) from error

    def loads(self, data: bytes, *, models: Sequence[object] = ()) -> Any:
        """Decode a value."""
        try:
            plain = orjson.loads(data)
        except Exception as error:
            raise BodyCorrupt(f"The bytes are not JSON: {brief(error)}") from error
        return from_plain(plain, models=models) if _SIGN_IN_JSON in data else plain
