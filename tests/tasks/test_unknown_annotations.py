"""Tasks with annotations that only type checkers can resolve."""

import sys
import types

import pytest

import asynctasq
from asynctasq import App

SOURCE = """
from typing import TYPE_CHECKING, ClassVar

import asynctasq

if TYPE_CHECKING:
    from decimal import Decimal
    from typing import Never


@asynctasq.task
async def double(amount: Decimal, times: Decimal | None = None) -> Decimal:
    return amount * (times or 2)


class Halve(asynctasq.AsyncTask[int]):
    amount: Decimal
    parent: Halve | None = None
    shared: ClassVar[Never] = 7

    async def execute(self) -> int:
        return self.amount // 2
"""


@pytest.fixture
def shop() -> types.ModuleType:
    """Return a module whose annotations are not evaluated on import, as of Python 3.14."""
    deferred = "" if sys.version_info >= (3, 14) else "from __future__ import annotations\n"
    module = types.ModuleType("shop_of_unknown_annotations")
    exec(deferred + SOURCE, module.__dict__)
    return module


async def test_tasks_run_without_the_names_that_only_type_checkers_import(
    app: App, shop: types.ModuleType
) -> None:
    doubled = await shop.double(21).dispatch()
    halved = await shop.Halve(amount=84).dispatch()
    await asynctasq.Worker(burst=True).start()
    assert (await doubled.result(timeout=20), await halved.result(timeout=20)) == (42, 42)


async def test_wrong_arguments_are_still_reported(app: App, shop: types.ModuleType) -> None:
    with pytest.raises(TypeError, match="amount"):
        await shop.double().dispatch()
    with pytest.raises(TypeError, match="shared"):
        shop.Halve(amount=1, shared=2)
