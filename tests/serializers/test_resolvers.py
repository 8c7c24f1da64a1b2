import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any
from uuid import UUID

import pytest

from asynctasq.contracts.resolver import Reference, Resolver
from asynctasq.contracts.serializer import Serializer
from asynctasq.errors import (
    BodyCorrupt,
    BodyVersion,
    ModelNotFound,
    NotSerializable,
    PluginBroken,
    PluginNotFound,
    ResultNotSerializable,
)
from asynctasq.resolvers import Resolvers
from asynctasq.retry import RunPolicy
from asynctasq.serializers.codec import Codec
from tests.serializers.sample_types import Box
from tests.serializers.toy_orm import ROWS, Row, ToyResolver


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> ToyResolver:
    monkeypatch.setitem(sys.modules, "toy_orm", ModuleType("toy_orm"))
    for key in (1, (2, "b"), UUID(int=3)):
        monkeypatch.setitem(ROWS, key, Row(key, f"row {key}"))
    return ToyResolver()


def resolvers_of(**made: Resolver) -> Resolvers:
    def create(name: str) -> Resolver:
        if name not in made:
            raise PluginNotFound(f"no resolver {name}")
        return made[name]

    return Resolvers(lambda: list(made), create)


def codec_of(serializer: Serializer, resolvers: Resolvers) -> Codec:
    return Codec(serializer, find_serializer=lambda _: serializer, resolvers=resolvers)


async def test_models_travel_as_references_wherever_they_occur(
    serializer: Serializer, toy: ToyResolver
) -> None:
    resolvers = resolvers_of(toy_orm=toy)
    codec = codec_of(serializer, resolvers)
    first, second, third = ROWS[1], ROWS[2, "b"], ROWS[UUID(int=3)]

    body = codec.encode_call(
        (first, [{"deep": (second,)}]), {"box": Box(third), "plain": 1}, RunPolicy(), task="t"
    )
    assert b"row" not in body  # the models themselves stay behind
    envelope = codec.open_call(body)
    models = await resolvers.resolve(envelope.references)
    args, kwargs = codec.decode_arguments(envelope, models)

    assert [reference.key for reference in envelope.references] == [1, (2, "b"), UUID(int=3)]
    assert args[0] is first
    assert args[1] == [{"deep": (second,)}]
    box = kwargs["box"]
    assert isinstance(box, Box)
    assert box.content is third
    assert toy.calls == [3]


async def test_model_that_occurs_twice_is_referred_to_once(
    serializer: Serializer, toy: ToyResolver
) -> None:
    resolvers = resolvers_of(toy_orm=toy)
    codec = codec_of(serializer, resolvers)
    row = ROWS[1]

    envelope = codec.open_call(
        codec.encode_call((row, [row], bytearray(b"packed twice")), {}, RunPolicy(), task="t")
    )
    args, _ = codec.decode_arguments(envelope, await resolvers.resolve(envelope.references))

    assert len(envelope.references) == 1
    assert args == [row, [row], bytearray(b"packed twice")]
    assert args[0] is row


async def test_each_resolver_is_called_once_and_order_is_kept(toy: ToyResolver) -> None:
    class Other(ToyResolver):
        async def resolve(
            self, references: Sequence[Reference], *, relations: Sequence[str] = ()
        ) -> list[object]:
            self.calls.append(len(references))
            return [f"other {reference.key}" for reference in references]

    other = Other()
    resolvers = resolvers_of(toy_orm=toy, other=other)
    wanted = [
        Reference("other", "M", 1),
        Reference("toy_orm", "Row", 1),
        Reference("other", "M", 2),
    ]

    assert await resolvers.resolve(wanted) == ["other 1", ROWS[1], "other 2"]
    assert (toy.calls, other.calls) == ([1], [2])


async def test_missing_rows_are_named_all_at_once(toy: ToyResolver) -> None:
    wanted = [Reference("toy_orm", "Row", key) for key in (99, 1, "b")]
    resolvers = resolvers_of(toy_orm=toy)

    with pytest.raises(ModelNotFound, match="Row has no row with the key 99, 'b':") as raised:
        await resolvers.resolve(wanted)

    assert (raised.value.model, raised.value.key) == ("Row", 99)
    assert await resolvers.resolve(wanted, missing_ok=True) == [None, ROWS[1], None]


async def test_error_of_one_of_several_resolvers_is_raised_as_it_is(toy: ToyResolver) -> None:
    wanted = [Reference("toy_orm", "Row", 1), Reference("other", "Row", 99)]

    with pytest.raises(ModelNotFound, match="key 99"):
        await resolvers_of(toy_orm=toy, other=ToyResolver()).resolve(wanted)


async def test_relations_are_told_to_the_resolver(toy: ToyResolver) -> None:
    await resolvers_of(toy_orm=toy).resolve(
        [Reference("toy_orm", "Row", 1)], relations=["lines", "owner.address"]
    )

    assert toy.relations == [("lines", "owner.address")]


