"""The record of a worker's options, from which the command line and `Worker` take theirs."""

import inspect
from collections.abc import Mapping
from typing import Any, get_type_hints

import click
import pytest

from asynctasq import App, Worker
from asynctasq.cli.worker import command
from asynctasq.config import Settings
from asynctasq.errors import ConfigurationError
from asynctasq.worker.options import (
    OPTIONS,
    MoreOptions,
    WorkerOptions,
    check_options,
    parse_size,
)


def complete(
    given: Mapping[str, Any], settings: Settings | None = None, *, default_lease: float = 30.0
) -> WorkerOptions:
    return WorkerOptions.complete(
        given,
        settings or Settings(),
        default_lease=default_lease,
        queues_of_tasks=lambda: ["default"],
    )


def test_every_option_with_a_help_text_is_on_the_command_line() -> None:
    flags = {
        flag for each in command.params if isinstance(each, click.Option) for flag in each.opts
    }
    assert {each.flag for each in OPTIONS.values() if each.help} <= flags
    assert {each.short for each in OPTIONS.values() if each.short} <= flags


def test_every_keyword_of_a_worker_is_an_option() -> None:
    parameters = inspect.signature(Worker).parameters.keys()
    others = {"queue_driver", "app", "handle_signals", "timing", "more"}
    assert parameters - others <= OPTIONS.keys()
    assert get_type_hints(MoreOptions).keys() <= OPTIONS.keys() - parameters


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"concurrency": 0}, "concurrency must be at least 1, got 0"),
        ({"heartbeat_interval": 0.0}, "heartbeat_interval must be above 0, got 0.0"),
        ({"max_tasks": -1}, "max_tasks must be at least 1, got -1"),
        ({"max_memory": "512M"}, "max_memory must be a whole number, got '512M'"),
        ({"health_port": 70000}, "health_port must be at least 0, at most 65535, got 70000"),
        ({"queues": ["a", "a"]}, "'a' is listed more than once"),
        ({"queues": "emails"}, r"queues must be a list of names, got 'emails'\. Pass \['emails'\]"),
        ({"app": "shop:app"}, "app must be an App, got 'shop:app'"),
        ({"queues": 5}, "queues must be a list of names, got 5"),
        ({"queues": [5]}, "queues must be a list of names, got 5 in it"),
        ({"concurrency": 2.5}, "concurrency must be a whole number, got 2.5"),
        ({"health_port": 80.5}, "health_port must be a whole number, got 80.5"),
        ({"lease": 1e12}, "lease must be at least 0.1, and at most 10,000,000,000, got"),
        ({"lease": float("nan")}, "lease must be at least 0.1, got nan"),
        ({"max_memory": 2**60}, "max_memory must be at least 1, and at most 9,007,199,254,740,992"),
    ],
)
def test_values_out_of_range_are_refused(given: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigurationError, match=problem):
        Worker(**given)


def test_memory_limits_of_large_machines_are_allowed() -> None:
    assert check_options({"max_memory": 2**40}) == {"max_memory": 2**40}
    app = App({"driver": "memory", "process_pool_max_memory": 2**40})
    assert app.settings.process_pool_max_memory == 2**40


def test_an_unknown_option_is_refused_with_a_suggestion() -> None:
    with pytest.raises(TypeError, match="Did you mean 'max_tasks'"):
        check_options({"max_task": 1})


def test_settings_give_the_options_that_are_not_given() -> None:
    settings = Settings(concurrency=7, lease=9.0, queues=("mail:2",))
    given = {"worker_id": "w", "concurrency": 8}
    options = complete(given, settings)
    assert (options.concurrency, options.lease, options.heartbeat_interval) == (8, 9.0, 3.0)
    assert options.queues == {"mail": 2}
    assert options.stall_limit == 600.0


def test_options_that_do_not_go_together_are_refused() -> None:
    given = {"worker_id": "w", "heartbeat_interval": 20.0}
    with pytest.raises(ConfigurationError, match="at most half of lease"):
        complete(given, Settings(lease=30.0))


@pytest.mark.parametrize(
    ("given", "setting", "lease"),
    [(None, None, 120.0), (None, 45.0, 45.0), (9.0, 45.0, 9.0), (9.0, None, 9.0)],
)
def test_the_driver_gives_the_lease_that_nothing_else_gives(
    given: float | None, setting: float | None, lease: float
) -> None:
    values = {"worker_id": "w"} if given is None else {"worker_id": "w", "lease": given}
    options = complete(values, Settings(lease=setting), default_lease=120.0)
    assert (options.lease, options.heartbeat_interval, options.stall_limit) == (
        lease,
        lease / 3,
        600.0,
    )


def test_the_driver_lease_bounds_the_other_durations() -> None:
    assert complete({"worker_id": "w", "heartbeat_interval": 40.0}, default_lease=120.0)
    with pytest.raises(ConfigurationError, match="got 40 and 60 s"):
        complete({"worker_id": "w", "heartbeat_interval": 40.0}, default_lease=60.0)
    assert complete({"worker_id": "w"}, default_lease=900.0).stall_limit == 900.0


@pytest.mark.parametrize(
    ("text", "size"),
    [("512", 512), ("1K", 1024), ("1.5kB", 1536), ("2GiB", 2**31), ("3m", 3 * 2**20)],
)
def test_sizes_are_read(text: str, size: int) -> None:
    assert parse_size(text) == size
