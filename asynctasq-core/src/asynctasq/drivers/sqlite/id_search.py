"""Messages whose ids begin or end with some digits."""

from asynctasq.contracts.capabilities import Page
from asynctasq.driverkit.cursors import pack_cursor, unpack_cursor
from asynctasq.driverkit.id_parts import id_range
from asynctasq.drivers.sqlite.queries import queries
from asynctasq.drivers.sqlite.rows import as_bytes
from asynctasq.drivers.sqlite.session import Session
from asynctasq.records import record

_SQL = queries("id_search")
SCANNED = 20_000
"""Ids that one call looks at. It reads them from the index of ids, which takes a few milliseconds."""
BEGINNING, END = 0, 1
"""The first pages show ids that begin with the digits, which are a range of the index. Then all ids are read."""
_BEYOND = b"\xff" * 17
"""Greater than any id."""


@record
class MatchIds:
    """The operation behind `SupportsInspect.match_ids`."""

    part: str
    limit: int
    cursor: str | None

    def __call__(self, session: Session) -> Page[bytes]:
        phase, after = self._place()
        row = session.row(_SQL["last"], {"after": after, "offset": SCANNED - 1})
        until = _BEYOND if row is None else as_bytes(row[0])
        highest = id_range(self.part)[1] if phase == BEGINNING else _BEYOND
        ids = self._search(session, phase, after, min(until, highest))
        if len(ids) > self.limit:
            ids = ids[: self.limit]
            following = (phase, ids[-1]) if ids else (phase, after)
        elif until < highest:
            following = (phase, until)
        elif phase == BEGINNING:
            following = (END, b"")
        else:
            return Page(ids)
        return Page(ids, pack_cursor("ids", following))

    def _place(self) -> tuple[int, bytes]:
        """Return the phase, and the id after which the page begins."""
        if self.cursor is not None:
            match unpack_cursor("ids", self.cursor, length=2):
                case [int(phase), bytes(after)]:
                    return phase, after
                case _:
                    pass
        lowest = int.from_bytes(id_range(self.part)[0])
        return BEGINNING, (lowest - 1).to_bytes(16) if lowest else b""

    def _search(self, session: Session, phase: int, after: bytes, until: bytes) -> list[bytes]:
        between = {"after": after, "until": until, "limit": self.limit + 1}
        if phase == BEGINNING:
            return [as_bytes(row[0]) for row in session.rows(_SQL["all"], between)]
        tail = bytes.fromhex(self.part[len(self.part) % 2 :])
        rows = session.rows(
            _SQL["ending"],
            {**between, "place": 17 - len(tail), "tail": tail, "digits": self.part.upper()},
        )
        return [one for one in map(_first, rows) if not one.hex().startswith(self.part)]


def _first(row: tuple[object, ...]) -> bytes:
    return as_bytes(row[0])
