"""Pages of a listing."""

from collections.abc import Sequence
from typing import Generic, TypeVar

from asynctasq.records import record

T = TypeVar("T")

SCANNED_AT_ONCE = 2000
"""Messages that one call of a filtered listing looks at, at most. See `SupportsInspect.browse`."""


@record
class Page(Generic[T]):
    """Part of a listing. Pass `cursor` to the next call; it is None on the last page.

    A page may be shorter than its limit, or empty, and still have a cursor: the call has looked at as many
    messages as one call may, or the page has reached `BYTES_AT_ONCE`.
    """

    items: Sequence[T]
    cursor: str | None = None
