"""Secrets are not shown, however deeply they are nested."""

import math
from dataclasses import dataclass
from datetime import date
from pathlib import PurePosixPath
from typing import Any
from uuid import UUID

import pydantic
import pytest

from asynctasq.config.settings import SECRET_NAMES
from asynctasq.contracts.resolver import Reference
from asynctasq.message import State
from asynctasq.operations import Arguments, Redaction
from asynctasq.operations.redaction import HIDDEN


@dataclass
class Login:
    name: str
    password: str


class Card(pydantic.BaseModel):
    holder: str
    cvc: int


class Broken:
    def __repr__(self) -> str:
        raise ValueError


@pytest.fixture
def redaction() -> Redaction:
    return Redaction(SECRET_NAMES)


@pytest.mark.parametrize(
    "value, shown",
    [
        ({"User_Password": 1, "n": 2}, {"User_Password": HIDDEN, "n": 2}),
        ([{"token": 1}], [{"token": HIDDEN}]),
        ((Login("a", "b"),), [{"name": "a", "password": HIDDEN}]),
        (Card(holder="a", cvc=1), {"holder": "a", "cvc": HIDDEN}),
        (Reference("toyorm", "shop.User", 7), "<shop.User 7>"),
        (date(2026, 1, 2), "2026-01-02"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (PurePosixPath("a/b"), "a/b"),
        (State.READY, "ready"),
        ({1: {2}}, {"1": [2]}),
        (b"\x00", "b'\\x00'"),
        (math.inf, "inf"),
        (Broken(), "<Broken: ValueError>"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_values_become_what_json_can_carry(redaction: Redaction, value: Any, shown: Any) -> None:
    assert redaction.plain(value) == shown


def test_a_value_that_contains_itself_ends(redaction: Redaction) -> None:
    value: list[Any] = []
    value.append(value)
    assert "..." in repr(redaction.plain(value))


def test_arguments_are_named_by_the_code_of_the_task(redaction: Redaction) -> None:
    given = Arguments((1, "pw", 3), {"to": "x", "api_key": "k"})
    assert redaction.arguments(given, ["order", "password"]) == {
        "order": 1,
        "password": HIDDEN,
        "2": 3,
        "to": "x",
        "api_key": HIDDEN,
    }


def test_positional_arguments_that_nobody_can_name_are_hidden(redaction: Redaction) -> None:
    given = Arguments((1,), {"to": "x"})
    assert redaction.arguments(given, None) == {"0": HIDDEN, "to": "x"}
    assert Redaction().arguments(given, None) == {"0": 1, "to": "x"}


def test_a_star_hides_everything() -> None:
    everything = Redaction(["*"])
    assert everything.arguments(Arguments((1,), {"to": "x"}), ["a"]) == {"a": HIDDEN, "to": HIDDEN}
    assert everything.plain({"a": 1}) == HIDDEN
