"""A message as bytes, for stores that keep it as one value.

Fields that have their default are left out, and fields that this release does not know are ignored,
so that the releases on both sides of a deploy read each other's messages.

Fields that the messages of one task share may be stored separately, as a *profile*, which is encoded and
decoded once for all of them. The message itself is then its body alone, or complete if it has other fields
(see `is_plain`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, astuple, fields
from functools import lru_cache
from types import NoneType
from typing import Any, TypeAlias

import msgpack

from asynctasq.errors import BodyCorrupt, DriverError
from asynctasq.message import (
    NO_HEADERS,
    Message,
    OnConflict,
    OnParentFailure,
    Parent,
    ScheduledRun,
    Unique,
    UniqueUntil,
)
from asynctasq.settlement import ErrorInfo

ID_BYTES = 16
PROFILES_REMEMBERED = 2048

Profile: TypeAlias = tuple[str, int, int, int, float, float | None, bool]
"""Task, priority, max_attempts, max_lost, result_ttl, expires, and whether there is no more."""

_SURROGATES = "surrogatepass"
"""Headers may contain lone surrogates, for example of file names. They must not be refused here."""


def _default(field: "Field[Any]") -> object:
    return field.default if field.default_factory is MISSING else field.default_factory()


_NOT_PACKED = (
    ValueError, TypeError, AttributeError, LookupError, OverflowError, msgpack.UnpackException,
)  # fmt: skip
"""Exceptions of msgpack and of the classes of messages for damaged bytes."""
_NUMBER = (float, int)
_TYPES: Mapping[str, Sequence[type]] = {
    "id": (bytes,),
    "queue": (str,),
    "task": (str,),
    "body": (bytes,),
    "priority": (int,),
    "delay": _NUMBER,
    "eta": (*_NUMBER, NoneType),
    "expires": (*_NUMBER, NoneType),
    "max_attempts": (int,),
    "max_lost": (int,),
    "result_ttl": _NUMBER,
    "unique": (Unique, NoneType),
    "parents": (tuple,),
    "workflow": (bytes, NoneType),
    "schedule": (ScheduledRun, NoneType),
    "limits": (tuple,),
    "group": (str, NoneType),
    "headers": (dict,),
    "given_id": (bool,),
}
"""Allowed types of the fields of a message that was read."""
_PROFILE_TYPES: Sequence[Sequence[type]] = (
    (str,), (int,), (int,), (int,), _NUMBER, (*_NUMBER, NoneType), (bool,),
)  # fmt: skip

_DEFAULTS: Mapping[str, object] = {field.name: _default(field) for field in fields(Message)}


def pack_message(message: Message) -> bytes:
    """Return all fields of a message as bytes."""
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
    """Return the message that `pack_message` made bytes of.

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
            if type(key) is not str or type(period) not in (*_NUMBER, NoneType):
                raise TypeError("unique has a field of another type")
        if "schedule" in values:
            values["schedule"] = ScheduledRun(*values["schedule"])
        for name, value in values.items():
            if type(value) not in _TYPES[name]:
                raise TypeError(f"{name} is a {type(value).__name__}")
        message = Message(**values)
    except _NOT_PACKED as error:
        raise BodyCorrupt(f"{len(data)} stored bytes are not a message: {error}") from error
    if message.headers and not all(
        type(t) is str for item in message.headers.items() for t in item
    ):
        raise BodyCorrupt(f"{len(data)} stored bytes are not a message: headers are not text")
    return message


def is_plain(message: Message) -> bool:
    """Return whether a profile and the body hold all fields of a message."""
    return not (
        message.headers
        or message.delay
        or message.parents
        or message.limits
        or message.eta is not None
        or message.unique is not None
        or message.workflow is not None
        or message.schedule is not None
        or message.group is not None
        or message.given_id
    )


