"""Arguments of queues by the version of the broker, most of which no test can run."""

import pytest

from asynctasq_rabbitmq import RabbitMQSettings
from asynctasq_rabbitmq.settings import QueueType
from asynctasq_rabbitmq.topology import dead_arguments, version_of, work_arguments


@pytest.mark.parametrize(
    ("queue_type", "version", "limit"),
    [
        ("quorum", (3, 8, 0), None),
        ("quorum", (3, 10, 8), None),  # there -1 drops messages
        ("quorum", (3, 13, 7), None),
        ("quorum", (4, 0, 0), -1),  # there it is 20 unless set
        ("quorum", (4, 3, 1), -1),
        ("classic", (3, 10, 8), None),
        ("classic", (4, 1, 0), None),
    ],
)
def test_the_delivery_limit_is_turned_off_where_there_is_one(
    queue_type: QueueType, version: tuple[int, ...], limit: int | None
) -> None:
    settings = RabbitMQSettings(queue_type=queue_type)
    assert work_arguments(settings, version, "dead").get("x-delivery-limit") == limit


@pytest.mark.parametrize("queue_type", ["classic", "quorum"])
def test_priorities_are_an_argument_only_if_they_are_wanted(queue_type: QueueType) -> None:
    without, wanted = (
        work_arguments(
            RabbitMQSettings(queue_type=queue_type, priorities=priorities), (4, 3), "dead"
        )
        for priorities in (False, True)
    )
    assert "x-max-priority" not in without
    assert wanted["x-max-priority"] == 10


@pytest.mark.parametrize(
    ("queue_type", "version", "lives"),
    [
        ("quorum", (3, 8, 0), None),  # knows no times to live
        ("quorum", (3, 10, 0), 5000),
        ("classic", (3, 8, 0), 5000),
    ],
)
def test_dead_letters_have_a_time_to_live_where_queues_know_it(
    queue_type: QueueType, version: tuple[int, ...], lives: int | None
) -> None:
    settings = RabbitMQSettings(queue_type=queue_type, dead_letter_ttl=5.0)
    assert dead_arguments(settings, version).get("x-message-ttl") == lives


@pytest.mark.parametrize(
    ("text", "version"),
    [("3.10.8", (3, 10, 8)), ("4.1.0-rc.1", (4, 1, 0)), ("4.3", (4, 3)), ("", (0, 0))],
)
def test_the_version_of_a_broker_is_read(text: str, version: tuple[int, ...]) -> None:
    assert version_of({"version": text}) == version
