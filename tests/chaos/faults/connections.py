"""Networks that fail between a server and its clients."""

import asyncio
from typing import Protocol, cast

from asynctasq.conformance import TcpProxy
from tests.chaos.faults.fault import Fault, Scene
from tests.chaos.inside.tasks import LEASE


class Proxied(Protocol):
    """A store that all processes of a storm reach through a proxy."""

    proxy: TcpProxy


def _proxy(scene: Scene) -> TcpProxy:
    return cast("Proxied", scene.store).proxy


async def _cut(scene: Scene) -> None:
    proxy = _proxy(scene)
    await asyncio.to_thread(scene.chance.choice([proxy.cut, proxy.reset]))


async def _freeze(scene: Scene) -> None:
    """Leave connections half open, as when a cable is pulled."""
    proxy = _proxy(scene)
    proxy.freeze()
    try:
        await asyncio.sleep(scene.chance.uniform(0.5, 1.5 * LEASE))
        if scene.chance.random() < 0.5:
            proxy.reset()
    finally:
        proxy.thaw()


async def _refuse(scene: Scene) -> None:
    proxy = _proxy(scene)
    proxy.refuse()
    try:
        await asyncio.sleep(scene.chance.uniform(0.2, 1.0))
    finally:
        proxy.accept()


CONNECTIONS = (
    Fault("connections cut", _cut),
    Fault("connections frozen", _freeze),
    Fault("connections refused", _refuse),
)
