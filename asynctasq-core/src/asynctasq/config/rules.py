"""The values that a setting may have, in words and as a check."""

import re
from collections.abc import Mapping

from asynctasq.message import QUEUE_NAME
from asynctasq.records import record
from asynctasq.retry import SECONDS_LIMIT

SERVED_QUEUE = re.compile(rf"{QUEUE_NAME.pattern}(:0*[1-9][0-9]*)?")
PLUGIN_NAME = re.compile(r"[A-Za-z0-9_.+-]+")
FUNCTION_PATH = re.compile(r"\w+(\.\w+)*:\w+(\.\w+)*")
PATTERN_WORDS: Mapping[re.Pattern[str], str] = {
    QUEUE_NAME: "of 1 to 80 letters, digits and .-_",
    SERVED_QUEUE: "of 1 to 80 letters, digits and .-_, and of a limit after a colon if need be",
    PLUGIN_NAME: "of letters, digits and .-_+",
    FUNCTION_PATH: "as `module:function`",
}


@record
class Rule:
    """The meaning of a setting, and the values that are allowed."""

    description: str
    at_least: float | None = None
    above: float | None = None
    at_most: float | None = None
    pattern: re.Pattern[str] | None = None
    """Pattern of the text, or of each item of a list."""
    type: str = ""
    """The type in words, if the annotation does not say it."""
    limit: float = SECONDS_LIMIT
    """Largest magnitude of a number: durations above it are mistakes."""

    def bounds(self) -> str:
        """Return the allowed range in words; empty if every value is allowed."""
        words: list[str] = []
        if self.at_least is not None:
            words.append(f"at least {self.at_least:g}")
        if self.above is not None:
            words.append(f"above {self.above:g}")
        if self.at_most is not None:
            words.append(f"at most {self.at_most:g}")
        if self.pattern is not None:
            words.append(PATTERN_WORDS[self.pattern])
        return ", ".join(words)

    def bounds_for(self, value: object) -> str:
        """Return the allowed range in words, for an error about this value."""
        words = [self.bounds()] if self.bounds() else []
        if isinstance(value, int | float) and value > self.limit and self.at_most is None:
            words.append(
                f"and at most {self.limit:,.0f}" if words else f"at most {self.limit:,.0f}"
            )
        return ", ".join(words)

    def allows(self, value: object) -> bool:
        """Return True if a value of the right type is in range. None is in range if the type allows it."""
        if isinstance(value, int | float) and not isinstance(value, bool):
            return (
                abs(value) <= self.limit  # NaN is not
                and (self.at_least is None or value >= self.at_least)
                and (self.above is None or value > self.above)
                and (self.at_most is None or value <= self.at_most)
            )
        if self.pattern is not None and value is not None:
            texts = value if isinstance(value, tuple) else (value,)
            return all(isinstance(text, str) and self.pattern.fullmatch(text) for text in texts)
        return True
