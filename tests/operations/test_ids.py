"""IDs as operators write them."""

from dataclasses import replace
from typing import Any

import pytest

from asynctasq import App
from asynctasq.contracts.capabilities import SupportsInspect
from asynctasq.message import id_from_text, id_to_text, ids_to_texts, new_id, time_of_id
from asynctasq.operations.ids import full_id, is_part, matches, short_ids
from tests.operations.staging import bury, enqueue, message

FIRST = "01a22cc7-9810-7e73-8a69-34b191a7eece"
SECOND = "01a22cc7-9813-743d-990c-4833a4895a89"
TWIN = "01b22cc7-9813-743d-990c-4833a4895a89"


def test_tables_show_the_last_eight_digits() -> None:
    assert short_ids([FIRST, SECOND]) == ["91a7eece", "a4895a89"]
    assert short_ids([]) == []


def test_more_digits_are_shown_where_eight_are_not_unique() -> None:
    assert short_ids([f"{'0' * 26}12345678aa", f"{'0' * 26}ab345678aa"]) == [
        "12345678aa",
        "ab345678aa",
    ]
    assert short_ids([SECOND, TWIN]) == [SECOND, TWIN]


def test_ids_of_one_process_have_different_ends() -> None:
    made = [id_to_text(new_id()) for _ in range(2000)]
    assert len(set(short_ids(made))) == len(made)


def test_ids_have_the_same_texts_one_by_one_and_together() -> None:
    made = [*(new_id() for _ in range(1000)), *map(id_from_text, (FIRST, SECOND, TWIN, FIRST))]
    assert list(ids_to_texts(made)) == list(map(id_to_text, made))
    assert list(ids_to_texts([])) == []


@pytest.mark.parametrize("text", [FIRST, FIRST.upper(), FIRST.replace("-", "")])
def test_a_full_id_has_one_canonical_form(text: str) -> None:
    assert full_id(text) == FIRST


@pytest.mark.parametrize(
    "text, part",
    [
        ("91a7eece", True),
        ("91A7-EECE", True),
        ("01a2", True),
        ("01a", False),
        ("----", False),
        ("seven", False),
        ("", False),
        (f"{FIRST}0", False),
    ],
)
def test_a_part_has_at_least_four_digits(text: str, part: bool) -> None:
    assert full_id(text) is None
    assert is_part(text) is part


async def found(app: App, *parts: str, **options: Any) -> dict[str, list[str]]:
    driver = await app.driver()
    assert isinstance(driver, SupportsInspect)
    return await matches(driver, parts, **options)


async def test_parts_match_the_beginning_or_the_end(app: App) -> None:
    ids = [FIRST, SECOND, TWIN]
    await enqueue(app, *[replace(message(app), id=id_from_text(each)) for each in ids])
    assert await found(app, "91A7EECE", "01a22cc7", "8a69-34b1", "4833a4895a89") == {
        "91A7EECE": [FIRST],
        "01a22cc7": [FIRST, SECOND],
        "8a69-34b1": [],
        "4833a4895a89": [SECOND, TWIN],
    }
    assert len((await found(app, "01a22cc7", most=1))["01a22cc7"]) == 1


async def test_dead_letters_are_found_alone(app: App) -> None:
    await bury(app, replace(message(app), id=id_from_text(FIRST)))
    await enqueue(app, replace(message(app), id=id_from_text(SECOND)))
    assert await found(app, "01a22cc7", dead=True) == {"01a22cc7": [FIRST]}


def test_the_time_of_an_id_is_known_if_it_has_one() -> None:
    assert time_of_id(bytes.fromhex(FIRST.replace("-", ""))) == 0x01A22CC79810 / 1000
    assert time_of_id(b"\x11" * 16) is None
