"""Settings of the sqlite driver."""

import os
from pathlib import Path
from typing import Literal, TypeAlias, get_args
from urllib.parse import parse_qsl, unquote, urlsplit

from asynctasq.contracts.capabilities import DEAD_LETTER_LIMIT, DEAD_LETTER_TTL_SECONDS
from asynctasq.driverkit.url_settings import Converters, url_settings
from asynctasq.errors import ConfigurationError
from asynctasq.records import record

Synchronous: TypeAlias = Literal["full", "normal", "extra", "off"]


@record
class SqliteSettings:
    """Settings of `SqliteDriver`."""

    path: str = "asynctasq.db"
    """Path of the queue file. `~` is expanded, and a relative path starts at the folder that is current when
    the settings are made. Use a local disk: SQLite's locks do not work on network file systems."""
    namespace: str = "asynctasq"
    """Applications with different namespaces can share a file. They do not see each other's messages."""
    synchronous: Synchronous = "full"
    """Failures that a message survives once a call has returned. `full`: a power failure. `normal`: a crash of
    the process; a power failure may undo the last moments. `off`: like `normal`, but a power failure may
    destroy the file. `extra`: like `full`, with one more sync of the folder."""
    busy_timeout: float = 10.0
    """Seconds to wait for other processes that write, before a call fails. Workers repeat the call until the
    file is free. A dispatch is repeated for about three more seconds, then raises `DriverUnavailable`."""
    dead_letter_ttl: float = DEAD_LETTER_TTL_SECONDS
    """Seconds for which a dead letter is kept."""
    dead_letter_limit: int = DEAD_LETTER_LIMIT
    """Number of dead letters that are kept. Older ones are deleted first."""
    poll_interval: float = 0.03
    """Seconds between two looks for the work of other processes, while a worker or a caller waits."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", absolute(self.path))
        if not self.namespace:
            raise ConfigurationError(
                "sqlite.namespace must not be empty. Give it a name, or leave it out."
            )
        if self.synchronous not in get_args(Synchronous):
            raise ConfigurationError(
                f"sqlite.synchronous must be one of {', '.join(get_args(Synchronous))}, got "
                f"{self.synchronous!r}."
            )
        for name in ("busy_timeout", "dead_letter_ttl", "dead_letter_limit", "poll_interval"):
            value = getattr(self, name)
            if not 0 <= value < float("inf") or (name == "poll_interval" and not value):
                raise ConfigurationError(f"sqlite.{name} must be a positive number, got {value!r}.")

    @staticmethod
    def from_url(url: str) -> dict[str, object]:
        """Return the settings in a URL.

        `sqlite:///relative.db`, `sqlite:////absolute/path.db` or `sqlite://` for the default file,
        each with settings as parameters: `sqlite:///work.db?synchronous=normal&namespace=shop`.

        Raises:
            ConfigurationError: a part of the URL is not known.
        """
        return _from_url(url)


def absolute(path: str | os.PathLike[str]) -> str:
    """Return an absolute path, which does not depend on the current folder any more.

    Raises:
        ConfigurationError: the path is empty, or names a database in memory.
    """
    text = os.fspath(path)
    if not text or text.startswith((":memory:", "file:")) or "\0" in text:
        raise ConfigurationError(
            f"sqlite.path must be the path of a file, got {text!r}. For messages in memory use the driver "
            f"`memory`."
        )
    return os.path.abspath(Path(text).expanduser())


def _from_url(url: str) -> dict[str, object]:
    parts = urlsplit(url)
    if parts.netloc:
        raise ConfigurationError(
            f"The sqlite URL must have no host, got {url!r}. Write three slashes for a relative path "
            f"(sqlite:///work.db), four for an absolute one."
        )
    if parts.fragment:
        raise ConfigurationError(
            f"The sqlite URL must have no fragment, got {url!r}. Write `#` as %23."
        )
    settings: dict[str, object] = {}
    path = unquote(parts.path.removeprefix("/"))
    if path:
        settings["path"] = path
    parameters = parse_qsl(parts.query, keep_blank_values=True)
    return settings | url_settings(parameters, _URL_PARAMETERS, url=f"The sqlite URL {url!r}")


_URL_PARAMETERS: Converters = {
    "namespace": str,
    "synchronous": str,
    "busy_timeout": float,
    "dead_letter_ttl": float,
    "dead_letter_limit": int,
    "poll_interval": float,
}
