"""The envelope of bodies and results. All releases must agree on its form.

A body is one msgpack array: `[version, content type, policy, references, data]`. `data` is
`[positional arguments, {name: argument}]`, encoded by the serializer that the content type names. `references`
is empty, or msgpack (as `MsgpackSerializer` writes it) of `[[resolver, model, key], ...]`. `policy` is
`[timeout, delay, strategy, factor, cap, jitter, on missing]`, without values at its end that equal
`POLICY_DEFAULTS`, so that it is usually empty.

A result is `[version, content type, references, data]`, or `[version, nil, empty, [type, why]]` for a
value that could not be stored.

A release reads the version that it writes and the one before. `tests/serializers/samples` keeps
bytes of every version that was published.
"""

import re
from collections.abc import Sequence
from struct import Struct
from typing import Any

import msgpack

from asynctasq.contracts.resolver import Reference
from asynctasq.errors import BodyCorrupt, BodyError, BodyVersion
from asynctasq.records import record
from asynctasq.retry import SECONDS_LIMIT, OnMissing, RetryStrategy, RunPolicy
from asynctasq.serializers.msgpack_serializer import MsgpackSerializer
from asynctasq.serializers.unserializable import brief, no_reference
from asynctasq.version import __version__

VERSION = 1
"""Version of the envelopes that this release writes."""

POLICY_DEFAULTS: tuple[Any, ...] = (None, 60.0, "fixed", 2.0, 3600.0, 0.1, "retry")
"""Defaults of version 1. They never change, unlike the defaults of `RunPolicy`."""

_BODY_FIELDS = 5
_RESULT_FIELDS = 4
_HIGHEST_VERSION = 127
"""A version takes one byte of msgpack; other values are not versions."""
_POLICIES_KEPT = 1024
_CONTENT_TYPE = re.compile(r"[A-Za-z0-9_.-]{1,80}")
_NO_REFERENCES = b"\xc4\x00"
_SHORT = [b"\xc4" + bytes((size,)) for size in range(256)]
_LONG = Struct(">BI")


@record
class Envelope:
    """A body whose envelope is read, and whose arguments are not decoded."""

    content_type: str
    policy: RunPolicy
    references: tuple[Reference, ...]
    data: bytes


@record
class StoredResult:
    """A result whose envelope is read, and whose value is not decoded."""

    content_type: str
    references: tuple[Reference, ...]
    data: bytes


@record
class Unstorable:
    """The note about a result that could not be stored."""

    type: str
    why: str


class EnvelopeFormat:
    """Writes and reads envelopes, and caches the parts that repeat from message to message."""

    def __init__(self, content_type: str) -> None:
        self._content_type = content_type
        # By identity: hashing a policy takes longer than everything else. The dict holds the policy, so
        # that its identity is not reused.
        self._heads: dict[int, tuple[RunPolicy, bytes]] = {}
        self._last: tuple[RunPolicy | None, bytes] = (None, b"")
        """Policy and head of the previous message, which are usually the same."""
        self._last_opened: tuple[bytes, RunPolicy] | None = None
        """Bytes before the data of the previous body without references, and its policy: they usually
        repeat."""
        self._policies: dict[tuple[Any, ...], RunPolicy] = {}
        self._references = MsgpackSerializer()
        self._result_head = b"\x94" + _pack(VERSION) + _pack(content_type)
        self._plain_result_head = self._result_head + _NO_REFERENCES

    def seal(self, policy: RunPolicy, references: Sequence[Reference], data: bytes) -> bytes:
        """Return the body of these parts.

        Raises:
            NotSerializable: the key of a reference cannot be encoded.
        """
        last, head = self._last  # in one step, because other threads may replace it
        if last is not policy:
            head = self._head(policy)
            self._last = (policy, head)
        packed = self._pack_references(references) if references else _NO_REFERENCES
        return b"".join((head, packed, _bin_head(data), data))

    def open(self, body: bytes) -> Envelope:
        """Read the envelope of a body.

        Raises:
            BodyCorrupt: the bytes are not a body.
            BodyVersion: another release wrote it.
        """
        return self._open_alike(body) or self._open(body)

    def _open_alike(self, body: bytes) -> Envelope | None:
        """Read a body that differs from the previous one only in its data."""
        last = self._last_opened
        if last is None or not body.startswith(last[0]):
            return None
        before, policy = last
        data = _behind(len(before), body)
        return None if data is None else Envelope(self._content_type, policy, (), data)

    def _open(self, body: bytes) -> Envelope:
        fields = _fields(body, _BODY_FIELDS, "body")
        _, content_type, policy_fields, references, data = fields
        if not isinstance(data, bytes):
            raise BodyCorrupt("The bytes are not a body: it has no data.")
        policy = self._policy(policy_fields)
        if content_type == self._content_type and references == b"":
            before = body[: len(body) - len(data) - len(_bin_head(data))]
            if _behind(len(before), body) == data:
                self._last_opened = before, policy
        return Envelope(
            _checked_content_type(content_type),
            policy,
            self._read_references(references, "body"),
            data,
        )

    def seal_result(self, data: bytes, references: Sequence[Reference] = ()) -> bytes:
        """Return the stored form of a result whose value was encoded as `data`.

        Raises:
            NotSerializable: the key of a reference cannot be encoded.
        """
        if not references and len(data) < len(_SHORT):
            return self._plain_result_head + _SHORT[len(data)] + data
        packed = self._pack_references(references) if references else _NO_REFERENCES
        return b"".join((self._result_head, packed, _bin_head(data), data))

    def seal_unstorable(self, note: Unstorable) -> bytes:
        """Return the stored form of the note about a result that could not be stored."""
        return _pack([VERSION, None, b"", [note.type, note.why]])

    def open_result(self, stored: bytes) -> StoredResult | Unstorable:
        """Read the envelope of a result, or the note in its place.

        Raises:
            BodyCorrupt: the bytes are not a result.
            BodyVersion: another release wrote it.
        """
        _, content_type, references, data = _fields(stored, _RESULT_FIELDS, "result")
        if content_type is None and isinstance(data, list) and len(data) == len(("type", "why")):
            return Unstorable(str(data[0]), str(data[1]))
        if not isinstance(data, bytes):
            raise BodyCorrupt("The bytes are not a result: it has no data.")
        return StoredResult(
            _checked_content_type(content_type), self._read_references(references, "result"), data
        )

    def _head(self, policy: RunPolicy) -> bytes:
        known = self._heads.get(id(policy))
        if known is not None and known[0] is policy:
            return known[1]
        head = b"\x95" + _pack(VERSION) + _pack(self._content_type) + _pack(_policy_fields(policy))
        if len(self._heads) >= _POLICIES_KEPT:
            self._heads.clear()
        self._heads[id(policy)] = (policy, head)
        return head

    def _policy(self, fields: Any) -> RunPolicy:
        if type(fields) is not list:
            raise BodyCorrupt("The bytes are not a body: no policy.")
        try:
            key = tuple(fields)
            known = self._policies.get(key)
            if known is not None:
                return known
            policy = _read_policy(*key, *POLICY_DEFAULTS[len(key) :])
        except (TypeError, ValueError) as error:
            raise BodyCorrupt(f"The bytes are not a body: no policy ({brief(error)}).") from error
        if len(self._policies) >= _POLICIES_KEPT:
            self._policies.clear()
        self._policies[key] = policy
        return policy

    def _pack_references(self, references: Sequence[Reference]) -> bytes:
        packed = self._references.dumps(
            [[each.resolver, each.model, each.key] for each in references], refer=no_reference
        )
        return _bin_head(packed) + packed

    def _read_references(self, packed: Any, what: str) -> tuple[Reference, ...]:
        if not isinstance(packed, bytes):
            raise BodyCorrupt(f"The bytes are not a {what}: it has no references.")
        if not packed:
            return ()
        try:
            references = tuple(Reference(*fields) for fields in self._references.loads(packed))
        except BodyError:
            raise
        except TypeError as error:
            raise BodyCorrupt(f"The bytes are not a {what}: no references ({error}).") from error
        for reference in references:
            if not (isinstance(reference.resolver, str) and isinstance(reference.model, str)):
                raise BodyCorrupt(f"The bytes are not a {what}: a reference names no model.")
        return references


