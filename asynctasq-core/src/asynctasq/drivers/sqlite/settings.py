"""What can be set of the sqlite driver."""

import os
from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path
from typing import Literal, TypeAlias, get_args
from urllib.parse import parse_qsl, unquote, urlsplit

from asynctasq.contracts.capabilities import DEAD_LETTER_LIMIT, DEAD_LETTER_TTL_SECONDS
from asynctasq.errors import ConfigurationError
from asynctasq.records import record

Synchronous: TypeAlias = Literal["full", "normal", "extra", "off"]


@record
class SqliteSettings:
    """Settings of `SqliteDriver`."""

    path: str = "asynctasq.db"
    """The file. `~` is expanded, and a relative path counts from the folder current when the
    settings are made. Not on a network file system: SQLite's locks do not work there."""
    namespace: str = "asynctasq"
    """Applications with different namespaces share a file and see nothing of each other."""
    synchronous: Synchronous = "full"
    """What is certain when a call returns. `full`: it survives a power failure. `normal`: it
    survives a crash of the process, a power failure may undo the last moments. `off`: a power
    failure may also destroy the file. `extra`: `full`, plus one more sync of the folder."""
    busy_timeout: float = 10.0
    """Seconds to wait for other processes that write, before a call fails. Workers repeat it until the
    file is free. A dispatch is repeated for about three more seconds, then raises `DriverUnavailable`."""
    dead_letter_ttl: float = DEAD_LETTER_TTL_SECONDS
    """Seconds for which a dead letter is kept."""
    dead_letter_limit: int = DEAD_LETTER_LIMIT
    """How many dead letters are kept, the newest."""
    poll_interval: float = 0.03
    """Seconds between two looks for the work of other processes, while somebody waits for it."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", absolute(self.path))
        if not self.namespace:
            raise ConfigurationError("sqlite.namespace is empty. Give it a name, or leave it out.")
        if self.synchronous not in get_args(Synchronous):
            raise ConfigurationError(
                f"sqlite.synchronous is {self.synchronous!r}. It is one of "
                f"{', '.join(get_args(Synchronous))}."
            )
        for name in ("busy_timeout", "dead_letter_ttl", "dead_letter_limit", "poll_interval"):
            value = getattr(self, name)
            if not 0 <= value < float("inf") or (name == "poll_interval" and not value):
                raise ConfigurationError(f"sqlite.{name} is {value!r}. It is a positive number.")

    @staticmethod
    def from_url(url: str) -> dict[str, object]:
        """The settings that stand in a URL.

        `sqlite:///relative.db`, `sqlite:////absolute/path.db` or `sqlite://` for the default file,
        each with settings as parameters: `sqlite:///work.db?synchronous=normal&namespace=shop`.

        Raises:
            ConfigurationError: a part of the URL means nothing here.
        """
        return _from_url(url)


def absolute(path: str | os.PathLike[str]) -> str:
    """The path that a user meant, independent of the current folder from now on.

    Raises:
        ConfigurationError: the path is empty, or names a database in memory.
    """
    text = os.fspath(path)
    if not text or text.startswith((":memory:", "file:")) or "\0" in text:
        raise ConfigurationError(
            f"sqlite.path is {text!r}. It is the path of a file; for messages in memory use the "
            f"driver `memory`."
        )
    return os.path.abspath(Path(text).expanduser())


def _from_url(url: str) -> dict[str, object]:
    parts = urlsplit(url)
    if parts.netloc:
        raise ConfigurationError(
            f"The sqlite URL {url!r} has the host {parts.netloc!r}, but a file has none. Write "
            f"three slashes for a relative path (sqlite:///work.db), four for an absolute one."
        )
    if parts.fragment:
        raise ConfigurationError(
            f"The sqlite URL {url!r} has the fragment {parts.fragment!r}. Write `#` as %23."
        )
    settings: dict[str, object] = {}
    path = unquote(parts.path.removeprefix("/"))
    if path:
        settings["path"] = path
    for name, text in parse_qsl(parts.query, keep_blank_values=True):
        convert = _URL_PARAMETERS.get(name)
        if convert is None:
            near = get_close_matches(name, _URL_PARAMETERS, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(_URL_PARAMETERS)}."
            raise ConfigurationError(f"The sqlite URL {url!r} has the parameter {name!r}; {hint}")
        try:
            settings[name] = convert(text)
        except ValueError:
            raise ConfigurationError(
                f"The sqlite URL {url!r} has {name}={text!r}, which is no {convert.__name__}."
            ) from None
    return settings


_URL_PARAMETERS: dict[str, Callable[[str], object]] = {
    "namespace": str,
    "synchronous": str,
    "busy_timeout": float,
    "dead_letter_ttl": float,
    "dead_letter_limit": int,
    "poll_interval": float,
}
