"""An error at each statement of each call: nothing is lost or stranded, whether the call is repeated or not.

For drivers whose calls are several statements or commands, such as transactions or scripts. Your test says how a
statement fails:

    @pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.__name__)
    async def test_aborts(operation, tmp_path):
        await check_aborts(operation, lambda name: MyDriver(URL, namespace=name), MySaboteur())

The driver needs all flags of `FULL_STORE`.
"""

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeAlias
from zlib import crc32

from asynctasq.conformance.abort_operations import (
    ADDING,
    LATE,
    OPERATIONS,
    Operation,
    extend,
    reserve_damaged,
    reserve_what_must_not_run_twice,
)
from asynctasq.conformance.abort_scene import Scene
from asynctasq.conformance.full_store import FullStore
from asynctasq.conformance.harness import MOMENT
from asynctasq.contracts.driver import Driver
from asynctasq.errors import DriverError
from asynctasq.message import Message, State

__all__ = ["OPERATIONS", "FullStore", "Operation", "Saboteur", "Scene", "check_aborts"]


class Saboteur(Protocol):
    """Makes one statement of a driver fail."""

    def arm(self, statement: int) -> None:
        """Let the statement with this number fail, counted from 1 and from now."""
        ...

    def disarm(self) -> bool:
        """Let every statement pass; return whether the one that was to fail has been reached."""
        ...


Damage: TypeAlias = Callable[[Driver, bytes], Awaitable[None]]


async def stage(driver: FullStore, operation: Operation, damage: Damage | None) -> Scene:
    """Prepare an empty store."""
    await driver.open()
    scene = Scene(driver)
    await scene.prepare()
    flag = ADDING.get(operation)
    if operation.__name__.startswith("enqueue") or (flag and flag in driver.capabilities):
        scene.ids |= {scene.first.id, scene.second.id}
    if operation is reserve_what_must_not_run_twice:
        scene.ids.add(scene.first.id)
        await driver.enqueue([Message(scene.first.id, "emails", "t", b"", max_lost=0)])
    if operation is reserve_damaged and damage is not None:
        for snapshot in await driver.find(sorted(scene.ids)):
            if snapshot is not None and snapshot.state is State.READY:
                await damage(driver, snapshot.message.id)
    driver.clock_offset += LATE.get(operation, 0.0)
    if operation is extend:  # in a pause, it would release nothing
        await driver.reserve({"none": 1}, limit=1, owner="w", lease=MOMENT)
    return scene


async def check_aborts(
    operation: Operation,
    make_driver: Callable[[str], FullStore],
    saboteur: Saboteur,
    *,
    damage: Damage | None = None,
    every: int = 1,
) -> None:
    """Let statements of one operation fail, each in its own namespace.

    Args:
        operation: one of `OPERATIONS`.
        make_driver: returns an unopened driver for a namespace.
        saboteur: lets statements fail.
        damage: makes the record of a message unreadable, for `reserve_damaged`.
        every: the step between statements that fail. Each operation begins with another statement.

    Raises:
        AssertionError: a message is lost or stranded, or a count is wrong.
    """
    statement = 1 + crc32(operation.__name__.encode()) % every - every
    while True:
        statement += every
        scene = await stage(make_driver(f"{operation.__name__}-{statement}"), operation, damage)
        saboteur.arm(statement)
        try:
            await operation(scene)
        except DriverError:
            failed = True
        else:
            failed = False
        reached = saboteur.disarm()
        try:
            if failed:
                await scene.driver.open()
                if not operation.__name__.startswith("enqueue") and operation not in ADDING:
                    await scene.expect_all_accounted_for()
                await operation(scene)
            await scene.expect_all_accounted_for()
            await scene.expect_nothing_stranded()
        except Exception as error:
            error.add_note(f"{operation.__name__}, statement {statement}")
            raise
        finally:
            await scene.driver.close()
        if not reached:
            return
