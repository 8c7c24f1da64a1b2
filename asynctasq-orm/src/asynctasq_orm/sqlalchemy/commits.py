"""Functions that are called after the commit of a session, unless what they belong to was rolled back."""

from collections.abc import Callable

from sqlalchemy import event
from sqlalchemy.orm import Session, SessionTransaction

_KEY = "asynctasq_orm.commits"


def call_after_commit(session: Session, call: Callable[[], None]) -> None:
    """Call a function after the outermost transaction of a session is committed.

    It is not called if this transaction, or the savepoint in which it was registered, is rolled back.
    """
    commits = session.info.get(_KEY)
    if not isinstance(commits, _Commits):
        commits = session.info[_KEY] = _Commits()
        event.listen(session, "after_commit", commits.committed)
        event.listen(session, "after_soft_rollback", commits.rolled_back)
    commits.add(session.get_nested_transaction() or session.get_transaction(), call)


class _Commits:
    """The functions that wait for the commit of one session."""

    def __init__(self) -> None:
        self._waiting: list[tuple[SessionTransaction | None, Callable[[], None]]] = []

    def add(self, transaction: SessionTransaction | None, call: Callable[[], None]) -> None:
        self._waiting.append((transaction, call))

    def committed(self, session: Session) -> None:
        if session.in_nested_transaction():
            return  # a savepoint was released
        waiting, self._waiting = self._waiting, []
        for _, call in waiting:
            call()

    def rolled_back(self, session: Session, previous: SessionTransaction) -> None:
        del session
        self._waiting = [
            (transaction, call)
            for transaction, call in self._waiting
            if not _is_part_of(transaction, previous)
        ]


def _is_part_of(transaction: SessionTransaction | None, whole: SessionTransaction) -> bool:
    while transaction is not None and transaction is not whole:
        transaction = transaction.parent
    return transaction is whole
