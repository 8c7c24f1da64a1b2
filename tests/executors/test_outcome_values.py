"""The values that `Snooze`, `Retry` and `Reject` accept."""

from typing import Any

import pytest

from asynctasq import Reject, Retry, Snooze


@pytest.mark.parametrize(
    "make",
    [
        lambda: Snooze(0),
        lambda: Snooze(-1),
        lambda: Snooze(float("inf")),
        lambda: Snooze(float("nan")),
        lambda: Retry(delay=-1),
        lambda: Retry(delay=float("nan")),
    ],
)
def test_senseless_delays_are_refused(make: Any) -> None:
    with pytest.raises(ValueError, match="must be"):
        make()


def test_outcomes_say_what_they_are() -> None:
    assert str(Reject("no such customer")) == "no such customer"
    assert Snooze(5).seconds == 5.0
    assert Retry().delay is None
    assert Retry(delay=0).delay == 0.0
