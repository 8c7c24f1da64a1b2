"""Names of queues, the form of messages, and settings."""

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asynctasq.errors import BodyCorrupt, ConfigurationError
from asynctasq.message import Message, new_id
from asynctasq.settlement import ErrorInfo
from asynctasq_sqs import SQSDriver, SQSSettings
from asynctasq_sqs.names import dead_name, group_id, sqs_name
from asynctasq_sqs.records import ROOM, Record, fitted, new_record, pack, title, unpack

QUEUES = st.from_regex(r"[A-Za-z0-9_.-]{1,80}", fullmatch=True) | st.text("a-_.dfiofe", min_size=1)
NAMESPACES = st.from_regex(r"[A-Za-z0-9_.-]{0,12}", fullmatch=True) | st.text("a-_.d", max_size=6)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(NAMESPACES.filter(bool), QUEUES), min_size=2, max_size=2, unique=True))
def test_no_two_queues_share_a_name(places: list[tuple[str, str]]) -> None:
    names = [name for place in places for name in (sqs_name(*place), dead_name(*place))]
    assert len(set(names)) == 4
    for name in names:
        assert len(name) <= 80
        assert re.fullmatch(r"[A-Za-z0-9_-]+(\.fifo)?", name)


@pytest.mark.parametrize(
    ("namespace", "queue", "name"),
    [
        ("asynctasq", "default", "asynctasq-default"),
        ("", "default", "default"),
        ("my-shop", "e_mail.high", "my_-shop-e__mail_dhigh"),
        ("shop", "orders.fifo", "shop-orders.fifo"),
        ("shop", "orders-dead", "shop-orders_-dead"),
    ],
)
def test_names_are_readable(namespace: str, queue: str, name: str) -> None:
    assert sqs_name(namespace, queue) == name


def test_queue_of_dead_letters_is_never_fifo() -> None:
    assert dead_name("shop", "orders.fifo") == "shop-orders_dfifo-dead"


def test_groups_that_sqs_does_not_allow_are_hashed() -> None:
    assert group_id("customer-7") == "customer-7"
    assert len(group_id("käufer")) == 64
    assert len(group_id("x" * 129)) == 64


@given(st.binary(max_size=300))
def test_bytes_that_are_no_record_are_refused(data: bytes) -> None:
    with pytest.raises(BodyCorrupt):
        unpack(data, "q")


def example() -> Record:
    return new_record(Message(new_id(), "q", "shop.ship", b"\x00"), now=10.0, due=12.0, held=True)


def test_a_record_survives_the_way() -> None:
    item = example()
    assert unpack(pack(item), "q") == item


def test_a_record_of_a_later_release_is_refused() -> None:
    data = pack(example())
    with pytest.raises(BodyCorrupt, match="version"):
        unpack(data[:1] + b"\x02" + data[2:], "q")


def test_a_dead_letter_that_was_moved_back_starts_again() -> None:
    item = example()
    dead = Record(
        item.message, item.packed, 10.0, 12.0, attempt=3, lost=4, leased=True, reason="failed"
    )
    again = unpack(pack(dead), "q")
    assert (again.attempt, again.lost, again.leased, again.reason) == (0, 0, False, None)


def test_a_message_in_another_queue_belongs_to_that_queue() -> None:
    moved = unpack(pack(example()), "elsewhere")
    assert moved.message.queue == "elsewhere"
    assert unpack(moved.packed and pack(moved), "elsewhere") == moved


@given(st.text(max_size=3000), st.text(max_size=3000), st.integers(500, 6000))
def test_an_error_is_cut_to_the_size_limit(message: str, trace: str, most: int) -> None:
    item = example()
    error = ErrorInfo("shop.Error", message, trace)
    record = Record(item.message, item.packed, 10.0, 12.0, error=error)
    assert len(fitted(record, most)) <= most
    assert len(fitted(record, 100_000)) == len(pack(record))
    assert ROOM >= 100


@given(st.text())
def test_titles_have_only_characters_that_sqs_allows(task: str) -> None:
    text = title(task)
    assert text
    for character in text:
        assert character in "\t\n\r" or character >= " "
        assert not "\ud800" <= character <= "\udfff"
        assert character not in "\ufffe\uffff"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("sqs://", {}),
        ("sqs://eu-central-1", {"region": "eu-central-1"}),
        ("sqs://eu-central-1/shop", {"region": "eu-central-1", "namespace": "shop"}),
        (
            "sqs://?endpoint_url=http://localhost:4566&create_queues=no",
            {"endpoint_url": "http://localhost:4566", "create_queues": False},
        ),
    ],
)
def test_urls(url: str, expected: dict[str, object]) -> None:
    assert SQSSettings.from_url(url) == expected
    driver = SQSDriver(url)
    assert {name: getattr(driver.settings, name) for name in expected} == expected


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"namespace": "no spaces"}, "namespace"),
        ({"long_poll": 30.0}, "between 1 and 20"),
        ({"max_message_bytes": 10}, "at least"),
        ({"aws_access_key_id": "key"}, "together"),
        ({"endpoint_url": "localhost:4566"}, "http://"),
        ({"queue_url_prefix": "123"}, "http://"),
        ({"queue_names": {"a": "no dots."}}, "queue_names"),
        ({"queue_names": {"a": "x", "b": "x"}}, "two queues"),
        ({"timeout": 0.0}, "positive"),
        ({"region": 7}, "of the type"),
    ],
)
def test_wrong_settings_are_refused(wrong: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigurationError, match=text):
        SQSSettings(**wrong)


def test_no_text_shows_a_secret() -> None:
    driver = SQSDriver(
        aws_access_key_id="AKIA1", aws_secret_access_key="hush", aws_session_token="hush"
    )
    for text in (repr(driver.settings), driver.description, str(driver.settings)):
        assert "hush" not in text


@pytest.mark.parametrize("url", ["sqs://key:hush@region", "sqs://?hush", "sqs://?regin=hush"])
def test_errors_of_urls_show_no_secret(url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        SQSSettings.from_url(url)
    assert "=hush" not in str(caught.value)
