"""Settings that were given, with their sources, for people. Values are masked here."""

from typing import Any

from asynctasq.config.sources import RawValue
from asynctasq.config.urls import mask_url
from asynctasq.records import record


@record
class GivenSetting:
    """A setting that is not left at its default."""

    name: str
    """`concurrency`, or `sqlite.path` for a setting of a plugin."""
    value: str
    """The value as text, shortened and without secrets."""
    key: str
    """The key as it was written, such as `ASYNCTASQ_CONCURRENCY`."""
    place: str
    """The source: `command line`, `arguments`, `environment` or `.env line 3`."""


def given_setting(name: str, given: RawValue) -> GivenSetting:
    """Describe a setting by the value that is in effect."""
    return GivenSetting(name, value_text(given, name.rpartition(".")[2]), given.key, given.place)


def value_text(given: RawValue, name: str) -> str:
    """Return the value of the setting `name` as text, shortened and without secrets."""
    value: Any = given.value
    if isinstance(value, str | int | float | None):
        return given.shown(name)
    if isinstance(value, list | tuple | set | frozenset):
        return RawValue(
            ",".join(mask_url(str(each)) for each in value), given.key, given.rank, ""
        ).shown(name)
    return f"<{type(value).__qualname__}>"
