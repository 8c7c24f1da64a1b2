"""Calls as generators of statements.

A generator yields scripts and is sent the answers of their statements. So the same code serves the driver, which
sends each script in one round trip, and a plan, whose statements run on a connection of the application.
"""

from collections.abc import Generator, Sequence
from typing import TypeAlias, TypeVar

from asynctasq.contracts.capabilities.transactions import Plan, Statement
from asynctasq.records import record
from asynctasq_mysql.clients import Answer, Wire

T = TypeVar("T")


@record
class Script:
    """Statements that are executed one after the other."""

    texts: Sequence[str]
    is_last: bool = False
    """True if the transaction is committed after them."""


Steps: TypeAlias = Generator[Script, list[Answer], T]


async def run_steps(wire: Wire, steps: Steps[T]) -> T:
    """Run a call in a transaction."""
    is_open = False
    try:
        script = next(steps)
        while True:
            before = [] if is_open else ["START TRANSACTION"]
            after = ["COMMIT"] if script.is_last else []
            answers = await wire.run(*before, *script.texts, *after)
            is_open = not script.is_last
            script = steps.send(answers[len(before) : len(before) + len(script.texts)])
    except StopIteration as stop:
        if is_open:
            await wire.run("COMMIT")
        value: T = stop.value
        return value


def plan_of(steps: Steps[T]) -> Plan[T]:
    """Return a call as a plan for the transaction of an application."""
    try:
        script = next(steps)
        while True:
            answers = []
            for text in script.texts:
                rows = yield Statement((text,))
                answers.append(Answer([tuple(row) for row in rows or ()], -1))
            script = steps.send(answers)
    except StopIteration as stop:
        value: T = stop.value
        return value
