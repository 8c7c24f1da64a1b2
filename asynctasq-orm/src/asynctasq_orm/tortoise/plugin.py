"""Entry point `tortoise` of the group `asynctasq.resolvers`."""

from asynctasq.contracts.resolver import Resolver
from asynctasq.hookspecs import hookimpl
from asynctasq_orm.tortoise.settings import TortoiseSettings


@hookimpl
def create_resolver(name: str, settings: TortoiseSettings) -> Resolver:
    """Create the resolver."""
    from asynctasq_orm.tortoise.resolver import TortoiseResolver

    return TortoiseResolver(settings)


@hookimpl
def settings_class(name: str) -> type:
    """Return the settings class."""
    return TortoiseSettings
