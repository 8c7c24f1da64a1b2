"""RabbitMQ with a state store as a store on which tests of the worker run: see `tests/stores.py`."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from asynctasq.drivers.composed import compose
from asynctasq.drivers.sqlite import SqliteDriver
from asynctasq_rabbitmq import RabbitMQDriver
from tests.servers.shared import shared_url
from tests.stores import Store, StoreKind

_SEARCHES = "looks for a message that has not ended, which a queue cannot find"
_COUNTS = "counts messages that are not due, which the broker does not tell"
_FENCED = (
    "expects that a worker whose lease has ended cannot end the task, but the first end counts"
)
_CANCELS = (
    "expects the answer of a store that knows every message; a queue always answers REQUESTED"
)
LEFT_OUT = {
    **dict.fromkeys(
        (
            "test_a_body_of_a_later_release_waits_and_is_buried",
            "test_a_body_of_an_unknown_serializer_waits",
            "test_a_cancelled_worker_gives_back_at_once_and_is_cancelled",
            "test_a_module_that_cannot_be_imported_is_reported_and_waits",
            "test_a_reserve_under_way_is_let_finish",
            "test_a_second_signal_hurries",
            "test_a_signal_stops_every_worker_of_the_process",
            "test_a_stop_before_the_start_counts",
            "test_a_store_that_stays_away_does_not_keep_the_worker",
            "test_a_stuck_thread_does_not_keep_the_worker",
            "test_a_task_that_stays_unknown_is_buried_as_such",
            "test_a_task_that_was_given_back_says_why_it_does_not_fit",
            "test_a_thread_cannot_be_interrupted_and_what_it_finishes_counts",
            "test_a_thread_that_fails_after_the_cancel_is_cancelled",
            "test_after_the_grace_period_they_are_given_back_uncounted",
            "test_an_unknown_task_waits_for_a_worker_that_knows_it",
            "test_arguments_that_do_not_fit_are_buried_as_such",
            "test_cancelling_one_touches_no_other",
            "test_models_of_an_unknown_resolver_wait",
            "test_other_queues_are_left_alone",
            "test_prefetched_messages_are_released_at_the_end",
            "test_running_tasks_may_finish",
            "test_the_delay_is_that_of_the_dispatch",
            "test_the_second_stop_interrupts",
            "test_whatever_is_in_the_store_the_worker_lives",
        ),
        _SEARCHES,
    ),
    "test_many_mismatches_at_once_make_no_hot_loop": _COUNTS,
    "test_a_loop_that_is_blocked_for_too_long_lets_its_leases_go": _FENCED,
    "test_who_lost_the_lease_ends_and_changes_nothing": _FENCED,
    "test_a_waiting_task_is_finished": _CANCELS,
    "test_an_unknown_task_cannot_be_cancelled": _CANCELS,
}


@contextmanager
def _namespace(folder: Path, factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Yield a namespace that no other test uses, on the shared server, with its state in a file."""
    url, namespace = shared_url("rabbitmq", factory), f"test-{uuid4().hex}"
    queue = RabbitMQDriver(url, namespace=namespace, queue_type="classic", priorities=True)
    driver = compose(queue, SqliteDriver(folder / "state.db", synchronous="off"))
    yield Store(url, driver.clone, driver.capabilities)


KIND = StoreKind("rabbitmq", _namespace, is_queue=True, left_out=LEFT_OUT)
