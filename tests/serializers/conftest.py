import pytest

from asynctasq.contracts.serializer import Serializer
from asynctasq.serializers.json_serializer import JsonSerializer
from asynctasq.serializers.msgpack_serializer import MsgpackSerializer


@pytest.fixture(params=[MsgpackSerializer, JsonSerializer], ids=["msgpack", "json"])
def serializer(request: pytest.FixtureRequest) -> Serializer:
    made: Serializer = request.param()
    return made
