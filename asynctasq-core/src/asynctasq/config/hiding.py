"""A warning about values of the environment that the arguments of `init` hide, which is seldom intended."""

import logging
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager

from asynctasq.config.given import value_text
from asynctasq.config.problems import converted
from asynctasq.config.settings import CORE_TYPES, Settings
from asynctasq.config.sources import Precedence, RawValue
from asynctasq.config.values import Mismatch

logger = logging.getLogger("asynctasq")


class _Warnings:
    """Texts that this process has logged."""

    def __init__(self) -> None:
        self.said: set[str] = set()
        self.is_muted = False


_warnings = _Warnings()


def warn_of_hidden(settings: Settings) -> None:
    """Log one warning about the values that the arguments hide, unless it was logged before."""
    text = "; ".join(settings.hidden)
    if text and not _warnings.is_muted and text not in _warnings.said:
        _warnings.said.add(text)
        logger.warning(
            "Arguments of init() or App() hide other values: %s. Remove one of each.", text
        )


@contextmanager
def hidden_settings_wait() -> Iterator[None]:
    """Log no such warnings within the block, as long as logging is not set up."""
    before, _warnings.is_muted = _warnings.is_muted, True
    try:
        yield
    finally:
        _warnings.is_muted = before


def mute_settings_warnings() -> None:
    """Log no warnings about settings in this process, whose parent has logged them."""
    _warnings.is_muted = True


def settings_warnings_muted() -> bool:
    """Return whether warnings about settings are muted."""
    return _warnings.is_muted


def hidden_core(core: Mapping[str, RawValue], variables: Mapping[str, RawValue]) -> list[str]:
    """Describe the variables whose values differ from the arguments. Both mappings have names of settings as keys."""
    return [
        hides(core[name], given, name)
        for name, given in variables.items()
        if core[name].rank is Precedence.ARGUMENTS and not _is_same(core[name], given, name)
    ]


def hides(winner: RawValue, loser: RawValue, name: str) -> str:
    """Describe one value that hides another, without secrets."""
    return f"{winner.key}={value_text(winner, name)} hides {loser.key}={value_text(loser, name)} ({loser.place})"


def _is_same(winner: RawValue, loser: RawValue, name: str) -> bool:
    if name == "driver" or not isinstance(winner.value, str | int | float | Collection | None):
        return bool(winner.value == loser.value)
    try:
        return bool(converted(winner, CORE_TYPES[name]) == converted(loser, CORE_TYPES[name]))
    except Mismatch:
        return False
