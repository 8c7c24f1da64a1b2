"""Entry point `django` of the group `asynctasq.resolvers`."""

from typing import Any

from asynctasq.contracts.resolver import Resolver
from asynctasq.hookspecs import hookimpl


@hookimpl
def create_resolver(name: str, settings: Any) -> Resolver:
    """Create the resolver."""
    from asynctasq_orm.django.resolver import DjangoResolver

    return DjangoResolver()
