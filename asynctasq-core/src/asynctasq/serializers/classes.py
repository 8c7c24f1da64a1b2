"""Names of classes in messages (`module:qualname`), and their lookup without running code."""

from types import ModuleType

from asynctasq.errors import ArgumentsMismatch, BodyCorrupt, TaskDefinitionError
from asynctasq.importing import (
    import_from_application,
    import_hint,
    imported_module,
    module_name,
)
from asynctasq.serializers.unserializable import Unserializable


def class_name(cls: type) -> str:
    """Return the name by which a worker finds a class.

    Raises:
        NotSerializable: no name leads to the class.
    """
    label = f"{cls.__module__}.{cls.__qualname__}"
    if "<locals>" in cls.__qualname__:
        raise Unserializable(
            f"is a {label}, a class defined inside a function, where no worker can find it. "
            "Define the class at the top level of a module."
        )
    try:
        module = module_name(cls)
    except TaskDefinitionError as error:
        raise Unserializable(f"is a {label}: {error}") from error
    home = imported_module(module)
    if home is None or _class_in(home, cls.__qualname__) is not cls:
        raise Unserializable(
            f"is a {label}, but the name {module}:{cls.__qualname__} refers to another object, so no "
            "worker could find it. Give the class the name and module under which it is kept."
        )
    return f"{module}:{cls.__qualname__}"


def find_class(name: object) -> type:
    """Return the class of a name that `class_name` returned.

    The module must be imported already, or be one that the worker may import. Check that the class is
    of the kind that you expect before you use it: the name comes from a message.

    Raises:
        BodyCorrupt: `name` is not the name of a class.
        ArgumentsMismatch: this process has no such class.
    """
    if not isinstance(name, str):
        raise BodyCorrupt("A class name is missing.")
    module, _, qualname = name.partition(":")
    if not module or not qualname:
        raise BodyCorrupt(f"{name[:200]!r} is not the name of a class.")
    try:
        home = import_from_application(module)
    except Exception as error:
        raise ArgumentsMismatch(
            f"The arguments contain a {name[:200]}, and importing {module!r} failed: "
            f"{type(error).__name__}: {error}{import_hint(error)}"
        ) from error
    found = _class_in(home, qualname) if home is not None else None
    if found is None:
        raise ArgumentsMismatch(
            f"The value contains a {name[:200]}, and this process knows no class of that name. Import its "
            "module first: in a worker with `--app` or the setting `imports`, elsewhere before the value "
            "is read."
        )
    return found


def _class_in(module: ModuleType, qualname: str) -> type | None:
    """Look only into namespaces of the module and its classes: `getattr` could run code."""
    namespace: ModuleType | type = module
    for part in qualname.split("."):
        found = vars(namespace).get(part)
        if not isinstance(found, type):
            return None
        namespace = found
    return namespace if isinstance(namespace, type) else None
