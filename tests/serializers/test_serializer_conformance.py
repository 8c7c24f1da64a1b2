"""The serializers of core keep every rule of their contract."""

from asynctasq.conformance import SerializerConformance
from asynctasq.contracts.serializer import Serializer
from asynctasq.serializers.json_serializer import JsonSerializer
from asynctasq.serializers.msgpack_serializer import MsgpackSerializer


class TestMsgpack(SerializerConformance):
    name = "msgpack"

    def make_serializer(self) -> Serializer:
        return MsgpackSerializer()


class TestJson(SerializerConformance):
    name = "json"

    def make_serializer(self) -> Serializer:
        return JsonSerializer()
