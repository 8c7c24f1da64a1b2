"""Gauges of plugins: valid ones are gathered, and a bad plugin loses its own only."""

from collections.abc import Iterable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from asynctasq import hookimpl
from asynctasq.hookspecs import Sample
from asynctasq.plugins import PluginRegistry
from asynctasq.plugins.gauges import SAMPLES_MOST, Gauges
from asynctasq.plugins.observers import Observers


def gauges_of(*answers: Any) -> Gauges:
    registry = PluginRegistry()
    for number, answer in enumerate(answers):
        registry.register(_plugin(answer), name=f"gauges-{number}")
    return Gauges(Observers(registry.hooks()))


def _plugin(answer: Any) -> object:
    class Plugin:
        @hookimpl
        def collect(self) -> Iterable[Sample]:
            if isinstance(answer, Exception):
                raise answer
            return answer  # type: ignore[no-any-return]  # or nonsense

    return Plugin()


class Pool:
    """Reports gauges as a generator."""

    @hookimpl
    def collect(self) -> Iterator[Sample]:
        yield Sample("pool_size", 10, help="Connections of the pool.")
        yield Sample("pool_used", 3.0, {"kind": "write"})
        yield Sample("pool_used", 5.0, {"kind": "read"})


def test_samples_of_all_plugins_are_gathered() -> None:
    registry = PluginRegistry()
    registry.register(Pool())
    registry.register(_plugin([Sample("cache_entries", 7)]))
    samples = Gauges(Observers(registry.hooks())).collect()
    assert [(each.name, each.value) for each in samples] == [
        ("pool_size", 10),
        ("pool_used", 3.0),
        ("pool_used", 5.0),
        ("cache_entries", 7),
    ]


def test_without_plugins_there_are_none() -> None:
    assert Gauges(Observers()).collect() == []


def wrong(*fields: Any) -> Any:
    return Sample(*fields)


@pytest.mark.parametrize(
    "sample, problem",
    [
        (wrong("", 1), "name must consist of"),
        (wrong("pool size", 1), "name must consist of"),
        (wrong("pool{x}\n", 1), "name must consist of"),
        (wrong("asynctasq_runs", 1), "are reserved"),
        (wrong("pool", "many"), "value must be a number"),
        (wrong("pool", True), "value must be a number"),
        (wrong("pool", 1, {"__name__": "x"}), "name of a label"),
        (wrong("pool", 1, {"kind": 5}), "label kind must be text"),
        (wrong("pool", 1, ["kind"]), "labels must be a mapping"),
        (wrong("pool", 1, {}, None), "help must be text"),
        (wrong("good", 2), "must be unique"),
        (SimpleNamespace(name="pool"), "must return samples"),
    ],
)
def test_invalid_samples_are_left_out(
    caplog: pytest.LogCaptureFixture, sample: Any, problem: str
) -> None:
    gauges = gauges_of([Sample("good", 1), sample, Sample("last", 3)])
    for _ in range(2):
        assert [(each.name, each.value) for each in gauges.collect()] == [("good", 1), ("last", 3)]
    [line] = caplog.messages  # once, although it was read twice
    assert "Plugin gauges-0" in line
    assert problem in line


@pytest.mark.parametrize("answer", [LookupError("no pool"), None, 5])
def test_a_plugin_that_fails_loses_its_own_samples(
    caplog: pytest.LogCaptureFixture, answer: Any
) -> None:
    gauges = gauges_of(answer, [Sample("good", 1)])
    assert [each.name for each in gauges.collect()] == ["good"]
    assert "gauges-0" in caplog.text


def test_a_plugin_has_a_limited_number_of_samples(caplog: pytest.LogCaptureFixture) -> None:
    many = [Sample("tenant", 1, {"id": str(number)}) for number in range(SAMPLES_MOST + 5)]
    gauges = gauges_of(many, [Sample("good", 1)])
    assert len(gauges.collect()) == SAMPLES_MOST + 1
    assert "more than 1000 samples" in caplog.text
