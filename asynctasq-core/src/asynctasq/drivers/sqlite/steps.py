"""Calls as steps, which run in the engine's session, and in a transaction of the application."""

from collections.abc import Generator, Mapping, Sequence
from typing import Any, TypeAlias, TypeVar

T = TypeVar("T")

Row: TypeAlias = Sequence[Any]
Step: TypeAlias = tuple[str, Mapping[str, Any]] | str
"""A statement with its parameters, to which `:now` and `:namespace` are added; or the name of a queue, for which
the answer is one row with its number."""
Steps: TypeAlias = Generator[Step, Sequence[Row], T]
"""Yields steps, is sent the rows of each, and returns the answer of the call.

If a transaction of the application goes on although a step failed, those before it count. So a message is added
before the key that it holds.
"""
