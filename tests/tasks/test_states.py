"""States as users see and compare them."""

import json
import operator
import pickle

import pytest

from asynctasq import State
from asynctasq.contracts.capabilities import QueueInfo
from asynctasq.contracts.driver import QueueCounts


def test_a_leased_task_is_called_running() -> None:
    assert State["LEASED"] is State["RUNNING"]
    assert f"{State.LEASED}" == State.LEASED.value == "running"
    assert json.dumps(State.LEASED) == '"running"'
    assert [state.value for state in State].count("running") == 1


@pytest.mark.parametrize("text", ["running", "leased"])
def test_both_names_of_the_state_are_understood(text: str) -> None:
    running, ready = State("running"), State("ready")
    assert State(text) is running
    assert operator.eq(running, text)
    assert operator.eq(text, running)
    assert not operator.ne(running, text)
    assert operator.ne(ready, text)


def test_states_are_keys_and_travel() -> None:
    by_text: dict[str, int] = {State.RUNNING: 1}
    assert by_text["running"] == by_text[State.LEASED] == 1
    assert len({*State}) == len(State)
    for state in State:
        assert pickle.loads(pickle.dumps(state)) is state
        assert state == state.value
        assert state != object()


def test_a_text_that_is_not_a_state_is_refused() -> None:
    with pytest.raises(ValueError, match="'lost' is not a valid State"):
        State("lost")


def test_counts_have_the_name_that_users_know() -> None:
    assert QueueCounts(leased=3).running == 3
    assert QueueInfo("q", 0, 0, 0, 4, 0, paused=False, oldest_ready_at=None).running == 4
