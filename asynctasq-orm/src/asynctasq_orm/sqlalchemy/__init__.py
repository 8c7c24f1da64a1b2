"""SQLAlchemy models (and SQLModel's) as arguments of tasks."""

from asynctasq_orm.sqlalchemy.factories import (
    create_worker_session_factory as create_worker_session_factory,
)
from asynctasq_orm.sqlalchemy.sessions import current_session as current_session
