"""Settings of a driver and their URLs: `sqlite:///work.db?synchronous=normal`."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from difflib import get_close_matches
from typing import Any, ClassVar, Protocol, TypeAlias, TypeVar
from urllib.parse import parse_qsl

from asynctasq.errors import ConfigurationError

Converters: TypeAlias = Mapping[str, Callable[[str], object]]
"""Converters of the texts of parameters, by name: `str`, `int`, `float` or `flag`."""

SettingsT = TypeVar("SettingsT", bound="URLSettings")

_WORD = re.compile("[a-z_]+")
_TRUE = frozenset({"true", "1", "yes", "on"})
_FALSE = frozenset({"false", "0", "no", "off"})


def flag(text: str) -> bool:
    """Return a text such as `yes` or `off` as a bool.

    Raises:
        ValueError: it is neither.
    """
    word = text.lower()
    if word not in _TRUE | _FALSE:
        raise ValueError(text)
    return word in _TRUE


def url_settings(
    parameters: Iterable[tuple[str, str]], converters: Converters, *, url: str
) -> dict[str, object]:
    """Return the parameters of a URL as settings.

    No error shows the text of a parameter: it may be a password.

    Args:
        parameters: names and texts, as `urllib.parse.parse_qsl` returns them.
        converters: the parameters that the driver knows.
        url: the URL in words, for errors; with its password masked.

    Raises:
        ConfigurationError: a parameter is not known, or its text has the wrong type.
    """
    settings: dict[str, object] = {}
    for name, text in parameters:
        convert = converters.get(name)
        if convert is None:
            near = get_close_matches(name, converters, 1)
            hint = f"Did you mean {near[0]!r}?" if near else f"Known are {', '.join(converters)}."
            raise ConfigurationError(f"{url} has the unknown parameter {name!r}. {hint}")
        try:
            settings[name] = convert(text)
        except ValueError:
            kind = _NAMES.get(convert, "valid")
            raise ConfigurationError(
                f"{url} has a parameter {name!r} that must be {kind}."
            ) from None
    return settings


class URLSettings(Protocol):
    """Settings of a driver as a dataclass that a URL can fill."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @staticmethod
    def from_url(url: str) -> Mapping[str, object]:
        """Return the settings that a URL contains."""
        ...


def settings_from(kind: type[SettingsT], url: str, arguments: Mapping[str, object]) -> SettingsT:
    """Return the settings of a driver from its URL and the arguments of its constructor.

    Args:
        kind: the class of the settings.
        url: the URL.
        arguments: values by name. One that is None leaves the value of the URL, or the default. Names that are no
            settings are left out, so that a constructor can pass its `locals()`.

    Raises:
        ConfigurationError: the URL or a setting is not valid.
    """
    names = {each.name for each in fields(kind)} - {"url"}
    given = {
        name: value for name, value in arguments.items() if name in names and value is not None
    }
    return kind(**{**kind.from_url(url), **given})


def split_query(url: str) -> tuple[str, list[tuple[str, str]]]:
    """Return a URL without its parameters, and the parameters."""
    base, _, query = url.partition("?")
    return base, parse_qsl(query, keep_blank_values=True)


def without_query(url: str, *, setting: str) -> str:
    """Return a URL that must not have parameters.

    Raises:
        ConfigurationError: it has some.
    """
    base, parameters = split_query(url)
    if parameters:
        raise ConfigurationError(
            f"{setting} must not have parameters here. Pass them as settings, and write a `?` that is part "
            "of a password as %3F."
        )
    return base


def check_parameter_names(parameters: Iterable[tuple[str, str]], *, url: str) -> None:
    """Check that the text after the `?` of a URL is a list of settings, and not the end of a password.

    Raises:
        ConfigurationError: it is not. The text is not in the message.
    """
    if not all(_WORD.fullmatch(name) for name, _ in parameters):
        raise ConfigurationError(
            f"{url} must have settings after its `?`. Write a `?` that is part of a password as %3F."
        )


def check_type(setting: str, value: object, kind: Any, *, instances: Any = None) -> None:
    """Check the type of a setting. A float may be a whole number, and a number must not be a bool.

    Args:
        setting: the name, for the error.
        value: the value, which is not in the error: it may be a password.
        kind: the type.
        instances: the type for `isinstance` if `kind` is none, such as a `Literal`.

    Raises:
        ConfigurationError: the type is wrong.
    """
    allowed = instances or (int | float if kind is float else kind)
    if not isinstance(value, allowed) or (isinstance(value, bool) and kind is not bool):
        raise ConfigurationError(
            f"{setting} must be of the type {getattr(kind, '__qualname__', kind)}, got "
            f"{type(value).__qualname__}."
        )


def check_amount(setting: str, value: float | None, *, positive: bool) -> None:
    """Check a number that is finite, and not negative; not zero either if it must be `positive`.

    Raises:
        ConfigurationError: it is something else. None is allowed.
    """
    if value is not None and (not 0 <= value < float("inf") or (positive and not value)):
        raise ConfigurationError(f"{setting} must be a positive number, got {value!r}.")


_NAMES: Mapping[Callable[[str], object], str] = {
    int: "a whole number",
    float: "a number",
    flag: "true or false",
}
