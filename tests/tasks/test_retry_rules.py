"""Decisions on retries and their delays, as tables of a pure function."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asynctasq.retry import RetryStrategy, RunPolicy, retries_left, retry_delay


@pytest.mark.parametrize(
    ("max_attempts", "runs"),
    [(0, 1), (1, 1), (2, 2), (3, 3), (10, 10)],
)
def test_max_attempts_counts_runs_in_all(max_attempts: int, runs: int) -> None:
    attempt = 0
    while retries_left(attempt, max_attempts):
        attempt += 1
    assert attempt + 1 == runs


def exponential(
    delay: float, *, factor: float = 2.0, cap: float = 3600.0, jitter: float = 0.0
) -> RunPolicy:
    return RunPolicy(
        retry_delay=delay,
        retry_strategy=RetryStrategy.EXPONENTIAL,
        retry_factor=factor,
        retry_cap=cap,
        retry_jitter=jitter,
    )


@pytest.mark.parametrize(
    ("policy", "delays"),
    [
        (RunPolicy(), [60, 60, 60, 60]),
        (RunPolicy(retry_delay=0), [0, 0, 0, 0]),
        (RunPolicy(retry_delay=5, retry_factor=10, retry_jitter=1), [5, 5, 5, 5]),
        (exponential(1), [1, 2, 4, 8]),
        (exponential(10, factor=3, cap=100), [10, 30, 90, 100]),
        (exponential(10, factor=1), [10, 10, 10, 10]),
        (exponential(0), [0, 0, 0, 0]),
        (exponential(5000, cap=60), [60, 60, 60, 60]),
    ],
)
def test_delays_from_one_retry_to_the_next(policy: RunPolicy, delays: list[float]) -> None:
    assert [retry_delay(policy, attempt, lambda: 0.5) for attempt in range(4)] == delays


@pytest.mark.parametrize(("chance", "delay"), [(0.0, 75), (0.5, 100), (0.999999, 124.99995)])
def test_jitter_shortens_and_lengthens_by_its_share(chance: float, delay: float) -> None:
    policy = exponential(100, jitter=0.25)
    assert retry_delay(policy, 0, lambda: chance) == pytest.approx(delay)


@pytest.mark.parametrize("attempt", [1_023, 1_024, 5_000, 2**31])
def test_numbers_that_outgrow_floats_stay_at_the_cap(attempt: int) -> None:
    assert retry_delay(exponential(1), attempt, lambda: 0.5) == 3600
    assert retry_delay(exponential(0), attempt, lambda: 0.5) == 0


@given(
    delay=st.floats(0, 1e10),
    factor=st.floats(1, 1e10),
    cap=st.floats(0, 1e10),
    jitter=st.floats(0, 1),
    attempt=st.integers(0, 2**31),
    chance=st.floats(0, 1, exclude_max=True),
)
def test_no_delay_is_negative_or_above_the_cap(
    delay: float, factor: float, cap: float, jitter: float, attempt: int, chance: float
) -> None:
    policy = exponential(delay, factor=factor, cap=cap, jitter=jitter)
    found = retry_delay(policy, attempt, lambda: chance)
    assert math.isfinite(found)
    assert 0 <= found <= cap
