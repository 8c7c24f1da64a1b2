"""Types that an application teaches to the serializers."""

from collections.abc import Callable
from typing import Any, TypeVar

from asynctasq.errors import ArgumentsMismatch, BodyError, ConfigurationError
from asynctasq.importing import import_from_application
from asynctasq.records import record
from asynctasq.results import Handle
from asynctasq.serializers.classes import class_name
from asynctasq.serializers.unserializable import Unserializable, brief, type_label

T = TypeVar("T")

NATIVE = frozenset({type(None), bool, int, float, str, bytes, bytearray, list, dict, tuple, set})


@record
class OwnType:
    """How one type is taken apart and put together."""

    cls: type
    name: str
    encode: Callable[[Any], object]
    decode: Callable[[Any], object]


class OwnTypes:
    """What has been registered, by class and by the name that stands in bodies."""

    def __init__(self) -> None:
        self._by_class: dict[type, OwnType] = {}
        self._by_name: dict[str, OwnType] = {}

    def add(self, own: OwnType) -> None:
        """Register a type; a class registered again, or reloaded under its name, replaces itself.

        Raises:
            ConfigurationError: another class has the name.
        """
        holder = self._by_name.get(own.name)
        if holder is not None and type_label(holder.cls) != type_label(own.cls):
            raise ConfigurationError(
                f"register_type: the name {own.name!r} belongs to {type_label(holder.cls)} already. "
                f"Give {type_label(own.cls)} another `name`."
            )
        former = self._by_class.get(own.cls)
        if former is not None:
            self._by_name.pop(former.name, None)
        self._by_class[own.cls] = own
        self._by_name[own.name] = own

    def of(self, cls: type) -> OwnType | None:
        """What instances of exactly this class are encoded by."""
        return self._by_class.get(cls)

    def decode(self, name: object, value: object) -> object:
        """Put a value together again.

        Raises:
            ArgumentsMismatch: no such type is registered in this process, or its `decode` failed.
        """
        own = self._by_name.get(name) if isinstance(name, str) else None
        if own is None and isinstance(name, str):
            own = self._registered_by_import(name)
        if own is None:
            raise ArgumentsMismatch(
                f"The arguments contain a value of the own type {str(name)[:200]!r}, which is not "
                "registered here. Call register_type in a module that the worker imports."
            )
        try:
            return own.decode(value)
        except BodyError:
            raise
        except Exception as error:
            raise ArgumentsMismatch(
                f"The decode function of the own type {own.name!r} failed: {brief(error)}"
            ) from error

    def _registered_by_import(self, name: str) -> OwnType | None:
        """A default name tells the module of the class, and that is often where it is registered."""
        module, colon, _ = name.partition(":")
        if not colon:
            return None
        try:
            import_from_application(module)
        except Exception as error:
            raise ArgumentsMismatch(
                f"The arguments contain a {name}, and importing {module!r} failed: {brief(error)}"
            ) from error
        return self._by_name.get(name)


own_types = OwnTypes()
"""Of the process: types are registered while modules are imported, before there is an app."""
own_types.add(OwnType(Handle, "asynctasq.handle", str, str))  # elsewhere it is the plain id


def register_type(
    cls: type[T],
    encode: Callable[[T], object],
    decode: Callable[[Any], T],
    *,
    name: str | None = None,
) -> None:
    """Let instances of a class of yours travel as arguments and results, with every serializer.

    `encode` turns an instance into any value that can travel already, `decode` turns that value into
    an instance. Instances of subclasses are not covered. `name` is what stands in the messages
    (`module:Class` by default): keep it when you move or rename the class. Call this in a module that
    the worker imports too.

        register_type(Money, lambda money: [money.amount, money.currency], lambda parts: Money(*parts))

    Raises:
        ConfigurationError: the type is a built-in one, or `name` belongs to another class.
    """
    if not isinstance(cls, type) or cls in NATIVE:
        raise ConfigurationError(f"register_type: {cls!r} is not a class of your own.")
    if name is None:
        try:
            name = class_name(cls)
        except Unserializable as error:
            raise ConfigurationError(
                f"register_type: {type_label(cls)} has no name by which a worker finds it. Give it "
                f"one: register_type(..., name='...'). It {error.why}"
            ) from error
    own_types.add(OwnType(cls, name, encode, decode))
