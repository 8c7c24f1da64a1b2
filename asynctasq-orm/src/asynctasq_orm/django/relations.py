"""The relation that an error is about."""

from typing import Any

from django.core.exceptions import SynchronousOnlyOperation
from django.db.models import QuerySet
from django.db.models.fields.related_descriptors import (
    ForwardManyToOneDescriptor,
    ReverseOneToOneDescriptor,
)
from django.db.models.query_utils import DeferredAttribute

from asynctasq_orm.tracebacks import name_it, receivers


def explain(error: Exception) -> str | None:
    """Return a note about the relation that async code used without loading it; None for other errors."""
    if not isinstance(error, SynchronousOnlyOperation):
        return None
    passed = list(receivers(error))
    for each in passed:
        if isinstance(each, ForwardManyToOneDescriptor | DeferredAttribute):
            return name_it(each.field.model, each.field.name)
        if isinstance(each, ReverseOneToOneDescriptor):
            return name_it(each.related.model, each.related.get_accessor_name())
    for each in passed:
        if isinstance(each, QuerySet) and "instance" in each._hints:
            return _of_related(each)
    return None


def _of_related(rows: Any) -> str | None:
    """Return the relation of a query set that a manager of an instance created."""
    owner = type(rows._hints["instance"])
    for relation in owner._meta.get_fields(include_hidden=False):
        if relation.is_relation and relation.related_model is rows.model:
            name = relation.name if relation.concrete else relation.get_accessor_name()
            if relation.many_to_many or relation.one_to_many:
                return name_it(owner, name)
    return None
