"""Searches of IDs in stores that have all IDs in an index, for `SupportsInspect.match_ids`."""

from collections.abc import Sequence
from typing import Self

from asynctasq.contracts.capabilities import Page
from asynctasq.driverkit.cursors import pack_cursor, unpack_cursor
from asynctasq.driverkit.id_parts import check_id_part, id_range
from asynctasq.errors import InvalidCursor
from asynctasq.records import record

_BEGINNING, _END = 0, 1
_BEYOND = b"\xff" * 17
"""Greater than any ID."""


@record
class IdWalk:
    """One page of a search that looks at IDs in their order.

    The first pages show IDs that begin with the digits, which are a range of the index. Later pages look at all
    IDs, and show those that end with the digits and do not begin so.
    """

    part: str
    limit: int
    phase: int
    after: bytes
    """The page begins after this ID, which may be empty."""

    @classmethod
    def begin(cls, part: str, *, limit: int, cursor: str | None) -> Self:
        """Return the page at a cursor.

        Args:
            part: as for `match_ids`.
            limit: as for `match_ids`.
            cursor: as for `match_ids`.

        Raises:
            ValueError: the part is not valid.
            InvalidCursor: the cursor is not valid.
        """
        lowest = int.from_bytes(id_range(check_id_part(part))[0])
        if cursor is None:
            after = (lowest - 1).to_bytes(16) if lowest else b""
            return cls(part, limit, _BEGINNING, after)
        match unpack_cursor("ids", cursor, length=2):
            case [int(phase), bytes(after)] if phase in (_BEGINNING, _END):
                return cls(part, limit, phase, after)
            case _:
                raise InvalidCursor(f"The cursor must come from `match_ids`, got {cursor!r}.")

    @property
    def searches_ends(self) -> bool:
        """True if the page shows IDs that end with the digits."""
        return self.phase == _END

    @property
    def last(self) -> bytes:
        """The last ID that the page may show; all are less than this if it shows ends."""
        return _BEYOND if self.searches_ends else id_range(self.part)[1]

    def page(self, ids: Sequence[bytes], until: bytes | None) -> Page[bytes]:
        """Return the page.

        Args:
            ids: those found, in order; one more than the limit if there are more.
            until: the last ID looked at, at least; None if no ID comes after those looked at.
        """
        if len(ids) > self.limit:
            shown = ids[: max(self.limit, 0)]
            return Page(shown, pack_cursor("ids", (self.phase, shown[-1] if shown else self.after)))
        if until is not None and until < self.last:
            return Page(ids, pack_cursor("ids", (self.phase, until)))
        return Page(ids, None if self.searches_ends else pack_cursor("ids", (_END, b"")))
