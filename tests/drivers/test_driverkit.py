"""Helpers of drivers: times, the choice of `reserve`, errors, and outages kept as numbers."""

import os
from collections.abc import Callable
from dataclasses import dataclass, fields
from math import inf, nan
from typing import Any, get_args

import pytest

from asynctasq import contracts, driverkit
from asynctasq.contracts.driver import BYTES_AT_ONCE
from asynctasq.errors import BodyCorrupt, ConfigurationError, DriverError, DriverUnavailable
from asynctasq.message import Message, new_id
from asynctasq.settlement import ErrorInfo, Settlement

NOW, LEASE = 1000.0, 80.0


@dataclass
class Row:
    message: Message
    due_at: float = NOW


def row(queue: str = "q", size: int = 1) -> Row:
    return Row(Message(new_id(), queue, "app.send", bytes(size)))


def test_a_message_is_due_after_its_delay_or_at_its_eta_but_never_before_the_enqueue() -> None:
    assert driverkit.due_time(Message(b"", "q", "t", b"", delay=5.0), NOW) == 1005.0
    assert driverkit.due_time(Message(b"", "q", "t", b"", delay=5.0, eta=1001.0), NOW) == 1001.0
    assert driverkit.due_time(Message(b"", "q", "t", b"", eta=3.0), NOW) == NOW


def test_a_message_expires_so_long_after_it_was_due() -> None:
    assert not driverkit.is_too_late(row(), inf)
    waiting = Row(Message(b"", "q", "t", b"", expires=5.0))
    assert not driverkit.is_too_late(waiting, 1004.9)
    assert driverkit.is_too_late(waiting, 1005.0)


def test_queues_are_served_in_order_up_to_their_number_and_the_limit() -> None:
    a, b, c = (row("a") for _ in range(3)), (row("b") for _ in range(3)), row("c")
    (a1, a2, a3), (b1, b2, b3) = a, b
    ready = [c, b1, a1, b2, a2, b3, a3]
    assert driverkit.choose(ready, {"a": 2, "b": 9}, limit=9) == [a1, a2, b1, b2, b3]
    assert driverkit.choose(ready, {"b": 9, "a": 9}, limit=4) == [b1, b2, b3, a1]
    assert driverkit.choose(ready, {"b": 0, "none": 5}, limit=4) == []
    assert driverkit.choose(ready, {"b": 2}, limit=0) == []


def test_the_choice_ends_where_it_has_enough_bytes() -> None:
    half = BYTES_AT_ONCE // 2
    first, second, third, small = row("q", half), row("q", half), row("q"), row("r")
    queues = {"q": 9, "r": 9}
    assert driverkit.choose([first, second, third, small], queues, limit=9) == [first, second]
    huge = row("q", BYTES_AT_ONCE + 1)
    assert driverkit.choose([huge, small], queues, limit=9) == [huge]
    assert driverkit.choose([small, huge], {"r": 9, "q": 9}, limit=9) == [small]


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (ConnectionError("gone"), DriverUnavailable),
        (KeyError("no table"), DriverError),
        (BodyCorrupt("damaged"), DriverError),
        (DriverError("as it is"), DriverError),
        (DriverUnavailable("as it is"), DriverUnavailable),
        (ZeroDivisionError("a bug"), ZeroDivisionError),
    ],
    ids=repr,
)
def test_errors_of_a_client_become_those_of_a_driver(
    raised: Exception, expected: type[Exception]
) -> None:
    with (
        pytest.raises(expected) as caught,
        driverkit.store_errors("acme", OSError, refused=(KeyError,)),
    ):
        raise raised
    assert type(caught.value) is expected
    assert caught.value is raised or caught.value.__cause__ is raised


def test_outages_are_noticed_by_numbers_that_were_kept() -> None:
    first = driverkit.Outages()
    assert first.numbers == ()
    assert first.note_call(now=NOW, lease=LEASE)
    later = driverkit.Outages(*first.numbers)
    assert not later.note_call(now=NOW + 41.0, lease=LEASE)
    assert later.numbers == (1041.0, 1081.0)
    assert not driverkit.Outages(*later.numbers).note_call(now=1080.0, lease=LEASE)
    assert driverkit.Outages(*later.numbers).note_call(now=1081.0, lease=LEASE)


def test_leases_without_kept_numbers_are_left_alone_at_first() -> None:
    assert not driverkit.Outages().note_call(now=NOW, lease=LEASE, any_leases=True)


@pytest.mark.parametrize("lease", [nan, inf])
def test_a_lease_that_is_not_finite_is_no_call(lease: float) -> None:
    outages = driverkit.Outages(NOW, 0.0)
    with pytest.raises(DriverError, match="lease"):
        outages.note_call(now=NOW + 500.0, lease=lease)
    assert outages.numbers == (NOW, 0.0)


NUMBERS_OF_SETTLEMENTS = [
    (kind, each.name)
    for kind in get_args(Settlement)
    for each in fields(kind)
    if float in (each.type, *get_args(each.type))
]


@pytest.mark.parametrize("number", [nan, inf])
@pytest.mark.parametrize(("kind", "name"), NUMBERS_OF_SETTLEMENTS)
def test_a_settlement_whose_number_is_not_finite_is_refused(
    kind: Any, name: str, number: float
) -> None:
    values = dict.fromkeys(kind.__match_args__, 1.0)
    assert driverkit.can_settle(kind(**values))
    assert not driverkit.can_settle(kind(**values | {name: number}))


