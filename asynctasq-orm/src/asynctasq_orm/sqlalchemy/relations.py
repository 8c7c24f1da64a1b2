"""What is loaded along with models: the relations that a task names."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import inspect
from sqlalchemy.orm import Mapper, selectinload, undefer
from sqlalchemy.orm.interfaces import ORMOption

from asynctasq.errors import ConfigurationError
from asynctasq_orm.batches import Batch


def options_of(batch: Batch) -> list[ORMOption]:
    """The loader options that bring the relations of a batch, and its deferred columns.

    Raises:
        ConfigurationError: a class along the way has no such attribute.
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
