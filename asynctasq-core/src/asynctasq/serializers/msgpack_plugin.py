"""Entry point of the serializer `msgpack`."""

from typing import Any

from asynctasq.contracts.serializer import Serializer
from asynctasq.hookspecs import hookimpl


@hookimpl
def create_serializer(name: str, settings: Any) -> Serializer:
    """Create the serializer; it has no settings."""
    from asynctasq.serializers.msgpack_serializer import MsgpackSerializer

    return MsgpackSerializer()
