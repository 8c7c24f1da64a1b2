"""The texts of configuration errors."""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Any

from asynctasq.config.sources import Precedence, RawValue
from asynctasq.config.urls import mask_in
from asynctasq.config.values import Mismatch, convert, convert_text, type_text
from asynctasq.errors import ConfigurationError


def all_in_one(problems: Sequence[str]) -> ConfigurationError:
    """Return one error with all problems, one on each line."""
    if len(problems) == 1:
        return ConfigurationError(problems[0])
    return ConfigurationError("\n".join([f"{len(problems)} settings are invalid:", *problems]))


def nearest(key: str, candidates: Iterable[str], *, common: str = "") -> str:
    """Return `; did you mean ...?`, or a hint where to find all names.

    `common` is the prefix of all names. It is not compared, because it would make all of them similar.
    """
    names = {name.upper().removeprefix(common.upper()): name for name in candidates}
    close = get_close_matches(key.upper().removeprefix(common.upper()), names, n=1, cutoff=0.6)
    if close:
        return f"; did you mean {names[close[0]]}?"
    if len(names) <= 12:
        return f"; choose from {', '.join(sorted(names.values()))}" if names else "; there are none"
    return "; `asynctasq publish` writes a file with all of them"


def wrong_value(given: RawValue, name: str, expected: str) -> str:
    """Return the problem that the setting `name` does not have the expected value."""
    return f"{given} must be {expected}, got {given.shown(name)}"


def converted(given: RawValue, hint: Any) -> Any:
    """Return the value as one of the type `hint`.

    Raises:
        Mismatch: the value is not of that type. The text does not contain secrets.
    """
    if not isinstance(given.value, str) or (
        given.rank is Precedence.ARGUMENTS and not given.from_url
    ):
        return convert(given.value, hint)
    try:
        return convert_text(given.value, hint, none_words=not given.from_url)
    except Mismatch as mismatch:
        raise Mismatch(mask_in(str(mismatch), given.value) or type_text(hint)) from None
