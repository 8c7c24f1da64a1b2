"""Stores with tasks in every state, made by the driver itself: no worker has to run."""

from collections.abc import Sequence
from typing import Any

from asynctasq import App
from asynctasq.app import runtime_of
from asynctasq.message import Delivery, Message, id_to_text, new_id
from asynctasq.settlement import Complete, ErrorInfo, Fail, Reason

REFUSED = ErrorInfo(
    "shop.errors.Refused", "no money", "Traceback ...\nshop.errors.Refused: no money\n"
)


def message(app: App, *args: object, **options: Any) -> Message:
    """Return a message; `named` are arguments by name."""
    named = options.pop("named", {})
    task = options.pop("task", "shop:pay")
    body = runtime_of(app).codec.encode_call(
        args, named, runtime_of(app).defaults.policy, task=task
    )
    fields: dict[str, Any] = {"queue": "default", "max_attempts": 2} | options
    return Message(new_id(), task=task, body=body, **fields)


async def enqueue(app: App, *messages: Message) -> list[str]:
    """Dispatch them; their ids."""
    driver = await app.driver()
    await driver.enqueue(messages)
    return [id_to_text(each.id) for each in messages]


async def reserve(app: App, queue: str = "default", limit: int = 1000) -> Sequence[Delivery]:
    """Lease what is ready."""
    driver = await app.driver()
    return await driver.reserve({queue: limit}, limit=limit, owner="w1", lease=60.0)


async def bury(
    app: App,
    *messages: Message,
    reason: Reason = Reason.FAILED,
    error: ErrorInfo | None = REFUSED,
) -> list[str]:
    """Make dead letters of them, in this order; their ids."""
    driver = await app.driver()
    for each in messages:
        await driver.enqueue([each])
        [delivery] = await reserve(app, each.queue)
        await driver.settle([Fail(delivery.lease, reason, error)])
    return [id_to_text(each.id) for each in messages]


async def complete(app: App, made: Message, result: object) -> str:
    """Let a task return this; its id."""
    driver = await app.driver()
    await driver.enqueue([made])
    [delivery] = await reserve(app, made.queue)
    await driver.settle([Complete(delivery.lease, runtime_of(app).codec.encode_result(result))])
    return id_to_text(made.id)
