"""What time brings about: due messages, ended leases, expiry, and forgetting."""

from asynctasq.drivers.sqlite.codec import micros
from asynctasq.drivers.sqlite.queries import queries
from asynctasq.drivers.sqlite.session import Session

BOUND = 5_000
"""Messages that one reserve moves at most for each kind of upkeep, so that no call takes long."""

_SQL = queries("upkeep")
_GIVE_BACK = queries("lease")["give_back"]


def dead_since(session: Session) -> int:
    """Who died at this time or before has been kept long enough."""
    return session.now - micros(session.settings.dead_letter_ttl)


def must_count_dead(session: Session) -> bool:
    """Whether so many died that counting them is worth its cost: at most 1 % are kept too long."""
    return session.deaths > session.settings.dead_letter_limit // 100


def upkeep(session: Session) -> None:
    """Do a bounded piece of everything that is due."""
    bound = {"bound": BOUND}
    session.run(_SQL["promote"], bound)
    _reclaim(session)
    session.deaths += session.run(_SQL["expire"], bound)
    session.run(_SQL["forget_outcomes"], bound)
    session.run(_SQL["forget_keys"], {})
    session.run(_SQL["forget_workers"], {})
    session.run(_SQL["forget_old_dead"], {"dead_since": dead_since(session), **bound})
    if must_count_dead(session):
        kept = session.settings.dead_letter_limit
        if session.run(_SQL["forget_surplus_dead"], {"kept": kept, **bound}) < BOUND:
            session.deaths = 0


def _reclaim(session: Session) -> None:
    """Take messages back from owners that are gone."""
    row = session.row(_SQL["ended_leases"], {"bound": BOUND})
    if row is not None and row[0] != "[]":
        session.deaths += session.run(_GIVE_BACK, {"taken": row[0], "counted": True})
    session.run(_SQL["forget_owners"], {})
