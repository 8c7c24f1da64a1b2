"""Parameters of a URL as settings of a driver: `sqlite:///work.db?synchronous=normal`."""

from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from typing import TypeAlias

from asynctasq.errors import ConfigurationError

Converters: TypeAlias = Mapping[str, Callable[[str], object]]
"""Converters of the texts of parameters, by name: `str`, `int`, `float` or `flag`."""

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


_NAMES: Mapping[Callable[[str], object], str] = {
    int: "a whole number",
    float: "a number",
    flag: "true or false",
}
