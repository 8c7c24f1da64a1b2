"""Loading of the relations that a task names, and notes about others."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import inspect
from sqlalchemy.exc import MissingGreenlet, StatementError
from sqlalchemy.orm import Mapper, selectinload, undefer
from sqlalchemy.orm.exc import DetachedInstanceError
from sqlalchemy.orm.interfaces import LoaderStrategy, ORMOption

from asynctasq.errors import ConfigurationError
from asynctasq_orm.batches import Batch
from asynctasq_orm.tracebacks import name_it, receivers


def options_of(batch: Batch) -> list[ORMOption]:
    """Return the loader options for the relations and deferred columns of a batch.

    Raises:
        ConfigurationError: a class on the path does not have the relation.
    """
    return (
        [_option(inspect(batch.model), path) for path in batch.paths()] if batch.relations else []
    )


def _option(mapper: Mapper[Any], path: Sequence[str]) -> ORMOption:
    option: Any = None
    for step in path:
        if step in mapper.relationships:
            attribute = getattr(mapper.class_, step)
            option = selectinload(attribute) if option is None else option.selectinload(attribute)
            mapper = mapper.relationships[step].mapper
        elif step in mapper.column_attrs and step == path[-1]:
            attribute = getattr(mapper.class_, step)
            option = undefer(attribute) if option is None else option.undefer(attribute)
        else:
            raise ConfigurationError(
                f"A task names the relation {'.'.join(path)!r}, and "
                f"{mapper.class_.__module__}.{mapper.class_.__qualname__} has no relation {step!r}."
            )
    loading: ORMOption = option
    return loading


def explain(error: Exception) -> str | None:
    """Return a note about an attribute that was not loaded; None for other errors."""
    cause = error.orig if isinstance(error, StatementError) else error
    if not isinstance(cause, DetachedInstanceError | MissingGreenlet):
        return None
    for loader in receivers(error):
        if isinstance(loader, LoaderStrategy):
            wanted: Any = loader.parent_property
            return name_it(wanted.parent.class_, wanted.key)
    return None
