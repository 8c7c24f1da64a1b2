"""Metrics as values: families of samples, independent of any format."""

from collections.abc import Mapping, Sequence
from dataclasses import field
from enum import StrEnum
from typing import TypeAlias

from asynctasq.records import record

Labels: TypeAlias = tuple[str, ...]
"""Values of the labels of a family, in its order."""


class Kind(StrEnum):
    """Kinds of metrics: the meaning of a number over time."""

    COUNTER = "counter"
    """Number that only grows while the process lives."""
    GAUGE = "gauge"
    """Number that was found at this moment."""


@record
class Histogram:
    """Durations that fall into buckets."""

    buckets: Sequence[tuple[float, int]]
    """Upper bounds in seconds, in order, each with the number of durations up to it."""
    count: int
    """Number of all durations."""
    total: float
    """Their sum, in seconds."""


@record
class Family:
    """Samples of one name."""

    name: str
    """Without the suffix that the format adds to counters and histograms."""
    help: str
    kind: Kind = Kind.GAUGE
    labels: Labels = ()
    samples: Mapping[Labels, float] = field(default_factory=dict)
    """Numbers by the values of the labels."""
    histograms: Mapping[Labels, Histogram] = field(default_factory=dict)
    """Histograms by the values of the labels, in place of `samples`."""
