import pytest

from asynctasq.contracts.serializer import Serializer
from asynctasq.errors import ArgumentsMismatch, ConfigurationError, NotSerializable
from asynctasq.serializers.custom_types import CustomTypes, register_type
from asynctasq.serializers.unserializable import Unserializable, no_reference
from tests.serializers.sample_types import Colour, Money, MyDict, Opaque, Plain


@pytest.fixture(autouse=True)
def registry(monkeypatch: pytest.MonkeyPatch) -> CustomTypes:
    """None of these tests leaves a type behind."""
    registry = CustomTypes()
    monkeypatch.setattr("asynctasq.serializers.custom_types.custom_types", registry)
    monkeypatch.setattr("asynctasq.serializers.extension_types.custom_types", registry)
    return registry


def money_parts(money: Money) -> object:
    return (money.amount, money.currency)


def money_of(parts: tuple[int, str]) -> Money:
    return Money(*parts)


def round_trip(serializer: Serializer, value: object) -> object:
    return serializer.loads(serializer.dumps(value, refer=no_reference))


def test_own_type_travels_wherever_it_occurs(serializer: Serializer) -> None:
    register_type(Money, money_parts, money_of)

    value = [
        Money(1, "EUR"),
        {Money(2, "CHF"): (Money(3, "SEK"),)},
        Plain("p", {"m": Money(4, "x")}),
    ]

    assert round_trip(serializer, value) == value


def test_own_type_is_unknown_unless_registered(serializer: Serializer) -> None:
    with pytest.raises(NotSerializable, match=r"Money.*register_type"):
        serializer.dumps(Money(1, "EUR"), refer=no_reference)


def test_name_decides_which_type_it_becomes(serializer: Serializer, registry: CustomTypes) -> None:
    register_type(Money, money_parts, money_of, name="money")
    data = serializer.dumps(Money(1, "EUR"), refer=no_reference)
    assert b"money" in data
    assert b"sample_types" not in data


def test_registering_again_replaces(serializer: Serializer) -> None:
    register_type(Money, money_parts, money_of, name="old")
    register_type(Money, money_parts, lambda parts: Money(parts[0] + 1, parts[1]), name="new")

    assert round_trip(serializer, Money(1, "EUR")) == Money(2, "EUR")


def test_own_way_comes_before_the_built_in_one(serializer: Serializer) -> None:
    register_type(MyDict, dict, MyDict)
    register_type(Plain, lambda plain: plain.name, lambda name: Plain(name, {"own": True}))

    back = round_trip(serializer, MyDict(a=1))

    assert type(back) is MyDict
    assert back == {"a": 1}
    assert round_trip(serializer, Plain("x")) == Plain("x", {"own": True})


def test_name_of_another_class_is_refused() -> None:
    register_type(Money, money_parts, money_of, name="thing")
    with pytest.raises(ConfigurationError, match="'thing' belongs to"):
        register_type(Opaque, lambda _: None, lambda _: Opaque(), name="thing")


@pytest.mark.parametrize(
    "cls", [int, str, bytes, bytearray, dict, list, tuple, set, float, type(None)]
)
def test_plain_types_cannot_be_redefined(cls: type) -> None:
    with pytest.raises(ConfigurationError, match="not a class of your own"):
        register_type(cls, lambda value: value, lambda value: value)


def test_class_without_a_findable_name_needs_one(serializer: Serializer) -> None:
    class Hidden:
        def __init__(self, x: int) -> None:
            self.x = x

    with pytest.raises(ConfigurationError, match="name="):
        register_type(Hidden, lambda hidden: hidden.x, Hidden)

    register_type(Hidden, lambda hidden: hidden.x, Hidden, name="hidden")
    back = round_trip(serializer, Hidden(3))
    assert isinstance(back, Hidden)
    assert back.x == 3


def test_failing_encode_is_reported_with_the_place(serializer: Serializer) -> None:
    register_type(Money, lambda money: money.missing, money_of)  # type: ignore[attr-defined]  # the point
    with pytest.raises(Unserializable, match=r"\['m'\] is a .*Money that failed .*missing"):
        serializer.dumps({"m": Money(1, "x")}, refer=no_reference)


def test_encode_that_gives_an_unsendable_value_is_reported(serializer: Serializer) -> None:
    register_type(Money, lambda _: [object()], money_of)
    with pytest.raises(Unserializable, match=r"\['m'\].* is an object"):
        serializer.dumps({"m": Money(1, "x")}, refer=no_reference)


def test_encode_that_gives_itself_is_reported(serializer: Serializer) -> None:
    register_type(Money, lambda money: money, money_of)
    with pytest.raises(Unserializable, match="contains itself"):
        serializer.dumps(Money(1, "x"), refer=no_reference)


def test_failing_decode_is_a_mismatch(serializer: Serializer) -> None:
    register_type(Money, money_parts, lambda parts: Money(parts.missing, ""))
    data = serializer.dumps(Money(1, "x"), refer=no_reference)
    with pytest.raises(ArgumentsMismatch, match=r"decode function .*missing"):
        serializer.loads(data)


def test_enum_may_be_an_own_type(serializer: Serializer) -> None:
    register_type(Colour, lambda colour: colour.name.lower(), lambda name: Colour[name.upper()])

    assert round_trip(serializer, {Colour.RED: [Colour.ODD]}) == {Colour.RED: [Colour.ODD]}
