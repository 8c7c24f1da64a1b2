"""The representation of tasks, and their hints for users of other task queues."""

from typing import Any

import pytest

from asynctasq import App, AsyncTask, task
from tests.serializers.sample_types import Opaque


@task
async def add(a: int, b: int = 2) -> int:
    return a + b


class Charge(AsyncTask[None]):
    def __init__(self, user: Any = None) -> None:
        self.user = user

    async def execute(self) -> None: ...


untyped: Any = add
untyped_task: Any = task
NAME = f"{__name__}:add"


async def test_calls_show_task_arguments_options_and_id(app: App) -> None:
    call = add(1, b=3).on_queue("sums")
    assert repr(call) == f"<call {NAME}(1, b=3) options(queue='sums')>"
    handle = await call.dispatch()
    assert repr(call).endswith(f" id={handle}>")
    assert repr(add) == f"<task {NAME}>"
    assert repr(Charge("u")) == f"<task {__name__}:Charge('u')>"


def test_arguments_are_shortened_and_may_be_unable_to_show_themselves() -> None:
    assert len(repr(untyped("x" * 10_000, [list(range(1000))] * 1000))) < 400
    assert "<Opaque instance at" in repr(Charge(Opaque()))
    assert repr(Charge.__new__(Charge)) == f"<task {__name__}:Charge()>"
    assert "call" in repr(type(add(1)).__new__(type(add(1)), untyped))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("delay", r"await add\.dispatch\(\.\.\.\).*add\(\.\.\.\)\.delay\(seconds\)"),
        ("options", r"add\(\.\.\.\)\.options\(delay=\.\.\., queue=\.\.\.\)\.dispatch\(\)"),
        ("apply_async", r"add\(\.\.\.\)\.options\(delay=\.\.\., queue=\.\.\.\)\.dispatch\(\)"),
        ("send", r"await add\.dispatch\(\.\.\.\)"),
        ("send_with_options", r"options\("),
        ("enqueue", r"add\.dispatch_sync\(\.\.\.\)"),
        ("kiq", r"add\.dispatch"),
        ("s", r"add\(\.\.\.\)"),
        ("si", r"add\(\.\.\.\)"),
        ("map", "dispatch_many"),
        ("call_local", r"add\.fn\(\.\.\.\)"),
        ("AsyncResult", "asynctasq.handle"),
        ("retry", r"asynctasq\.Retry"),
        ("request", "current_task"),
    ],
)
def test_names_of_other_queues_lead_to_ours(name: str, said: str) -> None:
    with pytest.raises(AttributeError, match=said):
        getattr(untyped, name)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("apply_async", "await call.options"),
        ("send", "await call.dispatch"),
        ("enqueue", "await call.dispatch"),
        ("get", r"\.result\(\)"),
        ("retry", r"asynctasq\.Retry"),
    ],
)
def test_names_of_other_queues_on_calls_lead_to_ours(name: str, said: str) -> None:
    for call in (add(1), Charge()):
        with pytest.raises(AttributeError, match=said):
            getattr(call, name)


@pytest.mark.parametrize("thing", [add, add(1), Charge()])
def test_other_missing_names_are_ordinary_errors(thing: Any) -> None:
    with pytest.raises(AttributeError, match=r"object has no attribute 'nothing'$") as caught:
        _ = thing.nothing
    assert caught.value.name == "nothing"
    assert not hasattr(thing, "__len__")


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ({"retries": 3}, r"`max_attempts`.*`max_attempts=4`"),
        ({"max_retries": 3}, "max_attempts"),
        ({"countdown": 5}, "`delay`"),
        ({"_defer_by": 5}, "`delay`"),
        ({"ignore_result": True}, "result_ttl=0"),
        ({"bind": True}, "current_task"),
        ({"acks_late": True}, "max_lost=0"),
        ({"autoretry_for": (OSError,)}, "retry_on"),
        ({"retry_backoff": True}, "retry_strategy='exponential'"),
        ({"time_limit": 5}, "`timeout`"),
        ({"task_id": "x"}, "`id`"),
        ({"queue_name": "x"}, "`queue`"),
        ({"link_error": 5}, "on_failure"),
        ({"periodic": 60}, "`every` in @task"),
    ],
    ids=str,
)
def test_options_of_other_queues_lead_to_ours(option: dict[str, Any], said: str) -> None:
    with pytest.raises(TypeError, match=said):
        add(1).options(**option)
    with pytest.raises(TypeError, match=said):
        untyped_task(**option)(add.fn)


def test_options_of_a_dispatch_are_not_those_of_a_definition() -> None:
    with pytest.raises(TypeError, match=r"single dispatch.*\.options\(delay=\.\.\.\)"):
        untyped_task(delay=5)(add.fn)
    with pytest.raises(TypeError, match="unique"):
        untyped_task(unique="k")(add.fn)


def test_field_may_have_the_name_of_a_hint() -> None:
    class Sends(AsyncTask[None]):
        send = 5

        async def execute(self) -> None: ...

    assert Sends().send == 5
