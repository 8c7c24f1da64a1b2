"""Processes that are killed lose nothing, and each message goes to one of several processes."""

from functools import partial
from pathlib import Path

import pytest

from asynctasq.conformance.processes import check_each_message_once, check_kills
from tests.servers.moto_driver import MovableClock


@pytest.mark.full
def test_each_message_goes_to_one_of_several_processes(
    url: str, namespace: str, tmp_path: Path
) -> None:
    make = partial(MovableClock.at, url, namespace)
    check_each_message_once(make, tmp_path, messages=200)


@pytest.mark.parametrize(
    ("messages", "kills"), [(60, 3), pytest.param(400, 10, marks=pytest.mark.full)]
)
def test_killed_processes_lose_nothing(
    url: str, namespace: str, tmp_path: Path, messages: int, kills: int
) -> None:
    make = partial(MovableClock.at, url, namespace)
    report = check_kills(make, tmp_path, messages=messages, kills=kills)
    assert report.messages == messages
