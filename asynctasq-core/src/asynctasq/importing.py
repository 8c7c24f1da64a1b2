"""The name by which another process finds code again, and the import of modules that messages name."""

import importlib
import signal
import sys
import threading
from functools import lru_cache
from importlib.machinery import SOURCE_SUFFIXES, ModuleSpec
from pathlib import Path
from types import ModuleType

from asynctasq.errors import TaskDefinitionError
from asynctasq.import_rules import (
    MODULE_NAME,
    current_folder,
    importing_for_message,
    is_permitted,
)

_MAIN = frozenset({"__main__", "__mp_main__"})
"""Names of the script's module in its own process, and in children that multiprocessing spawns."""

_DJANGO_NOT_READY = frozenset({"ImproperlyConfigured", "AppRegistryNotReady"})


def module_name(obj: object) -> str:
    """Return the module of a class or function, under the name by which a worker imports it.

    That is its `__module__`, except in a script that is run directly: there it is the name under
    which the script would be imported, never `__main__`. A script inside a package, as in
    `python shop/tasks.py` where `shop` has an `__init__.py`, is called `shop.tasks`.

    Raises:
        TaskDefinitionError: the object was typed into an interactive session, or the script has no such name.
    """
    name: object = getattr(obj, "__module__", None)
    if not isinstance(name, str):
        raise TaskDefinitionError(
            f"{_label(obj)} must belong to a module, so that workers can find it. Define it in one."
        )
    if name not in _MAIN:
        return name
    # While a spawned child still runs the script, `__main__` is another module.
    imported_as = _import_name_of(sys.modules.get(name)) or _main_import_name()
    if imported_as is None:
        raise TaskDefinitionError(
            f"{_label(obj)} is defined in an interactive session or in a script that cannot be "
            "imported, so no worker could find it. Move it into a module: a .py file whose name is an "
            "identifier."
        )
    return imported_as


def imported_module(name: str) -> ModuleType | None:
    """Return the module of that name if it is already imported. Import nothing.

    If the running script is the file of that name, return the script itself, so that its classes do
    not exist twice.
    """
    found = sys.modules.get(name)
    main = sys.modules.get("__main__")
    if main is None or name != _main_import_name():
        return found
    return main if found is None or _file_of(found) == _file_of(main) else found


def import_from_application(name: str) -> ModuleType | None:
    """Return a module that a message names. Import it if the rule of the context permits that; else return None.

    The rule is checked before any code runs, also for every package above the module. `Exception`s of the
    import pass through. Others, such as the `SystemExit` of a script without a `__main__` guard, become an
    `ImportError`: a module must not end a worker.
    """
    found = imported_module(name)
    if found is not None and not _is_initializing(found):
        return found
    if found is None and not is_permitted(name):
        return None
    with importing_for_message(name):
        try:
            return importlib.import_module(name)
        except Exception:
            raise
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt) and _interrupts_this_thread():
                raise
            raise ImportError(
                f"importing {name!r} tried to end the process ({type(error).__name__}: {error})"
            ) from error


def import_root_of_main() -> str | None:
    """Return the folder from which the running script can be imported, unless `sys.path` has it."""
    main = sys.modules.get("__main__")
    name, file = _import_name_of(main), _file_of(main)
    if name is None or file is None or getattr(main, "__spec__", None) is not None:
        return None
    root = str(Path(file).resolve().parents[name.count(".")])
    return None if root in map(_resolved, sys.path) else root


def import_hint(error: BaseException) -> str:
    """Return a remedy if an import failed because Django was not set up; otherwise an empty text."""
    raised = type(error)
    if not raised.__module__.startswith("django.") or raised.__name__ not in _DJANGO_NOT_READY:
        return ""
    return (
        " Call django.setup() first: put `import os, django`, "
        '`os.environ.setdefault("DJANGO_SETTINGS_MODULE", "PROJECT.settings")` and `django.setup()` into a '
        "module, and name that module in ASYNCTASQ_IMPORTS, which is imported before --app."
    )


def _interrupts_this_thread() -> bool:
    """Return whether Ctrl-C raises `KeyboardInterrupt` here; in a worker it does not."""
    return (
        threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    )


def _main_import_name() -> str | None:
    return _import_name_of(sys.modules.get("__main__"))


def _import_name_of(main: ModuleType | None) -> str | None:
    if main is None:
        return None
    spec: ModuleSpec | None = getattr(main, "__spec__", None)
    if spec is not None and spec.name not in _MAIN:
        return spec.name
    file = _file_of(main)
    return None if file is None else _import_name_of_file(file)


def _file_of(module: ModuleType | None) -> str | None:
    return getattr(module, "__file__", None)


@lru_cache(maxsize=8)
def _import_name_of_file(file: str) -> str | None:
    """Return the name under which a script would be imported.

    It begins in the folder that Python put on the path for the script, or above the packages that this
    folder belongs to. It is cached, because a script may change the path, but must keep its name.
    """
    # As Python does for the path: resolve `..` and symbolic links to the real folder of the file.
    path = Path(file).resolve()
    folder = Path(sys.path[0] if sys.path else "").resolve()
    parts = path.relative_to(folder).parts if path.is_relative_to(folder) else (path.name,)
    root = path.parents[len(parts) - 1]
    while _is_package_to_climb(root):
        parts, root = (root.name, *parts), root.parent
    name = ".".join((*parts[:-1], path.stem))
    if path.suffix not in SOURCE_SUFFIXES or name in _MAIN or not MODULE_NAME.fullmatch(name):
        return None
    return name if name.count(".") == len(parts) - 1 else None


def _is_package_to_climb(folder: Path) -> bool:
    """Return whether modules in this folder are imported as parts of a package of its name.

    In the current folder a stray `__init__.py` says little: `asynctasq worker` is started there, too. It
    counts if the folder above is on the path.
    """
    if not folder.name.isidentifier() or not (folder / "__init__.py").is_file():
        return False
    return folder != current_folder() or str(folder.parent) in map(_resolved, sys.path)


def _resolved(entry: str) -> str:
    return str(Path(entry).resolve())


def _is_initializing(module: ModuleType) -> bool:
    """Return whether another thread is still importing the module; `import_module` then waits for it."""
    return bool(getattr(getattr(module, "__spec__", None), "_initializing", False))


def _label(obj: object) -> str:
    return repr(getattr(obj, "__qualname__", type(obj).__qualname__))