async def test_unknown_resolver_is_for_another_release(toy: ToyResolver) -> None:
    with pytest.raises(BodyVersion, match="unheard_of"):
        await resolvers_of(toy_orm=toy).resolve(
            [Reference("toy_orm", "Row", 1), Reference("unheard_of", "Row", 1)]
        )
    assert toy.calls == []  # nothing was loaded needlessly


async def test_resolver_that_gives_too_few_models_is_broken() -> None:
    class Short(ToyResolver):
        async def resolve(
            self, references: Sequence[Reference], *, relations: Sequence[str] = ()
        ) -> list[object]:
            return []

    with pytest.raises(PluginBroken, match="must return 1 models, got 0"):
        await resolvers_of(short=Short()).resolve([Reference("short", "M", 1)])


def test_unsaved_model_is_refused_with_its_place(serializer: Serializer, toy: ToyResolver) -> None:
    codec = codec_of(serializer, resolvers_of(toy_orm=toy))

    with pytest.raises(NotSerializable, match=r"'app:send'.*args\[0\]\['row'\].*save it first"):
        codec.encode_call(({"row": Row(None)},), {}, RunPolicy(), task="app:send")


def test_resolver_is_asked_once_about_a_type(toy: ToyResolver) -> None:
    resolvers = resolvers_of(toy_orm=toy)

    for _ in range(5):
        assert resolvers.refer(Box(1)) is None
        assert resolvers.refer(ROWS[1]) == Reference("toy_orm", "Row", 1)

    assert toy.asked.count(Box) == 1


def test_resolver_of_a_framework_that_is_not_imported_is_not_made() -> None:
    def create(name: str) -> Resolver:
        raise AssertionError(name)

    assert Resolvers(lambda: ["framework_never_imported"], create).refer(Box(1)) is None


def test_proxy_is_asked_about_each_time(toy: ToyResolver) -> None:
    """Django's `SimpleLazyObject`, say: the type tells nothing of what it hides."""

    class Lazy:
        def __init__(self, hidden: object) -> None:
            self.hidden = hidden

        def __getattribute__(self, name: str) -> Any:
            return getattr(object.__getattribute__(self, "hidden"), name)

    resolvers = resolvers_of(toy_orm=toy)

    assert resolvers.refer(Lazy(Box(1))) is None
    assert resolvers.refer(Lazy(ROWS[1])) == Reference("toy_orm", "Row", 1)


def test_reference_without_models_is_corrupt(serializer: Serializer, toy: ToyResolver) -> None:
    codec = codec_of(serializer, resolvers_of(toy_orm=toy))
    envelope = codec.open_call(codec.encode_call((ROWS[1],), {}, RunPolicy(), task="t"))

    with pytest.raises(BodyCorrupt, match="model 0, and 0 are given"):
        codec.decode_arguments(envelope)


async def test_results_hold_references_to_models(serializer: Serializer, toy: ToyResolver) -> None:
    codec = codec_of(serializer, resolvers_of(toy_orm=toy))
    stored = codec.encode_result({"rows": [ROWS[1], ROWS[2, "b"], ROWS[1]], "plain": (1,)})

    assert b"row 1" not in stored
    back: Any = await codec.load_result(stored)

    assert back == {"rows": [ROWS[1], ROWS[2, "b"], ROWS[1]], "plain": (1,)}
    assert back["rows"][0] is back["rows"][2]
    assert toy.calls == [2]


async def test_result_is_shown_without_loading_its_models(
    serializer: Serializer, toy: ToyResolver
) -> None:
    codec = codec_of(serializer, resolvers_of(toy_orm=toy))

    assert codec.decode_result(codec.encode_result([ROWS[1]])) == [Reference("toy_orm", "Row", 1)]
    assert toy.calls == []


async def test_model_of_a_result_that_is_gone_is_an_error(
    serializer: Serializer, toy: ToyResolver, monkeypatch: pytest.MonkeyPatch
) -> None:
    codec = codec_of(serializer, resolvers_of(toy_orm=toy))
    stored = codec.encode_result([ROWS[1]])
    monkeypatch.delitem(ROWS, 1)

    with pytest.raises(ModelNotFound, match="Row has no row with the key 1"):
        await codec.load_result(stored)


def test_unsaved_model_in_a_result_leaves_a_note(serializer: Serializer, toy: ToyResolver) -> None:
    codec = codec_of(serializer, resolvers_of(toy_orm=toy))

    with pytest.raises(ResultNotSerializable, match="save it first"):
        codec.decode_result(codec.encode_result([Row(None)]))


async def test_closing_closes_what_was_made_once(toy: ToyResolver) -> None:
    resolvers = resolvers_of(toy_orm=toy)
    resolvers.refer(ROWS[1])

    await resolvers.close()
    await resolvers.close()

    assert toy.closed == 1
