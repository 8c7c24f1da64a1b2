"""Entry point of the serializer `json`."""

from typing import Any

from asynctasq.contracts.serializer import Serializer
from asynctasq.hookspecs import hookimpl


@hookimpl
def create_serializer(name: str, settings: Any) -> Serializer:
    """Create the serializer; it has no settings."""
    from asynctasq.serializers.json_serializer import JsonSerializer

    return JsonSerializer()
