"""A message as bytes, for stores that keep it as one value.

Fields that have their default are left out, and fields that this release does not know are ignored,
so that the releases on both sides of a deploy read each other's messages.
"""

from collections.abc import Mapping
from dataclasses import MISSING, Field, astuple, fields
from typing import Any

import msgpack

from asynctasq.errors import BodyCorrupt
from asynctasq.message import (
    Message,
    OnConflict,
    OnParentFailure,
    Parent,
    ScheduledRun,
    Unique,
    UniqueUntil,
)

_SURROGATES = "surrogatepass"
"""Names of files, say, may hold what is not Unicode; a header with one must not be refused here."""


def _default(field: "Field[Any]") -> object:
    return field.default if field.default_factory is MISSING else field.default_factory()


_DEFAULTS: Mapping[str, object] = {field.name: _default(field) for field in fields(Message)}


def pack_message(message: Message) -> bytes:
    """Every field of a message as bytes."""
    values: dict[str, Any] = {
        name: value
        for name, default in _DEFAULTS.items()
        if (value := getattr(message, name)) != default
    }
    if message.headers:
        values["headers"] = dict(message.headers)
    if message.parents:
        values["parents"] = [(parent.id, parent.on_failure) for parent in message.parents]
    if message.unique is not None:
        values["unique"] = astuple(message.unique)
    if message.schedule is not None:
        values["schedule"] = astuple(message.schedule)
    packed: bytes = msgpack.Packer(unicode_errors=_SURROGATES).pack(values)
    return packed


def unpack_message(data: bytes) -> Message:
    """The message that `pack_message` made bytes of.

    Raises:
        BodyCorrupt: `data` is something else.
    """
    try:
        unpacked: dict[str, Any] = msgpack.unpackb(data, unicode_errors=_SURROGATES)
        values = {name: value for name, value in unpacked.items() if name in _DEFAULTS}
        if "limits" in values:
            values["limits"] = tuple(values["limits"])
        if "parents" in values:
            values["parents"] = tuple(
                Parent(parent, OnParentFailure(rule)) for parent, rule in values["parents"]
            )
        if "unique" in values:
            key, until, on_conflict, period = values["unique"]
            values["unique"] = Unique(key, UniqueUntil(until), OnConflict(on_conflict), period)
        if "schedule" in values:
            values["schedule"] = ScheduledRun(*values["schedule"])
        return Message(**values)
    except (ValueError, TypeError, AttributeError, msgpack.UnpackException) as error:
        raise BodyCorrupt(f"{len(data)} stored bytes are not a message: {error}") from error
