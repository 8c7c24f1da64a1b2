"""Counts and histograms: packing, sums and percentiles."""

import math
import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asynctasq.counts import (
    BOUNDS,
    BUCKETS,
    FACTOR,
    RUN,
    WAIT,
    Count,
    add_to,
    bucket_of,
    histogram,
    pack_counts,
    percentile,
    sum_counts,
    unpack_counts,
)

COUNTS = st.dictionaries(st.integers(0, 255), st.integers(1, (1 << 63) - 1))


@given(COUNTS)
def test_counts_are_read_as_they_were_packed(counts: dict[int, int]) -> None:
    assert unpack_counts(pack_counts(counts)) == counts


@given(st.binary(max_size=40))
def test_any_bytes_are_counts_or_damaged(data: bytes) -> None:
    counts = unpack_counts(data)
    assert counts is None or all(0 <= number <= 255 for number in counts)


@given(st.lists(st.dictionaries(st.integers(0, 255), st.integers(1, 1 << 40)), max_size=4))
def test_sum_is_that_of_each_count(parts: list[dict[int, int]]) -> None:
    sums: dict[int, int] = {}
    for part in parts:
        add_to(sums, part)
    packed = [pack_counts(part) for part in parts]
    assert unpack_counts(sum_counts(packed)) == sums
    assert sum_counts([*packed, b"damaged", b""]) == sum_counts(packed)


def test_zeros_are_left_out_and_large_sums_are_bounded() -> None:
    assert unpack_counts(pack_counts({Count.COMPLETED: 0, RUN: 1})) == {RUN: 1}
    largest = (1 << 63) - 1
    assert unpack_counts(sum_counts([pack_counts({WAIT: largest})] * 2)) == {WAIT: largest}


def test_truncated_counts_are_damaged() -> None:
    data = pack_counts({Count.COMPLETED: 3, RUN: 1 << 40})
    assert all(unpack_counts(data[:length]) is None for length in range(len(data)))
    assert unpack_counts(data + b"\x00") is None


def test_counts_of_usual_rows_are_small() -> None:
    counts = {Count.COMPLETED.value: 1000, Count.RUN_MICROS.value: 10**9}
    counts |= {first + number: 100 for first in (RUN, WAIT) for number in range(8)}
    assert len(pack_counts(counts)) < 100


def test_buckets_cover_milliseconds_to_minutes() -> None:
    assert len(BOUNDS) == BUCKETS == 60
    assert all(math.isclose(high / low, FACTOR) for low, high in pairwise(BOUNDS))
    assert [bucket_of(value) for value in (0.0, 0.003, 0.0031, 1e9)] == [0, 0, 1, BUCKETS]
    assert RUN + BUCKETS < WAIT
    assert WAIT + BUCKETS < 256


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("part", [0.0, 0.5, 0.95, 0.99, 0.999, 1.0])
def test_percentiles_are_within_one_bucket_over_many_runs(part: float, seed: int) -> None:
    chosen = random.Random(seed)
    shapes = (
        lambda: chosen.lognormvariate(-1.0, 1.5),
        lambda: chosen.uniform(0.0, 30.0),
        lambda: chosen.choice((0.004, 12.0)),
        lambda: chosen.expovariate(3.0),
    )
    values = sorted(shapes[seed]() for _ in range(100_000))
    buckets = [0] * (BUCKETS + 1)
    for value in values:
        buckets[bucket_of(value)] += 1
    truth = values[max(math.ceil(part * len(values)) - 1, 0)]
    found = percentile(buckets, part)
    assert found is not None
    assert abs(bucket_of(found) - bucket_of(truth)) <= 1
    assert found <= max(truth, BOUNDS[0]) * FACTOR
    assert found >= truth / FACTOR or truth <= BOUNDS[0]


@pytest.mark.parametrize(
    ("counts", "part", "expected"),
    [
        ({}, 0.5, None),
        ({RUN: 1}, 1.0, 0.003),
        ({RUN: 4}, 0.5, 0.0015),
        ({RUN + 1: 10}, 0.0, 0.003),
        ({RUN + 1: 10}, 1.0, 0.00375),
        ({RUN + 59: 1}, 1.0, BOUNDS[-1]),
        ({RUN + 60: 1}, 0.5, BOUNDS[-1]),
        ({WAIT: 5}, 0.5, None),
    ],
)
def test_percentiles_of_small_histograms(
    counts: dict[int, int], part: float, expected: float | None
) -> None:
    assert percentile(histogram(counts, RUN), part) == (
        None if expected is None else pytest.approx(expected)
    )
