"""Conversion of calls and results to the bytes in a store, and back."""

import logging
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from functools import partial
from typing import Any, TypeAlias, cast

from asynctasq.contracts.resolver import Reference
from asynctasq.contracts.serializer import Refer, Serializer
from asynctasq.errors import (
    BodyCorrupt,
    BodyError,
    BodyVersion,
    MessageTooLarge,
    NotSerializable,
    PluginError,
    ResultNotSerializable,
)
from asynctasq.import_rules import LOADED_ONLY, import_rule
from asynctasq.resolvers import Resolvers
from asynctasq.retry import RunPolicy
from asynctasq.serializers.envelope import Envelope, EnvelopeFormat, StoredResult, Unstorable
from asynctasq.serializers.unserializable import Unserializable, brief, no_reference, type_label

MAX_MESSAGE_BYTES = 4 * 2**20

_logger = logging.getLogger("asynctasq.serializers")
_WHY_SHOWN = 1_000
_ATOMS = frozenset({bool, int, float, str})
"""Types whose values contain no models."""
_WARNINGS_KEPT = 1_000
_RESULT = "The task completed, but its return value"
_NO_RESULT = (
    "%s returned a value of type %s that could not be stored: %s The task is complete; awaiting its result "
    "raises ResultNotSerializable."
)
NO_PROGRESS = (
    "%s reported progress of type %s that could not be stored: %s The task continues; reading its progress "
    "raises ResultNotSerializable."
)
"""Log text of `encode_result` for progress that cannot be stored."""

Found: TypeAlias = dict[int, tuple[int, Reference, object]]
"""Identity of a model to its place among the references, its reference, and the model itself, so that
the identity is not reused."""


