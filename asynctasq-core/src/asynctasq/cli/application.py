"""Loading the app of `--app MODULE[:APP]`."""

import importlib
import re
import sys
import traceback
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType

import click

from asynctasq.app import App
from asynctasq.cli.app_option import several_modules
from asynctasq.config import imports_of_environment
from asynctasq.default import default_app
from asynctasq.errors import ConfigurationError
from asynctasq.import_rules import ImportRule
from asynctasq.importing import import_hint
from asynctasq.tasks.registry import registry

_TARGET = re.compile(r"(?P<module>[\w-]+(\.[\w-]+)*)(:(?P<attribute>\w+))?")


def load_application(target: str | None) -> App:
    """Import the module of `--app` and the modules of the setting `imports`, and return the app.

    `MODULE:APP` names the app; otherwise it is the default app, which one of these modules may
    configure with `asynctasq.init(...)`. The current folder is searched first. The `imports` of the
    environment and of `.env` come before `--app`, because its module may depend on them.

    Raises:
        ConfigurationError: a module cannot be imported, or has no such app.
        PluginError: as `App`.
    """
    search_current_folder()
    imported: set[str] = set()
    for name in imports_of_environment():
        _import(name, "The setting imports")
        imported.add(name)
    app = _app_of_target(target) if target is not None else None
    while True:
        chosen = app or default_app()  # an import may have called init()
        todo = [name for name in chosen.settings.imports if name not in imported]
        if not todo:
            return chosen
        for name in todo:
            _import(name, "The setting imports")
        imported.update(todo)


def search_current_folder() -> None:
    """Put the current folder first on the module search path."""
    folder = str(Path.cwd())
    if folder not in sys.path[:1]:
        sys.path.insert(0, folder)


def permitted_imports(app: App, target: str | None) -> ImportRule:
    """Return the rule for importing modules named by messages, the same as in a worker."""
    named = [] if target is None else [target.partition(":")[0]]
    settings = app.settings
    return registry.import_rule([*named, *settings.imports], enabled=settings.import_tasks)


def _app_of_target(target: str) -> App | None:
    parts = _TARGET.fullmatch(target)
    if parts is None or target.endswith(".py"):
        hint = _as_module(target)
        several = target.split(",")
        raise ConfigurationError(
            f"--app must be the name of a module, as in an import, or MODULE:APP; got {target!r}."
            + (f" Try --app {hint}." if hint else "")
            + (f" {several_modules(several)}" if len(several) > 1 and all(several) else "")
        )
    module = _import(parts["module"], "--app")
    attribute = parts["attribute"]
    if attribute is None:
        _warn_of_apps(target, module)
        return None
    if not hasattr(module, attribute):
        raise ConfigurationError(
            f"--app {target}: module {module.__name__!r} has no attribute {attribute!r}."
            f"{_apps_in(module)}"
        )
    app = getattr(module, attribute)
    if not isinstance(app, App):
        raise ConfigurationError(
            f"--app {target}: {attribute!r} must be an asynctasq.App, got {type(app).__qualname__}."
            f"{_apps_in(module)}"
        )
    return app


def _import(name: str, where: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:
        absent = error.name if isinstance(error, ModuleNotFoundError) else None
        if absent is not None and f"{name}.".startswith(f"{absent}."):
            raise ConfigurationError(_not_found(name, where)) from error
        cause = f"{type(error).__qualname__}: {error}{import_hint(error)}"
        raise ConfigurationError(
            f"{where}: importing {name!r} failed, {_place(error)}{cause}\n"
            f"To see the traceback: asynctasq --debug worker ..."
        ) from error


def _not_found(name: str, where: str) -> str:
    folder = Path.cwd()
    here = [path.stem for path in folder.glob("*.py")]
    here += [path.parent.name for path in folder.glob("*/__init__.py")]
    near = get_close_matches(name.partition(".")[0], here, n=1)
    hint = f" Did you mean {near[0]!r}?" if near and near[0] != name else ""
    return f"{where}: no module {name!r} in {folder} or in the installed packages.{hint}"


def _place(error: BaseException) -> str:
    """Return the line that raised the error, preferably one of the application."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"in {error.filename}, line {error.lineno}: "
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if Path(frame.filename).is_relative_to(Path.cwd())]
    frame = (own or frames)[-1]
    return f"in {frame.filename}, line {frame.lineno}: "


def _as_module(target: str) -> str:
    """Convert the path of a file into the name of a module."""
    path, _, attribute = target.partition(":")
    if not Path(path).name:
        return ""
    name = ".".join(Path(path).with_suffix("").parts).lstrip(".")
    return f"{name}:{attribute}" if attribute else name if re.fullmatch(r"[\w.-]*\w", name) else ""


def _warn_of_apps(target: str, module: ModuleType) -> None:
    apps = {name: value for name, value in vars(module).items() if isinstance(value, App)}
    if apps and default_app() not in apps.values():
        click.echo(
            f"Warning: using the default app, not one of {module.__name__}. To use that one: "
            f"--app {target}:{min(apps)}",
            err=True,
        )


def _apps_in(module: ModuleType) -> str:
    names = sorted(name for name, value in vars(module).items() if isinstance(value, App))
    return f" Did you mean {module.__name__}:{names[0]}?" if names else ""
