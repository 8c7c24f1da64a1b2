"""Plugins that exist only here, so that the tests of settings need no driver."""

from collections.abc import Mapping
from dataclasses import field
from enum import StrEnum
from pathlib import Path
from typing import Literal
from urllib.parse import parse_qsl, unquote, urlsplit

from asynctasq.config import Settings, load_settings
from asynctasq.records import record


class Mode(StrEnum):
    FAST = "fast"
    SAFE = "safe"


@record
class ShelfSettings:
    """The settings of the driver `shelf`: every type of field that settings classes have."""

    path: Path = Path("shelf.db")
    """Where the shelf is,
    as a path."""
    namespace: str = "asynctasq"
    size: int = 10
    ratio: float = 0.5
    strict: bool = False
    mode: Mode = Mode.SAFE
    level: Literal["low", "high"] = "low"
    password: str | None = field(default=None, metadata={"description": "Opens the shelf."})
    tags: tuple[str, ...] = ()
    ports: list[int] = field(default_factory=list[int])
    labels: dict[str, str] = field(default_factory=dict[str, str])

    def __post_init__(self) -> None:
        if self.size < 0:
            raise ValueError(f"size must not be negative, got {self.size}")

    @staticmethod
    def from_url(url: str) -> dict[str, object]:
        parts = urlsplit(url)
        if parts.fragment:
            raise ValueError(f"no fragment is allowed in {url}")
        found: dict[str, object] = dict(parse_qsl(parts.query))
        if parts.path:
            found["path"] = unquote(parts.path)
        if parts.password:
            found["password"] = unquote(parts.password)
        return found


@record
class WireSettings:
    """The settings of the driver `wire`, which takes a URL as it is."""

    url: str = "wire://localhost"
    retries: int = 1


CLASSES: Mapping[str, type | None] = {
    "sqlite": None,
    "shelf": ShelfSettings,
    "shelf-pro": WireSettings,
    "wire": WireSettings,
    "msgpack": None,
    "json": None,
}


def load(
    arguments: Mapping[str, object] | None = None,
    environ: Mapping[str, str] | None = None,
    dotenv: Path | None = None,
    command_line: Mapping[str, object] | None = None,
) -> Settings:
    return load_settings(
        arguments,
        settings_class=CLASSES.__getitem__,
        known_plugins=CLASSES,
        command_line=command_line,
        environ=environ or {},
        dotenv=dotenv,
    )


def shelf(settings: Settings) -> ShelfSettings:
    made = settings.plugin("shelf")
    assert isinstance(made, ShelfSettings)
    return made


class FakeDriver:
    """Just enough to be told from a wrong value; never used as a store."""

    api_version = 2

    def clone(self) -> "FakeDriver":
        return self


class FakeSerializer:
    """A serializer with the interface of a real one."""

    def __init__(self, content_type: object) -> None:
        self.content_type = content_type

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.content_type!r})"

    def dumps(self, value: object, **_: object) -> bytes:
        return repr(value).encode()

    def loads(self, data: bytes, **_: object) -> object:
        return data
