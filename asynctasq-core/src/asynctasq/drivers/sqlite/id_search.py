"""Messages whose ids begin or end with some digits."""

from asynctasq.contracts.capabilities import Page
from asynctasq.driverkit.id_walks import IdWalk
from asynctasq.drivers.sqlite.queries import queries
from asynctasq.drivers.sqlite.rows import as_bytes
from asynctasq.drivers.sqlite.session import Session
from asynctasq.records import record

_SQL = queries("id_search")
SCANNED = 20_000
"""Ids that one call looks at. It reads them from the index of ids, which takes a few milliseconds."""


@record
class MatchIds:
    """The operation behind `SupportsInspect.match_ids`."""

    walk: IdWalk

    def __call__(self, session: Session) -> Page[bytes]:
        walk = self.walk
        row = session.row(_SQL["last"], {"after": walk.after, "offset": SCANNED - 1})
        until = None if row is None else as_bytes(row[0])
        between = {
            "after": walk.after,
            "until": walk.last if until is None else min(until, walk.last),
            "limit": max(walk.limit, 0) + 1,
        }
        if not walk.searches_ends:
            rows = session.rows(_SQL["all"], between)
        else:
            tail = bytes.fromhex(walk.part[len(walk.part) % 2 :])
            values = {"place": 17 - len(tail), "tail": tail, "digits": walk.part.upper()}
            rows = session.rows(_SQL["ending"], between | values)
        return walk.page([as_bytes(row[0]) for row in rows], until)
