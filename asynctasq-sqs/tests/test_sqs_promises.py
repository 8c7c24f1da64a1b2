"""Processes that are killed lose nothing, and each message goes to one of several processes."""

from functools import partial
from pathlib import Path
from uuid import uuid4

import pytest

from asynctasq.conformance.processes import check_each_message_once, check_kills
from tests.servers.moto_driver import SETTINGS, MovableClock


@pytest.mark.full
def test_each_message_goes_to_one_of_several_processes(url: str, tmp_path: Path) -> None:
    make = partial(MovableClock, **SETTINGS, endpoint_url=url, namespace=f"t{uuid4().hex[:12]}")
    check_each_message_once(make, tmp_path, messages=200)


@pytest.mark.parametrize(
    ("messages", "kills"), [(60, 3), pytest.param(400, 10, marks=pytest.mark.full)]
)
def test_killed_processes_lose_nothing(url: str, tmp_path: Path, messages: int, kills: int) -> None:
    make = partial(MovableClock, **SETTINGS, endpoint_url=url, namespace=f"t{uuid4().hex[:12]}")
    report = check_kills(make, tmp_path, messages=messages, kills=kills)
    assert report.messages == messages
