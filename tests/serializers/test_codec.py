import logging
from typing import Any

import pytest

from asynctasq.contracts.serializer import Serializer
from asynctasq.errors import (
    ArgumentsMismatch,
    BodyCorrupt,
    BodyVersion,
    MessageTooLarge,
    NotSerializable,
    PluginNotFound,
    ResultNotSerializable,
)
from asynctasq.retry import RetryStrategy, RunPolicy
from asynctasq.serializers.codec import Codec
from asynctasq.serializers.json_serializer import JsonSerializer
from asynctasq.serializers.msgpack_serializer import MsgpackSerializer
from tests.serializers.sample_types import Opaque, Plain

POLICY = RunPolicy()


def find(name: str) -> Serializer:
    match name:
        case "msgpack":
            return MsgpackSerializer()
        case "json":
            return JsonSerializer()
        case _:
            raise PluginNotFound(f"no serializer {name}")


@pytest.fixture
def codec(serializer: Serializer) -> Codec:
    return Codec(serializer, find_serializer=find)


def call(codec: Codec, *args: object, **kwargs: object) -> bytes:
    return codec.encode_call(args, kwargs, POLICY, task="app:send")


def test_call_round_trips(codec: Codec) -> None:
    envelope = codec.open_call(call(codec, 1, (2, [3]), name="x", when={4}))

    assert codec.decode_arguments(envelope) == ([1, (2, [3])], {"name": "x", "when": {4}})


def test_policy_travels_exactly(codec: Codec) -> None:
    for policy in (
        POLICY,
        RunPolicy(timeout=0.5, retry_delay=0.0, retry_jitter=0.0),
        RunPolicy(timeout=3, retry_strategy=RetryStrategy.EXPONENTIAL, retry_factor=1.5),
    ):
        for _ in range(2):
            body = codec.encode_call((), {}, policy, task="t")
            assert codec.open_call(body).policy == policy


def test_many_policies_are_not_mixed_up(codec: Codec) -> None:
    for number in range(3000):
        policy = RunPolicy(retry_delay=float(number))
        assert codec.open_call(codec.encode_call((), {}, policy, task="t")).policy == policy


def test_what_one_serializer_writes_a_codec_of_the_other_reads() -> None:
    codecs = [Codec(find(name), find_serializer=find) for name in ("msgpack", "json")]
    for writer in codecs:
        for reader in codecs:
            body = call(writer, (1,), b"x")
            assert reader.decode_arguments(reader.open_call(body)) == ([(1,), b"x"], {})
            assert reader.decode_result(writer.encode_result({(1,): b"x"})) == {(1,): b"x"}


def test_serializer_that_is_not_installed_is_another_release(codec: Codec) -> None:
    class Foreign(MsgpackSerializer):
        content_type = "foreign"

    envelope = codec.open_call(call(Codec(Foreign(), find_serializer=find), 1))

    with pytest.raises(BodyVersion, match=r"'foreign'.*no serializer foreign"):
        codec.decode_arguments(envelope)


def test_error_names_task_argument_and_type(codec: Codec) -> None:
    bad: Any = object()
    with pytest.raises(
        NotSerializable, match=r"'app:send'.*: args\[1\]\.items\['k'\] is an object"
    ):
        call(codec, 1, Plain("p", {"k": bad}))
    with pytest.raises(NotSerializable, match=r"'app:send'.*: user\[0\] is an object"):
        call(codec, user=[bad])
    with pytest.raises(TypeError):
        call(codec, bad)


def test_size_limit_tells_size_limit_setting_and_remedy(serializer: Serializer) -> None:
    codec = Codec(serializer, find_serializer=find, max_message_bytes=1000)

    with pytest.raises(
        MessageTooLarge, match=r"'app:send'.*1,000 bytes.*max_message_bytes.*1,0\d\d"
    ):
        call(codec, "x" * 1000)
    with pytest.raises(ValueError, match="Pass a key or a path"):
        call(codec, "x" * 100_000)
    assert len(call(codec, "x" * 900)) <= 1000


def test_default_limit_takes_four_megabytes(codec: Codec) -> None:
    body = call(codec, "x" * (4 * 2**20 - 200))
    assert codec.decode_arguments(codec.open_call(body))[0] == ["x" * (4 * 2**20 - 200)]
    with pytest.raises(MessageTooLarge):
        call(codec, "x" * (4 * 2**20))


