"""The relation that an error is about."""

from tortoise import Tortoise
from tortoise.exceptions import NoValuesFetched
from tortoise.fields.relational import ReverseRelation
from tortoise.models import Model
from tortoise.queryset import QuerySet

from asynctasq_orm.tracebacks import name_it, receivers


def explain(error: Exception) -> str | None:
    """Return a note about the relation that was used without loading it; None for other errors."""
    if isinstance(error, NoValuesFetched):
        for each in receivers(error):
            if isinstance(each, ReverseRelation):
                return _of_many(each)
    if isinstance(error, AttributeError) and isinstance(error.obj, QuerySet):
        return _of_one(error.obj.model)
    return None


def _of_many(relation: "ReverseRelation[Model]") -> str | None:
    owner = type(relation.instance)
    for name in owner._meta.fetch_fields:
        if getattr(relation.instance, f"_{name}", None) is relation:
            return name_it(owner, name)
    return None


def _of_one(wanted: type[Model]) -> str | None:
    """Return the relation of a query that replaces a single model, from the classes that have it."""
    owners = [model for models in (Tortoise.apps or {}).values() for model in models.values()]
    named = [
        name_it(owner, name)
        for owner in owners
        for name in sorted(
            owner._meta.fk_fields | owner._meta.o2o_fields | owner._meta.backward_o2o_fields
        )
        if getattr(owner._meta.fields_map[name], "related_model", None) is wanted
    ]
    return " Or: ".join(named) or None
