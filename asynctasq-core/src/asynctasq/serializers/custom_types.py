"""Types that an application registers with `register_type`."""

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
class CustomType:
    """The functions that encode and decode one registered type."""

    cls: type
    name: str
    encode: Callable[[Any], object]
    decode: Callable[[Any], object]


class CustomTypes:
    """The registered types, by class and by the name in messages."""

    def __init__(self) -> None:
        self._by_class: dict[type, CustomType] = {}
        self._by_name: dict[str, CustomType] = {}

    def add(self, own: CustomType) -> None:
        """Register a type. A class that is registered again, or reloaded, replaces itself.

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

    def of(self, cls: type) -> CustomType | None:
        """Return the registered type of exactly this class; None if there is none."""
        return self._by_class.get(cls)

    def decode(self, name: object, value: object) -> object:
        """Decode a value of a registered type.

        Raises:
            ArgumentsMismatch: no such type is registered in this process, or its `decode` failed.
        """
        own = self._by_name.get(name) if isinstance(name, str) else None
        if own is None and isinstance(name, str):
            own = self._registered_by_import(name)
        if own is None:
            raise ArgumentsMismatch(
                f"The arguments contain a value of the registered type {str(name)[:200]!r}, which is not "
                "registered here. Call register_type in a module that the worker imports."
            )
        try:
            return own.decode(value)
        except BodyError:
            raise
        except Exception as error:
            raise ArgumentsMismatch(
                f"The decode function of the type {own.name!r} failed: {brief(error)}"
            ) from error

    def _registered_by_import(self, name: str) -> CustomType | None:
        """Import the module in a default name, because the type is often registered there."""
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


custom_types = CustomTypes()
"""The registered types of the process: modules register types before an app exists."""
custom_types.add(CustomType(Handle, "asynctasq.handle", str, str))  # arrives as the plain id


def register_type(
    cls: type[T],
    encode: Callable[[T], object],
    decode: Callable[[Any], T],
    *,
    name: str | None = None,
) -> None:
    """Support instances of your class as arguments and results, with every serializer.

    `encode` converts an instance to any value that is supported already, and `decode` converts this value
    to an instance. Subclasses are not included. Messages contain `name` (`module:Class` by default): keep
    it when you move or rename the class. Call this function in a module that workers import too.

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
    custom_types.add(CustomType(cls, name, encode, decode))
