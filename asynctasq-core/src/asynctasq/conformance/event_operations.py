"""Calls about events for `aborts`: what was published before a call that failed half-way stays in its place."""

from typing import Any

from asynctasq.conformance.abort_scene import Scene
from asynctasq.contracts.capabilities import Capability
from asynctasq.contracts.capabilities.events import SupportsEvents


async def publish_events(scene: Scene) -> Any:
    """Publish batches. One whose call got no answer may come once or twice, and none comes in pieces."""
    driver: object = scene.driver
    if Capability.EVENTS not in scene.driver.capabilities or not isinstance(driver, SupportsEvents):
        return None
    after = (await driver.events(None)).cursor
    assert await driver.listening()
    for batch in (b"first", b"second"):
        await driver.publish(batch, 1)
    page = await driver.events(after)
    assert [each.data for each in page.batches] == [b"first", b"second"]
    assert not page.gap
    return None
