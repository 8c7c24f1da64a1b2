"""The rule for modules that a message may cause a worker to import.

A stored message names modules, and importing a module runs its code. A worker therefore has a rule. Code
that runs without a rule imports nothing because of a message.
"""

import os
import pkgutil
import re
import site
import sys
import sysconfig
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from importlib.machinery import SOURCE_SUFFIXES, ModuleSpec
from pathlib import Path

from asynctasq.records import record

MODULE_NAME = re.compile(r"[\w-]+(\.[\w-]+)*")
_MODULE_NAME_LIMIT = 255
_PACKAGE_FOLDERS = frozenset({"site-packages", "dist-packages"})
_NEVER = frozenset({*sys.stdlib_module_names, "asynctasq"})
"""Top-level names below which a message imports nothing."""


def current_folder() -> Path | None:
    """Return the real path of the current folder, or None if it was deleted."""
    try:
        return _real(Path.cwd())
    except OSError:
        return None


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))


class ImportRule:
    """Decides whether a message may cause the import of a module.

    Without `whole_folder`, the module must be below the top-level package of one of `modules` or of the
    modules that `registered` returns. It must also be a file of the project folder, or lie in the folder
    of the regular package that contains such a module, wherever that is installed.

    With `whole_folder`, every source file below the project folder is permitted, in packages with or
    without `__init__.py`, except in an environment's `site-packages`.

    The project folder is the current folder when the rule is made.
    """

    def __init__(
        self,
        modules: Collection[str] = (),
        *,
        registered: Callable[[], Collection[str]] = tuple,
        whole_folder: bool = False,
    ) -> None:
        self.whole_folder = whole_folder
        self._modules = tuple(modules)
        self._registered = registered
        self._folder = current_folder()

    def modules(self) -> set[str]:
        """Return the modules whose top-level packages are permitted."""
        return {*self._modules, *self._registered()}

    def permits(self, name: str) -> bool:
        """Return whether the module may be imported; runs no code of the application."""
        if len(name) > _MODULE_NAME_LIMIT or not MODULE_NAME.fullmatch(name):
            return False
        parts = name.split(".")
        if parts[0] in _NEVER or any(_is_dunder(part) for part in parts):
            return False
        named = set() if self.whole_folder else self.modules()
        if not self.whole_folder and not any(_top(each) == parts[0] for each in named):
            return False
        return self._is_reachable(parts, named)

    def _is_reachable(self, parts: Sequence[str], named: Collection[str]) -> bool:
        """Return whether each package on the way, and the module itself, is a permitted file."""
        search: Sequence[str] | None = None
        trusted: Path | None = None
        for depth in range(1, len(parts) + 1):
            prefix = ".".join(parts[:depth])
            place = _locate(prefix, search)
            if place is None:
                return False
            search = place.search
            is_last = depth == len(parts)
            if not is_last and not search:
                return False
            if place.file is None:
                if is_last or not any(self._is_ours(Path(each), trusted) for each in search or ()):
                    return False
                continue
            file = Path(place.file)
            if trusted is None and search is not None and _contains(prefix, named):
                trusted = _real(file.parent)
            if not self._is_ours(file, trusted):
                return False
            if self.whole_folder and file.suffix not in SOURCE_SUFFIXES:
                return False
        return True

    def _is_ours(self, location: Path, trusted: Path | None) -> bool:
        path, folder = _real(location), self._folder
        if trusted is not None and path.is_relative_to(trusted):
            return True
        if folder is None or not path.is_relative_to(folder):
            return False
        if not _PACKAGE_FOLDERS.isdisjoint(path.parts):
            return False
        return not any(
            path.is_relative_to(taken) and not folder.is_relative_to(taken)
            for taken in map(_real, map(Path, _environment_folders()))
        )


LOADED_ONLY = ImportRule()
"""Permits no import. Only modules that are already imported are used."""

_rule: ContextVar[ImportRule] = ContextVar("asynctasq_import_rule", default=LOADED_ONLY)
_importing: ContextVar[str | None] = ContextVar("asynctasq_importing", default=None)


def is_permitted(name: str) -> bool:
    """Return whether the rule of the current context permits the import of a module."""
    return _rule.get().permits(name)


def set_import_rule(rule: ImportRule) -> None:
    """Apply a rule to the current context from now on, and to contexts copied from it."""
    _rule.set(rule)


@contextmanager
def import_rule(rule: ImportRule) -> Iterator[None]:
    """Apply a rule to the current context within the block."""
    token = _rule.set(rule)
    try:
        yield
    finally:
        _rule.reset(token)


@contextmanager
def importing_for_message(module: str) -> Iterator[None]:
    """Mark the block as the import of a module that a message named."""
    token = _importing.set(module)
    try:
        yield
    finally:
        _importing.reset(token)


def module_imported_for_message() -> str | None:
    """Return the module that is being imported because a message named it, or None."""
    return _importing.get()


@record
class _Place:
    """The place at which the import system would find a module."""

    file: str | None
    """The file of the module; None for a package without `__init__.py`."""
    search: Sequence[str] | None
    """The folders of its submodules; None if it is not a package."""


def _locate(name: str, search: Sequence[str] | None) -> _Place | None:
    """Find a module like `importlib.util.find_spec`, but without importing the packages above it."""
    loaded = sys.modules.get(name)
    if loaded is not None:
        path = getattr(loaded, "__path__", None)
        file = getattr(loaded, "__file__", None)
        if path is None and file is None:
            return None
        return _Place(file, None if path is None else list(path))
    portions: list[str] = []
    for spec in _top_level_specs(name) if search is None else _specs_in(name, search):
        locations = spec.submodule_search_locations
        if spec.has_location and spec.origin is not None:
            return _Place(spec.origin, None if locations is None else list(locations))
        if spec.loader is None or locations is not None:
            portions.extend(locations or ())
            continue
        return None  # built-in or frozen
    return _Place(None, portions) if portions else None


def _top_level_specs(name: str) -> Iterator[ModuleSpec]:
    for finder in sys.meta_path:
        find = getattr(finder, "find_spec", None)
        spec: ModuleSpec | None = find(name, None) if find is not None else None
        if spec is not None:
            yield spec
            return


def _specs_in(name: str, search: Sequence[str]) -> Iterator[ModuleSpec]:
    """Yield the specs of each folder in turn, as `PathFinder` collects them."""
    for entry in search:
        find = getattr(pkgutil.get_importer(entry), "find_spec", None)
        spec: ModuleSpec | None = find(name) if find is not None else None
        if spec is not None:
            yield spec


def _contains(package: str, modules: Collection[str]) -> bool:
    return any(each == package or each.startswith(f"{package}.") for each in modules)


def _top(name: str) -> str:
    return name.partition(".")[0]


def _is_dunder(part: str) -> bool:
    return part.startswith("__") and part.endswith("__")


def _environment_folders() -> list[str]:
    paths = sysconfig.get_paths()
    folders = [paths[key] for key in ("stdlib", "platstdlib", "purelib", "platlib")]
    folders += [*site.getsitepackages(), site.getusersitepackages(), sys.prefix]
    return folders