@lru_cache(PROFILES_REMEMBERED)
def pack_profile(*profile: object) -> bytes:
    """Return the fields of a `Profile` as bytes.

    Raises:
        UnicodeEncodeError: the name of the task is not valid text.
    """
    packed: bytes = msgpack.Packer(unicode_errors=_SURROGATES).pack(profile)
    return packed


@lru_cache(PROFILES_REMEMBERED)
def unpack_profile(data: bytes) -> Profile:
    """Return what `pack_profile` made bytes of.

    Raises:
        BodyCorrupt: `data` is something else.
    """
    try:
        unpacked: list[Any] = msgpack.unpackb(data, unicode_errors=_SURROGATES)
        task, priority, max_attempts, max_lost, result_ttl, expires, plain, *_ = unpacked
        checked = zip(_PROFILE_TYPES, unpacked, strict=False)
        if not all(type(value) in types for types, value in checked):
            raise TypeError("a field has another type")
    except _NOT_PACKED as error:
        raise BodyCorrupt(f"The stored profile of a message is damaged: {error!r}") from error
    return task, priority, max_attempts, max_lost, result_ttl, expires, plain


def decode_message(message_id: bytes, queue: str, profile: bytes, rest: bytes) -> Message:
    """Make a message of its profile and the rest: its body, or all of it.

    Raises:
        BodyCorrupt: the record is damaged. `salvage` makes a dead letter of it.
    """
    return message_of(message_id, queue, unpack_profile(profile), rest)


def message_of(message_id: bytes, queue: str, profile: Profile, rest: bytes) -> Message:
    """Make a message of its profile, unpacked, and the rest. Raises as `decode_message` does."""
    task, priority, max_attempts, max_lost, result_ttl, expires, plain = profile
    if plain:
        return Message(
            message_id, queue, task, rest, priority, 0.0, None, expires, max_attempts, max_lost,
            result_ttl, None, (), None, None, (), None, NO_HEADERS,
        )  # fmt: skip
    message = unpack_message(rest)
    if message.id != message_id or message.queue != queue:
        raise BodyCorrupt("The stored record of a message is that of another one.")
    return message


def salvage(message_id: bytes, queue: str, profile: bytes, rest: bytes) -> Message:
    """Make a message of a damaged record: its body is `rest`, its task `""` if that is unknown."""
    try:
        task = unpack_profile(profile)[0]
    except BodyCorrupt:
        task = ""
    return Message(message_id, queue, task, rest)


def damage_info(error: BodyCorrupt) -> ErrorInfo:
    """Return the error of a dead letter whose record is damaged."""
    return ErrorInfo(f"{BodyCorrupt.__module__}.{BodyCorrupt.__qualname__}", str(error), "")


def pack_error(error: ErrorInfo | None) -> bytes | None:
    """Return an error as bytes; None for None."""
    if error is None:
        return None
    packed: bytes = msgpack.Packer(unicode_errors=_SURROGATES).pack(
        (error.type, error.message, error.traceback)
    )
    return packed


def unpack_error(data: bytes | None) -> ErrorInfo | None:
    """Return the error that `pack_error` made bytes of; one that names the damage if they are damaged."""
    if not data:
        return None
    try:
        kind, text, traceback, *_ = msgpack.unpackb(data, unicode_errors=_SURROGATES)
        if type(kind) is type(text) is type(traceback) is str:
            return ErrorInfo(kind, text, traceback)
    except _NOT_PACKED:
        pass
    return damage_info(
        BodyCorrupt(f"The stored error of a message ({len(data)} bytes) is damaged.")
    )


def check_id(message_id: bytes) -> None:
    """Refuse an id that would shift the places of those behind it."""
    if len(message_id) != ID_BYTES:
        raise DriverError(
            f"The message ID must have 16 bytes, got {len(message_id)} ({message_id!r})."
        )


def not_unicode(error: UnicodeEncodeError) -> DriverError:
    """Return the error for text that cannot be stored."""
    return DriverError(f"Names, keys and headers must be valid Unicode text, got {error.object!r}.")