def test_times_are_whole_microseconds_and_endless_ones_have_a_bound() -> None:
    assert driverkit.micros(1.5) == 1_500_000
    assert driverkit.micros(inf) == driverkit.FOREVER
    assert driverkit.micros(-inf, forever=10) == -10
    assert driverkit.micros(10**400) == driverkit.FOREVER
    assert driverkit.micros(1e300, forever=10) == 10
    with pytest.raises(DriverError, match="must be a number, got nan"):
        driverkit.micros(nan)


def test_outcomes_are_kept_for_a_minute_at_least() -> None:
    assert driverkit.kept_for(0.0) == driverkit.OUTCOME_TTL_LEAST == 60.0
    assert driverkit.kept_for(3600.0) == 3600.0


@pytest.mark.parametrize(
    "position", [(), (1, -5), (b"\x00\xff", "text \udcff.", None), (1.5, -0.25, inf), (1 << 62,)]
)
def test_a_cursor_is_read_back_as_its_position(position: tuple[int | str | bytes, ...]) -> None:
    cursor = driverkit.pack_cursor("dead", position)
    assert driverkit.unpack_cursor("dead", cursor, length=len(position)) == list(position)


@pytest.mark.parametrize(
    "cursor",
    ["", "dead", "ready.i1", "dead.i1.i2", "dead.q1", "dead.ione", "dead.xyz", "dead.i" + "9" * 30],
)
def test_text_that_is_not_a_cursor_of_the_listing_is_refused(cursor: str) -> None:
    with pytest.raises(DriverError, match="must come from a `Page` of the same listing"):
        driverkit.unpack_cursor("dead", cursor, length=1)


def test_batches_are_bounded_in_number_and_in_bytes() -> None:
    assert list(driverkit.batches([], 2)) == []
    assert list(driverkit.batches([1, 2, 3], 2)) == [[1, 2], [3]]
    items = [b"aa", b"b", b"cccccccc", b"d", b"e", b"f"]
    pieces = driverkit.batches(items, 2, size=len, most_bytes=3)
    assert list(pieces) == [items[:2], items[2:3], items[3:5], items[5:]]


def test_parameters_of_a_url_become_settings() -> None:
    known: dict[str, Callable[[str], object]] = {
        "namespace": str,
        "timeout": float,
        "verify": driverkit.flag,
    }
    given = [("namespace", "shop"), ("timeout", "1.5"), ("verify", "Off")]
    found = driverkit.url_settings(given, known, url="acme.url")
    assert found == {"namespace": "shop", "timeout": 1.5, "verify": False}
    with pytest.raises(ConfigurationError, match="Did you mean 'timeout'"):
        driverkit.url_settings([("timeot", "1")], known, url="acme.url")
    with pytest.raises(ConfigurationError, match="Known are namespace, timeout, verify"):
        driverkit.url_settings([("zzz", "1")], known, url="acme.url")
    with pytest.raises(ConfigurationError, match="'timeout' that must be a number") as caught:
        driverkit.url_settings([("timeout", "secret")], known, url="acme.url")
    assert "secret" not in str(caught.value)


@dataclass
class AcmeSettings:
    url: str = "acme://"
    namespace: str = "asynctasq"
    timeout: float = 5.0

    @staticmethod
    def from_url(url: str) -> dict[str, object]:
        base, parameters = driverkit.split_query(url)
        known: dict[str, Callable[[str], object]] = {"namespace": str, "timeout": float}
        return {"url": base, **driverkit.url_settings(parameters, known, url="acme.url")}


def test_arguments_decide_over_the_url_and_the_url_over_the_defaults() -> None:
    url = "acme://host?namespace=shop&timeout=9"
    arguments = {"self": None, "url": url, "namespace": None, "timeout": 1.5}
    found = driverkit.settings_from(AcmeSettings, url, arguments)
    assert found == AcmeSettings("acme://host", "shop", 1.5)
    assert driverkit.settings_from(AcmeSettings, "acme://", {}) == AcmeSettings()


def test_a_driver_that_is_not_open_here_refuses_calls() -> None:
    client = object()
    assert driverkit.check_open("The acme driver", client, os.getpid()) is client
    with pytest.raises(DriverError, match="The acme driver is not open"):
        driverkit.check_open("The acme driver", None, os.getpid())
    with pytest.raises(DriverError, match="forked child"):
        driverkit.check_open("The acme driver", client, os.getpid() + 1)


def test_errors_are_read_back_and_damaged_ones_say_so() -> None:
    error = ErrorInfo("builtins.ValueError", "no \udcff", "Traceback")
    assert driverkit.unpack_error(driverkit.pack_error(error)) == error
    assert driverkit.pack_error(None) is None
    assert driverkit.unpack_error(None) is driverkit.unpack_error(b"") is None
    damaged = driverkit.unpack_error(b"\x93\x01\x02\x03")
    assert damaged is not None
    assert "damaged" in damaged.message


def test_authors_of_drivers_find_every_settlement_in_the_contracts() -> None:
    assert set(get_args(Settlement)) <= {getattr(contracts, name) for name in contracts.__all__}
