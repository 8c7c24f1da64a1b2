"""Instances arrive as they were sent: nothing that has set them up is run a second time."""

from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel, SecretStr, TypeAdapter

from asynctasq.contracts.serializer import Serializer
from asynctasq.errors import ArgumentsMismatch, BodyError
from asynctasq.serializers.unserializable import Unserializable, no_reference
from tests.serializers import sample_models
from tests.serializers.sample_models import (
    CheckedPair,
    Counted,
    Defaulted,
    Failure,
    Forbidding,
    Growing,
    Guarded,
    Linked,
    Locked,
    Marked,
    Open,
    Secretive,
    Seeded,
    WithSlots,
    runs,
    sent,
)
from tests.serializers.test_class_lookup import forge

HOME = sample_models.__name__


@pytest.fixture(autouse=True)
def _no_runs() -> Iterator[None]:
    runs.clear()
    yield
    runs.clear()


def round_trip(serializer: Serializer, value: Any) -> Any:
    return serializer.loads(serializer.dumps(value, refer=no_reference))


COUNT = len(list(sent()))


@pytest.mark.parametrize("index", range(COUNT))
def test_instance_arrives_equal_without_running_its_code(
    serializer: Serializer, index: int
) -> None:
    value: Any = list(sent())[index]
    runs[:] = ["later"]

    back = round_trip(serializer, round_trip(serializer, value))

    assert type(back) is type(value)
    assert back == value
    assert getattr(back, "__dict__", None) == getattr(value, "__dict__", None)
    assert runs == ["later"]


def test_models_keep_what_is_beside_their_fields(serializer: Serializer) -> None:
    counted = Counted(number=1)
    counted._seen = 7
    opened = Open.model_validate({"fullName": "n", "name": "collides", "": {}})
    built = Marked.model_construct({"name", "odd"}, name="x")

    assert round_trip(serializer, counted)._seen == 7
    assert not hasattr(round_trip(serializer, counted), "_unset")
    assert round_trip(serializer, opened).model_extra == {"name": "collides", "": {}}
    assert round_trip(serializer, built).model_fields_set == {"name", "odd"}


def test_attributes_that_cannot_travel_are_set_up_again(serializer: Serializer) -> None:
    model = Locked(number=1)
    model._count = 5
    back = round_trip(serializer, model)
    guarded = Guarded(1)
    guarded.note = "second"
    again = round_trip(serializer, guarded)

    assert (back.number, back._count, next(back._client)) == (2, 5, 1)
    assert back._lock.acquire(blocking=False)
    assert (again.number, again.note) == (2, "second")
    assert again.lock.acquire(blocking=False)


def test_dataclasses_keep_attributes_beside_their_fields(serializer: Serializer) -> None:
    assert round_trip(serializer, Growing(1)).note == "made 1"
    assert round_trip(serializer, WithSlots(3)).cache == [3]
    assert round_trip(serializer, Failure(5)).code == 5


def test_fields_with_the_value_of_their_default_are_attributes_of_the_instance(
    serializer: Serializer,
) -> None:
    back = round_trip(serializer, Defaulted())
    assert vars(back) == {"size": 1, "label": "none"}
    assert TypeAdapter(Defaulted).dump_python(back) == {"size": 1, "label": "none"}


def test_instance_that_refers_to_itself_beside_its_fields_is_set_up_again(
    serializer: Serializer,
) -> None:
    back = round_trip(serializer, [Linked("a")])[0]
    assert back.me is back


def test_cached_properties_are_computed_again(serializer: Serializer) -> None:
    value = Forbidding(size=2)
    assert value.double == 4
    back = round_trip(serializer, value)
    assert "double" not in vars(back)
    assert back.double == 4
    with pytest.raises(ValueError, match="frozen"):
        back.size = 3


def test_secrets_arrive_as_secrets(serializer: Serializer) -> None:
    back = round_trip(serializer, Secretive(password=SecretStr("s")))
    assert back.password.get_secret_value() == "s"
    assert "'s'" not in repr(back)


def test_named_tuple_with_attributes_is_refused(serializer: Serializer) -> None:
    pair: Any = CheckedPair(1)
    pair.note = "lost"
    with pytest.raises(Unserializable, match="with attributes"):
        serializer.dumps(pair, refer=no_reference)


# Messages of other releases, and of others.


def test_forms_of_the_release_before_are_read(serializer: Serializer) -> None:
    def read(kind: str, name: str, *parts: Any) -> Any:
        return serializer.loads(forge(serializer, kind, f"{HOME}:{name}", *parts))

    assert read("pydantic", "Marked", {"name": "<x>"}, ["name"]) == Marked(name="x")
    counted = read("pydantic", "Counted", {"number": 2}, ["number"])
    assert (counted.number, counted._seen) == (2, 1)
    assert read("pydantic", "Locked", {"number": 2}, ["number"])._lock is not None
    assert read("dataclass", "Growing", {"number": 2, "more": [2]}).note == "made 2"
    assert read("dataclass", "Growing", {"number": 2, "more": [2]}).number == 2


def test_plain_instances_are_written_as_the_release_before_reads_them(
    serializer: Serializer,
) -> None:
    class_name = f"{HOME}:Marked"
    written = serializer.dumps(Marked(name="x"), refer=no_reference)
    assert written == forge(serializer, "pydantic", class_name, {"name": "<x>"}, ["name"])


def test_missing_fields_take_their_defaults_and_required_ones_are_a_mismatch(
    serializer: Serializer,
) -> None:
    owner = serializer.loads(forge(serializer, "pydantic", f"{HOME}:Owner", {"pets": []}, ["pets"]))
    assert owner.extra == {}
    mismatches: list[tuple[str, str, list[Any]]] = [
        ("pydantic", "Owner", [{}, []]),
        ("dataclass", "Guarded", [{}]),
        ("dataclass", "Seeded", [{"number": 1}]),
    ]
    for kind, name, parts in mismatches:
        with pytest.raises(ArgumentsMismatch):
            serializer.loads(forge(serializer, kind, f"{HOME}:{name}", *parts))


HOSTILE: list[Any] = [
    *(None, 1, [], "x", {"": 1}, {"": None}, {"": {"state": 1}}, {"": {"state": {"__class__": 1}}}),
    *(
        {"": {"state": {"__dict__": {}}}},
        {"": {"absent": 1}},
        {"": {"absent": [1]}},
        {"": {"x": 1}},
    ),
    *({"": {"extra": []}}, {"": {"parameters": 1}}, {"": {"parameters": ["os:system"]}}),
    *({"": {"rebuild": 5}}, {"": {"absent": ["a"] * 2}}, {"name": {}, "": {"parameters": [["|"]]}}),
]


@pytest.mark.parametrize("fields", HOSTILE, ids=repr)
@pytest.mark.parametrize("name", ["Marked", "Page", "Counted", "Growing", "Seeded", "Expiring"])
def test_wrong_forms_are_body_errors(serializer: Serializer, name: str, fields: Any) -> None:
    is_model = issubclass(getattr(sample_models, name), BaseModel)
    parts = [fields, ["name"]] if is_model else [fields]
    kind = "pydantic" if is_model else "dataclass"
    with pytest.raises(BodyError):
        serializer.loads(forge(serializer, kind, f"{HOME}:{name}", *parts))


def test_seed_is_not_needed_again(serializer: Serializer) -> None:
    back = round_trip(serializer, Seeded(1, seed=5))
    assert back.total == 6