class Codec:
    """Encodes with one serializer, and decodes with any installed one.

    `find_serializer` returns the serializer of a content type, or raises a `PluginError`. Several threads
    can share a codec.
    """

    def __init__(
        self,
        serializer: Serializer,
        *,
        find_serializer: Callable[[str], Serializer],
        resolvers: Resolvers | None = None,
        max_message_bytes: int = MAX_MESSAGE_BYTES,
    ) -> None:
        self._serializer = serializer
        self._find_serializer = find_serializer
        self._serializers: dict[str, Serializer] = {serializer.content_type: serializer}
        self._resolvers = resolvers
        self.max_message_bytes = max_message_bytes
        self._format = EnvelopeFormat(serializer.content_type)
        self._none = self._format.seal_result(serializer.dumps(None, refer=no_reference))
        self._warned: set[tuple[str, str]] = set()

    def encode_call(
        self,
        args: tuple[object, ...],
        kwargs: Mapping[str, object],
        policy: RunPolicy,
        *,
        task: str,
    ) -> bytes:
        """Return the body of a message.

        Raises:
            NotSerializable: an argument is not supported; names the task, the argument and its type.
            MessageTooLarge: the body exceeds the limit.
        """
        found: Found = {}
        refer = no_reference if self._resolvers is None else self._refer(found)
        try:
            named = kwargs if type(kwargs) is dict else dict(kwargs)
            data = self._serializer.dumps([list(args), named], refer=refer)
            body = self._format.seal(policy, _references(found) if found else (), data)
        except NotSerializable as error:
            raise _named(error, task) from error
        if len(body) > self.max_message_bytes:
            raise MessageTooLarge(
                f"Task {task!r} was not dispatched: its arguments must take at most "
                f"{self.max_message_bytes:,} bytes (setting max_message_bytes), got {len(body):,}. Pass a key "
                "or a path to large data, or raise the setting."
            )
        return body

    def replace_arguments(
        self, body: bytes, args: Sequence[object], kwargs: Mapping[str, object], *, task: str
    ) -> bytes:
        """Return a body with other arguments and the same policy; a `Reference` in them means its model.

        Raises:
            BodyError: the body cannot be read.
            NotSerializable: as `encode_call`.
            MessageTooLarge: as `encode_call`.
        """
        policy = self.open_call(body).policy
        clone = copy(self)
        clone._resolvers = cast(
            "Resolvers", _Unresolved(self._resolvers)
        )  # encoding calls `refer` only
        return clone.encode_call(tuple(args), kwargs, policy, task=task)

    def open_call(self, body: bytes) -> Envelope:
        """Read the outer form of a body, without decoding the arguments.

        Raises:
            BodyCorrupt: the bytes are not a body.
            BodyVersion: another release wrote it.
        """
        return self._format.open(body)

    def decode_arguments(
        self, envelope: Envelope, models: Sequence[object] = ()
    ) -> tuple[list[object], dict[str, object]]:
        """Return positional and named arguments, with `models` in place of `envelope.references`.

        Raises:
            BodyCorrupt: the bytes are not arguments.
            BodyVersion: no serializer of that name is installed here.
            ArgumentsMismatch: a class in them is missing here, or no longer fits.
        """
        value = self._decode(envelope.content_type, envelope.data, models)
        if type(value) is list and len(value) == 2:
            args, kwargs = value
            if type(args) is list and type(kwargs) is dict and _has_names(kwargs):
                return args, kwargs
        raise BodyCorrupt("The bytes are not the arguments of a call.")

    def encode_result(
        self, value: object, *, task: str = "", consequence: str = _NO_RESULT
    ) -> bytes:
        """Return a return value as stored. Never raises: a value that cannot be stored becomes a note.

        Args:
            value: the return value.
            task: name of the task, for the log line about a value that cannot be stored.
            consequence: text of this log line.
        """
        if value is None:
            return self._none
        found: Found = {}
        try:
            refer = no_reference if type(value) in _ATOMS else self._refer(found)
            data = self._serializer.dumps(value, refer=refer)
            stored = self._format.seal_result(data, _references(found) if found else ())
            if len(stored) <= self.max_message_bytes:
                return stored
            why = (
                f"it takes {len(stored):,} bytes, and the setting max_message_bytes allows "
                f"{self.max_message_bytes:,}."
            )
        except Unserializable as error:
            why = f"{error.path or 'it'} {error.why}"
        except Exception as error:  # noqa: BLE001 - reported, in the note and the log
            why = brief(error)
        return self._format.seal_unstorable(self._note(value, why, task, consequence))

    def can_store(self, value: object) -> bool:
        """Check whether a return value can be serialized."""
        try:
            self._serializer.dumps(value, refer=self._refer({}))
        except Exception:  # noqa: BLE001 - every error means no
            return False
        return True

    async def load_result(self, stored: bytes, *, what: str = _RESULT) -> object:
        """Return a return value from its stored form, and load its models; `what` names it in errors.

        Classes in it are looked up in modules that are imported already, and nowhere else.

        Raises:
            ResultNotSerializable: a note was stored, because the value could not be.
            BodyError: the bytes cannot be read here, or no resolver for such models is installed.
            ModelNotFound: the row of a model in it does not exist any more.
            PluginError: the resolver is broken.
        """
        result = self._open_result(stored, what)
        with import_rule(LOADED_ONLY):
            if not result.references or self._resolvers is None:
                return self._decode(result.content_type, result.data, ())
            models = await self._resolvers.resolve(result.references)
            return self._decode(result.content_type, result.data, models)

    def decode_result(self, stored: bytes) -> object:
        """Return a return value from its stored form, with references in place of models, for display.

        Raises:
            ResultNotSerializable: a note was stored, because the value could not be.
            BodyError: the bytes cannot be read here.
        """
        result = self._open_result(stored)
        with import_rule(LOADED_ONLY):
            return self._decode(result.content_type, result.data, result.references)

    def _open_result(self, stored: bytes, what: str = _RESULT) -> StoredResult:
        opened = self._format.open_result(stored)
        if isinstance(opened, Unstorable):
            raise ResultNotSerializable(
                f"{what}, a value of type {opened.type}, could not be stored: {opened.why}"
            )
        return opened

    def _refer(self, found: Found) -> Refer:
        """Return a function that refers to models, and notes them in `found`."""
        resolvers = self._resolvers
        return no_reference if resolvers is None else partial(_refer, resolvers, found)

    def _decode(self, content_type: str, data: bytes, models: Sequence[object]) -> Any:
        serializer = self._serializers.get(content_type) or self._serializer_of(content_type)
        try:
            return serializer.loads(data, models=models)
        except BodyError:
            raise
        except Exception as error:
            raise BodyCorrupt(f"The serializer {content_type!r} failed: {brief(error)}") from error

    def _serializer_of(self, content_type: str) -> Serializer:
        try:
            serializer = self._find_serializer(content_type)
        except PluginError as error:
            raise BodyVersion(
                f"The bytes were written by the serializer {content_type!r}, which this process "
                f"cannot use: {error}"
            ) from error
        self._serializers[content_type] = serializer
        return serializer

    def _note(self, value: object, why: str, task: str, consequence: str) -> Unstorable:
        label = type_label(type(value))
        if (label, consequence) not in self._warned and len(self._warned) < _WARNINGS_KEPT:
            self._warned.add((label, consequence))
            _logger.warning(
                f"{consequence} Further ones of this type are not logged.",  # noqa: G004  a format, too
                f"Task {task}" if task else "A task",
                label,
                why,
            )
        return Unstorable(label, why.encode(errors="replace").decode()[:_WHY_SHOWN])


def _has_names(kwargs: dict[Any, Any]) -> bool:
    for name in kwargs:  # noqa: SIM110 - a generator for `all` costs more than all the rest
        if type(name) is not str:
            return False
    return True


class _Unresolved:
    """Resolvers that also refer to references of models that were not loaded."""

    def __init__(self, resolvers: Resolvers | None) -> None:
        self._resolvers = resolvers

    def refer(self, value: object) -> Reference | None:
        if isinstance(value, Reference):
            return value
        return None if self._resolvers is None else self._resolvers.refer(value)


def _references(found: Found) -> Sequence[Reference]:
    return [reference for _, reference, _ in found.values()] if found else ()


def _refer(resolvers: Resolvers, found: Found, value: object) -> int | None:
    if known := found.get(id(value)):
        return known[0]
    reference = resolvers.refer(value)
    if reference is None:
        return None
    place = len(found)
    found[id(value)] = (place, reference, value)
    return place


def _named(error: NotSerializable, task: str) -> NotSerializable:
    """Return the error with the name of the argument that the caller knows."""
    if not isinstance(error, Unserializable):
        return NotSerializable(f"Task {task!r} was not dispatched: {error}")
    path = error.path
    if path.startswith("[0]"):
        path = f"args{path[3:]}"
    elif path.startswith("[1]['"):
        name, _, rest = path[5:].partition("']")
        path = name + rest
    return NotSerializable(f"Task {task!r} was not dispatched: {path or 'an argument'} {error.why}")