@pytest.mark.parametrize("size", [0, 1, 200, 230, 255, 256, 65_535, 65_536, 66_000])
def test_every_length_of_data_is_read_back(codec: Codec, size: int) -> None:
    value = "x" * size
    assert codec.decode_arguments(codec.open_call(call(codec, value))) == ([value], {})
    assert codec.decode_result(codec.encode_result(value)) == value


def test_names_that_are_no_strings_are_corrupt(serializer: Serializer) -> None:
    from asynctasq.serializers.envelope import Envelope
    from asynctasq.serializers.unserializable import no_reference

    codec = Codec(serializer, find_serializer=find)
    values: list[Any] = [[[], {1: 2}], [[]], [{}, []], [(), {}], [[], {}, 1], {}, None, 7, "ab"]
    for value in values:
        data = serializer.dumps(value, refer=no_reference)
        with pytest.raises(BodyCorrupt):
            codec.decode_arguments(Envelope(serializer.content_type, POLICY, (), data))


# --- results ---------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [None, 0, "", [], (1, (2,)), {"a": {1}}, b"x" * 300])
def test_result_round_trips(codec: Codec, value: object) -> None:
    back = codec.decode_result(codec.encode_result(value))

    assert back == value
    assert type(back) is type(value)


class Hostile:
    """Fails in every method."""

    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError(f"no {name}")

    def __repr__(self) -> str:
        raise RuntimeError("no repr")

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("no eq")

    __hash__ = None  # type: ignore[assignment]  # part of being hostile


def deep() -> list[Any]:
    value: list[Any] = []
    for _ in range(50_000):
        value = [value]
    return value


def cyclic() -> list[Any]:
    value: list[Any] = []
    value.append(value)
    return value


@pytest.mark.parametrize(
    "make",
    [
        object,
        Opaque,
        Hostile,
        deep,
        cyclic,
        lambda: "\ud800",
        lambda: [Hostile()],
        lambda: {Opaque()},
    ],
)
def test_result_that_cannot_be_stored_becomes_a_note(codec: Codec, make: Any) -> None:
    stored = codec.encode_result(make())

    with pytest.raises(ResultNotSerializable, match="completed, but its return value"):
        codec.decode_result(stored)


def test_note_says_type_and_place(codec: Codec) -> None:
    with pytest.raises(
        ResultNotSerializable,
        match=r"return value, a value of type dict, could not be stored: \['x'\]\[0\] is a .*Opaque",
    ):
        codec.decode_result(codec.encode_result({"x": [Opaque()]}))


def test_result_that_is_too_large_becomes_a_note(serializer: Serializer) -> None:
    codec = Codec(serializer, find_serializer=find, max_message_bytes=1000)

    stored = codec.encode_result("x" * 2000)

    assert len(stored) < 1000
    with pytest.raises(ResultNotSerializable, match=r"2,0\d\d bytes.*max_message_bytes"):
        codec.decode_result(stored)


def test_warning_is_logged_once_for_a_type(codec: Codec, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "asynctasq.serializers"):
        for _ in range(3):
            codec.encode_result(Opaque())

    assert len(caplog.records) == 1
    assert "Opaque" in caplog.text


def test_encode_function_that_dispatches_does_not_disturb_the_message_around_it(
    codec: Codec, monkeypatch: pytest.MonkeyPatch
) -> None:
    from asynctasq.serializers.custom_types import CustomTypes, register_type

    monkeypatch.setattr(
        "asynctasq.serializers.custom_types.custom_types", registry := CustomTypes()
    )
    monkeypatch.setattr("asynctasq.serializers.extension_types.custom_types", registry)
    register_type(Opaque, lambda _: [call(codec, (1,), {2})], lambda parts: parts, name="opaque")

    body = call(codec, (1,), Opaque(), [(2,)])
    args, _ = codec.decode_arguments(codec.open_call(body))

    assert args[0] == (1,)
    assert args[2] == [(2,)]
    inner = args[1]
    assert isinstance(inner, list)
    assert codec.decode_arguments(codec.open_call(inner[0])) == ([(1,), {2}], {})


def test_mismatch_is_not_corruption(codec: Codec) -> None:
    """A release that lacks a field retries for a while; it must not bury the message at once."""
    body = call(codec, Plain("x"))
    with pytest.raises(ArgumentsMismatch, match="no field"):
        codec.decode_arguments(
            codec.open_call(body.replace(b"items", b"itemz")),
        )
