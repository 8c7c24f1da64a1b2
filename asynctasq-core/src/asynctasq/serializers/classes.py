"""Classes by name: `module:qualname` in a body, and back, without running anything on the way."""

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
    """The name under which a worker finds the class.

    Raises:
        Unserializable: it cannot be found by any name.
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
            f"is a {label}, which is not what the name {module}:{cls.__qualname__} leads to, so no "
            "worker could find it. Give the class the name and module under which it is kept."
        )
    return f"{module}:{cls.__qualname__}"


def find_class(name: object) -> type:
    """The class of that name, in a module that is imported already or that the rule lets be imported.

    The caller checks that it is of the kind that it expects, and constructs it.

    Raises:
        BodyCorrupt: `name` is no such name.
        ArgumentsMismatch: this worker has no such class.
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
