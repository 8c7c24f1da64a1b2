"""By which name code is found again in another process, and what may be imported because of a name.

A stored message names modules. Importing runs code, so a name alone must never be enough: only what
is imported already, or a file of the application itself, is acceptable.
"""

import importlib
import os
import re
import site
import sys
import sysconfig
from collections.abc import Sequence
from functools import lru_cache
from importlib.machinery import SOURCE_SUFFIXES, ModuleSpec
from pathlib import Path
from types import ModuleType

from asynctasq.errors import TaskDefinitionError

_MAIN = frozenset({"__main__", "__mp_main__"})
"""What the script is called in its own process, and in children that multiprocessing spawns."""
_MODULE_NAME = re.compile(r"[\w-]+(\.[\w-]+)*")
_MODULE_NAME_LIMIT = 255
_PACKAGE_FOLDERS = frozenset({"site-packages", "dist-packages"})


def module_name(obj: object) -> str:
    """The module of a class or function, under the name by which a worker imports it.

    That is its `__module__`, except in a script that is run directly: there it is the name under
    which the script would be imported, never `__main__`.

    Raises:
        TaskDefinitionError: it was typed into an interactive session, or the script has no such name.
    """
    name: object = getattr(obj, "__module__", None)
    if not isinstance(name, str):
        raise TaskDefinitionError(
            f"{_label(obj)} belongs to no module, so no worker could find it."
        )
    if name not in _MAIN:
        return name
    imported_as = _main_import_name()
    if imported_as is None:
        raise TaskDefinitionError(
            f"{_label(obj)} is defined in an interactive session or in a script that cannot be "
            "imported, so no worker could find it. Move it into a module, that is a .py file whose "
            "name is an identifier."
        )
    return imported_as


def imported_module(name: str) -> ModuleType | None:
    """The module of that name if it is imported already; imports nothing.

    Where the running script is the file of that name, it is the script itself, so that its classes
    do not come to exist twice.
    """
    found = sys.modules.get(name)
    main = sys.modules.get("__main__")
    if main is None or name != _main_import_name():
        return found
    return main if found is None or _file_of(found) == _file_of(main) else found


def import_from_application(name: str) -> ModuleType | None:
    """The module of that name, imported if it is a file of the application; None otherwise.

    A file of the application lies under the current folder, and neither in the standard library nor
    in the site-packages of any environment. The same is asked of every package above it, before
    anything is run. What an import raises passes through, but for `SystemExit`, which becomes an
    `ImportError`: a script without a `__main__` guard must not end a worker.
    """
    found = imported_module(name)
    if found is not None and not _is_initializing(found):
        return found
    if found is None and not _belongs_to_application(name):
        return None
    try:
        return importlib.import_module(name)
    except SystemExit as error:
        raise ImportError(f"importing {name!r} tried to end the process ({error})") from error


def _main_import_name() -> str | None:
    main = sys.modules.get("__main__")
    if main is None:
        return None
    spec: ModuleSpec | None = getattr(main, "__spec__", None)
    if spec is not None and spec.name not in _MAIN:
        return spec.name
    file = _file_of(main)
    return None if file is None else _import_name_of_file(file)


def _file_of(module: ModuleType) -> str | None:
    return getattr(module, "__file__", None)


@lru_cache(maxsize=8)
def _import_name_of_file(file: str) -> str | None:
    """The name under which a script would be imported from the folder that Python put on the path.

    Remembered, as scripts change the path, but must not change their name.
    """
    # As Python does for the path: `..` and symbolic links lead to the folder where the file really is.
    path = Path(file).resolve()
    folder = Path(sys.path[0] if sys.path else "").resolve()
    parts = path.relative_to(folder).parts if path.is_relative_to(folder) else (path.name,)
    name = ".".join((*parts[:-1], path.stem))
    if path.suffix not in SOURCE_SUFFIXES or name in _MAIN or not _MODULE_NAME.fullmatch(name):
        return None
    return name if name.count(".") == len(parts) - 1 else None


def _is_initializing(module: ModuleType) -> bool:
    """Whether another thread is still importing it: `import_module` then waits for that."""
    return bool(getattr(getattr(module, "__spec__", None), "_initializing", False))


def _belongs_to_application(name: str) -> bool:
    if len(name) > _MODULE_NAME_LIMIT or not _MODULE_NAME.fullmatch(name):
        return False
    parts = name.split(".")
    if parts[0] in sys.stdlib_module_names:
        return False
    search: Sequence[str] | None = None
    for depth in range(1, len(parts) + 1):
        spec = _find_spec(".".join(parts[:depth]), search)
        if spec is None or not _is_own_file(spec):
            return False
        search = list(spec.submodule_search_locations or ())
        if depth < len(parts) and not search:
            return False
    return True


def _find_spec(name: str, search: Sequence[str] | None) -> ModuleSpec | None:
    """Like `importlib.util.find_spec`, which however imports the packages above."""
    for finder in sys.meta_path:
        find = getattr(finder, "find_spec", None)
        spec: ModuleSpec | None = find(name, search) if find is not None else None
        if spec is not None:
            return spec
    return None


def _is_own_file(spec: ModuleSpec) -> bool:
    locations = [spec.origin] if spec.has_location else list(spec.submodule_search_locations or ())
    return bool(locations) and all(
        location is not None and _is_under_application(Path(location)) for location in locations
    )


def _is_under_application(location: Path) -> bool:
    path = Path(os.path.realpath(location))
    folder = Path(os.path.realpath(Path.cwd()))
    if not path.is_relative_to(folder) or not _PACKAGE_FOLDERS.isdisjoint(path.parts):
        return False
    return not any(
        path.is_relative_to(taken) and not folder.is_relative_to(taken)
        for taken in map(Path, map(os.path.realpath, _environment_folders()))
    )


def _environment_folders() -> list[str]:
    paths = sysconfig.get_paths()
    folders = [paths[key] for key in ("stdlib", "platstdlib", "purelib", "platlib")]
    folders += [*site.getsitepackages(), site.getusersitepackages(), sys.prefix]
    return folders


def _label(obj: object) -> str:
    return repr(getattr(obj, "__qualname__", type(obj).__qualname__))
