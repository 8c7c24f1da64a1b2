"""The figures of a measurement, each with its bar and a verdict."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Figure:
    """One figure. `values` are those of the runs; where `percentiles` are given, of all samples."""

    key: str
    title: str
    unit: str
    values: tuple[float, ...]
    at_most: float | None = None
    at_least: float | None = None
    note: str = ""
    percentiles: dict[str, float] = field(default_factory=dict[str, float])
    noisy: bool = False

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def bar(self) -> str:
        if self.at_most is not None:
            return f"<= {shown(self.at_most)} {self.unit}".rstrip()
        if self.at_least is not None:
            return f">= {shown(self.at_least)} {self.unit}".rstrip()
        return ""

    @property
    def verdict(self) -> str:
        """`met` or `missed`, with `noisy` where the machine had other things to do."""
        if self.at_most is None and self.at_least is None:
            word = ""
        else:
            met = (self.at_most is None or self.median <= self.at_most) and (
                self.at_least is None or self.median >= self.at_least
            )
            word = "met" if met else "missed"
        return " ".join(filter(None, [word, "(noisy)" if self.noisy else ""]))

    @property
    def measured(self) -> str:
        """The median, and the spread of the runs or the percentiles of the samples."""
        text = f"{shown(self.median)} {self.unit}".rstrip()
        if self.percentiles:
            return f"{text} ({', '.join(f'{k} {shown(v)}' for k, v in self.percentiles.items())})"
        if len(self.values) > 1:
            return f"{text} ({shown(min(self.values))} to {shown(max(self.values))})"
        return text

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"median": self.median, "verdict": self.verdict}


def shown(value: float) -> str:
    """Three digits that matter; whole numbers in full."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    text = f"{value:,.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def percentiles(samples: Sequence[float]) -> dict[str, float]:
    """Return the 50th, 90th and 99th percentiles of latencies, and the maximum."""
    ordered = sorted(samples)
    places = {"p50": 0.5, "p90": 0.9, "p99": 0.99}
    found = {
        name: ordered[min(int(p * len(ordered)), len(ordered) - 1)] for name, p in places.items()
    }
    return found | {"worst": ordered[-1]}
