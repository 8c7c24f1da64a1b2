"""Generic pydantic models travel as the class and its parameters."""

import typing
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal, NewType, TypeVar, Union

import pytest
from annotated_types import Gt
from pydantic import BaseModel, Field, RootModel

from asynctasq.contracts.serializer import Serializer
from asynctasq.errors import ArgumentsMismatch, BodyError
from asynctasq.serializers.unserializable import Unserializable, no_reference
from tests.serializers import sample_models
from tests.serializers.sample_models import Both, Item, ItemPage, Level, Marked, Page
from tests.serializers.test_class_lookup import forge

HOME = sample_models.__name__
ITEM = Item(name="a")


def round_trip(serializer: Serializer, value: Any) -> Any:
    return serializer.loads(serializer.dumps(value, refer=no_reference))


UNION: Any = Union
OPTIONAL, EITHER = UNION[Item, None], UNION[int, str]
PARAMETERS: list[tuple[Any, Any]] = [
    *((Item, ITEM), (int, 1), (OPTIONAL, None), (Item | None, ITEM), (None, None), (Any, {})),
    *(
        (list[int], [1]),
        (typing.Sequence[Item], [ITEM]),
        (UNION[dict[str, int], None], None),
    ),
    (typing.Tuple[int, ...], (1, 2)),  # noqa: UP006  the old name is what is tested
    *((list[int], [1]), (dict[str, list[Item]], {"a": [ITEM]}), (tuple[int, ...], (1, 2))),
    *(
        (EITHER, "a"),
        (Literal["a", 1, Level.LOW], "a"),
        (Level, Level.LOW),
        (Path, Path()),
    ),
    *((Page[Item], Page[Item](items=[ITEM])), (Page[Page[int]], Page[Page[int]](items=[]))),
    *((ItemPage, ItemPage(items=[ITEM])), (Annotated[int, Gt(0)], 1), (Marked, Marked(name="x"))),
    (dict[str, Page[Item | None]], {"k": Page[Item | None](items=[None])}),
    (list[Annotated[int, Gt(0)] | None], [None, 1]),
]


@pytest.mark.parametrize(("parameter", "item"), PARAMETERS, ids=[repr(p) for p, _ in PARAMETERS])
def test_parameters_travel(serializer: Serializer, parameter: Any, item: Any) -> None:
    page = Page[parameter](items=[item])

    back = round_trip(serializer, [page])[0]

    assert type(back) is type(page)
    assert back == page


def test_several_parameters_and_roots(serializer: Serializer) -> None:
    for value in (
        Both[int, Page[Item]](left=1, right=Page[Item](items=[])),
        RootModel[list[int]]([1]),
    ):
        back = round_trip(serializer, value)
        assert type(back) is type(value)
        assert back == value


def test_unparametrized_generic_stays_so(serializer: Serializer) -> None:
    assert type(round_trip(serializer, Page(items=[1]))) is Page


def test_release_before_reads_the_class_itself(serializer: Serializer) -> None:
    written = serializer.dumps(Page[Item](items=[]), refer=no_reference)
    assert f"{HOME}:Page".encode() in written
    assert b"Page[" not in written


class Local(Enum):
    A = 1


Number = NewType("Number", int)
V = TypeVar("V")


def local_model() -> type[BaseModel]:
    class Inside(BaseModel):
        pass

    return Inside


@pytest.mark.parametrize(
    "parameter", [local_model(), Annotated[int, Field(gt=0)], Number, V], ids=lambda _: "parameter"
)
def test_parameters_that_no_worker_could_find_are_refused(
    serializer: Serializer, parameter: Any
) -> None:
    page = Page[parameter].model_construct(items=[])
    with pytest.raises(Unserializable, match=r"class Mine\(Page\[\.\.\.\]\)"):
        serializer.dumps(page, refer=no_reference)


FORMS: list[Any] = [
    *(1, "x", [], [1], [[]], [["nonsense"]], [["|"]], [["union"]], [["literal"]], [["annotated"]]),
    *([["[]"]], [["[]", "builtins:list", 1]], [["model", f"{HOME}:Marked", None]], [["model", 5]]),
    *([f"{HOME}:Item", f"{HOME}:Item"], ["no.such:Class"], [["[]", "subprocess:Popen", None]]),
    *([["any", 1], ["..."]], [["[]", None]]),
    *([["typing"]], [["typing", "List"]], [["typing", "Any", None]], [["typing", ["List"], None]]),
    *([["typing", "get_type_hints", None]], [["typing", "Dict", None]]),
]


@pytest.mark.parametrize("forms", FORMS, ids=repr)
def test_forms_that_are_none_are_body_errors(serializer: Serializer, forms: Any) -> None:
    fields = {"items": [], "": {"parameters": forms}}
    with pytest.raises(BodyError):
        serializer.loads(forge(serializer, "pydantic", f"{HOME}:Page", fields, []))


def test_model_that_is_not_generic_is_a_mismatch(serializer: Serializer) -> None:
    fields = {"name": "a", "": {"parameters": ["builtins:int"]}}
    with pytest.raises(ArgumentsMismatch, match="does not take the parameters"):
        serializer.loads(forge(serializer, "pydantic", f"{HOME}:Item", fields, []))
