"""Gauges of plugins, gathered for `/metrics`."""

import logging
import re
from collections.abc import Mapping
from typing import cast

from asynctasq.hookspecs import Sample
from asynctasq.plugins.observers import Observer, Observers

logger = logging.getLogger("asynctasq.plugins")

SAMPLES_MOST = 1000
"""Samples of one plugin, at most."""
RESERVED = "asynctasq_"
_METRIC = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_LABEL = re.compile(r"(?!__)[a-zA-Z_][a-zA-Z0-9_]*")

_Key = tuple[str, tuple[tuple[str, str], ...]]


class Gauges:
    """Gathers the samples of all plugins. Any thread may do so.

    A plugin that raises, or returns something wrong, loses its own samples only. Each problem is logged once.
    """

    def __init__(self, observers: Observers) -> None:
        """Make it for the plugins of one app."""
        self._observers = observers
        self._logged: set[tuple[str, str]] = set()

    def collect(self) -> list[Sample]:
        """Return the valid samples. No two have the same name and labels."""
        found: dict[_Key, Sample] = {}
        for observer in self._observers.collect:
            try:
                self._add(observer, found)
            except Exception as error:  # noqa: BLE001  logged
                problem = f"raised in collect: {type(error).__qualname__}: {error}"
                self._log(observer, problem, error)
        return list(found.values())

    def _add(self, observer: Observer, found: dict[_Key, Sample]) -> None:
        count = 0
        for sample in observer.call(None):
            if count >= SAMPLES_MOST:
                self._log(
                    observer, f"returned more than {SAMPLES_MOST} samples; the rest is dropped"
                )
                return
            problem = problem_of(sample)
            if problem is None:
                key = (sample.name, tuple(sorted(sample.labels.items())))
                if key not in found:
                    found[key] = sample
                    count += 1
                    continue
                problem = f"{sample.name}: name and labels must be unique, got {dict(key[1])} twice"
            self._log(observer, f"returned an invalid sample: {problem}")

    def _log(self, observer: Observer, problem: str, error: Exception | None = None) -> None:
        key = (observer.plugin, problem)
        if key in self._logged:
            return
        if len(self._logged) < SAMPLES_MOST:  # texts may differ each time
            self._logged.add(key)
        logger.error(
            "Plugin %s %s",
            observer.plugin,
            problem,
            exc_info=error,
            extra={"plugin": observer.plugin, "hook": "collect"},
        )


def problem_of(sample: object) -> str | None:
    """Return why a sample of a plugin cannot be used; None if it can."""
    if not isinstance(sample, Sample):
        return f"collect must return samples, got {sample!r}"
    name, value, labels, about = (
        cast("object", part) for part in (sample.name, sample.value, sample.labels, sample.help)
    )
    if not isinstance(name, str) or not _METRIC.fullmatch(name):
        return f"name must consist of letters, digits and underscores, got {name!r}"
    if name.startswith(RESERVED):
        return f"{name}: names that begin with {RESERVED!r} are reserved"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return f"{name}: value must be a number, got {value!r}"
    if not isinstance(about, str):
        return f"{name}: help must be text, got {about!r}"
    if not isinstance(labels, Mapping):
        return f"{name}: labels must be a mapping, got {labels!r}"
    return _problem_of_labels(name, cast("Mapping[object, object]", labels))


def _problem_of_labels(name: str, labels: Mapping[object, object]) -> str | None:
    for label, text in labels.items():
        if not isinstance(label, str) or not _LABEL.fullmatch(label):
            return f"{name}: the name of a label must consist of letters, digits and underscores, got {label!r}"
        if not isinstance(text, str):
            return f"{name}: the label {label} must be text, got {text!r}"
    return None