def _fields(packed: bytes, count: int, what: str) -> list[Any]:
    try:
        fields = msgpack.unpackb(packed)
    except Exception as error:
        raise BodyCorrupt(f"The bytes are not a {what}: {brief(error)}") from error
    if not isinstance(fields, list) or not fields or type(fields[0]) is not int:
        raise BodyCorrupt(f"The bytes are not a {what}: no version.")
    version = fields[0]
    if version != VERSION and 0 <= version <= _HIGHEST_VERSION:
        raise BodyVersion(
            f"The {what} has version {version}, which "
            + (
                f"needs a later release of asynctasq than {__version__}, the one that runs here. "
                "Upgrade this process."
                if version > VERSION
                else f"no release of asynctasq up to {__version__} writes; it needs one older than 0.1."
            )
        )
    if version != VERSION or len(fields) != count:
        raise BodyCorrupt(f"The bytes are not a {what}: {len(fields)} fields of version {version}.")
    return fields


def _checked_content_type(value: Any) -> str:
    if not isinstance(value, str) or not _CONTENT_TYPE.fullmatch(value):
        raise BodyCorrupt("The bytes do not name a serializer.")
    return value


def _policy_fields(policy: RunPolicy) -> list[Any]:
    fields = [
        policy.timeout,
        policy.retry_delay,
        policy.retry_strategy.value,
        policy.retry_factor,
        policy.retry_cap,
        policy.retry_jitter,
        policy.on_missing.value,
    ]
    while fields and fields[-1] == POLICY_DEFAULTS[len(fields) - 1]:
        fields.pop()
    return fields


_JITTER_LIMIT = 1.0


def _read_policy(
    timeout: Any, delay: Any, strategy: Any, factor: Any, cap: Any, jitter: Any, on_missing: Any
) -> RunPolicy:
    return RunPolicy(
        timeout=None if timeout is None else _number(timeout),
        retry_delay=_number(delay),
        retry_strategy=RetryStrategy(strategy),
        retry_factor=_number(factor),
        retry_cap=_number(cap),
        retry_jitter=_number(jitter, most=_JITTER_LIMIT),
        on_missing=OnMissing(on_missing),
    )


def _number(value: Any, *, most: float = SECONDS_LIMIT) -> float:
    """Return a number of a policy. Bodies come from other processes: an extreme delay must not break a store."""
    if type(value) not in {int, float} or not 0 <= value <= most:  # NaN is not
        raise ValueError(f"a number is not from 0 to {most:g}")
    return float(value)


def _pack(value: object) -> bytes:
    return msgpack.packb(value)


def _bin_head(data: bytes) -> bytes:
    size = len(data)
    return _SHORT[size] if size < len(_SHORT) else _LONG.pack(0xC6, size)


def _behind(place: int, body: bytes) -> bytes | None:
    """Return the data whose head is at this place, if nothing follows it, as `seal` writes it."""
    size = len(body) - place - 2
    if 0 <= size < len(_SHORT):
        if body[place] == 0xC4 and body[place + 1] == size:
            return body[place + 2 :]
        return None
    data = body[place + _LONG.size :]
    return data if body[place : place + _LONG.size] == _bin_head(data) else None
