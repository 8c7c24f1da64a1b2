"""`asynctasq metrics`: metrics of a store, printed once or served to Prometheus and autoscalers."""

import asyncio
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import TYPE_CHECKING, TypeVar

import click

from asynctasq.cli.exit_codes import STORE_CODES, exit_code_help
from asynctasq.cli.operator_commands import OperatorCommand, Store
from asynctasq.cli.options import app_option, driver_option
from asynctasq.errors import ConfigurationError, DriverError

if TYPE_CHECKING:
    from asynctasq.exposition import Page
    from asynctasq.worker.services.health_answers import Query

T = TypeVar("T")
ANSWER_SECONDS = 10.0
WITHIN_SECONDS = 60.0
"""Default of the parameter `within`."""


@click.command(cls=OperatorCommand, epilog=exit_code_help(*STORE_CODES))
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    metavar="PORT",
    help="Serve at this port until Ctrl-C, instead of printing once; 0 means any free port.",
)
@click.option(
    "--host",
    default="127.0.0.1",
    metavar="ADDRESS",
    help="Listen at this address.  [default: 127.0.0.1]",
)
@app_option
@driver_option
def command(port: int | None, host: str, target: str | None, driver: str | None) -> None:
    """Serve metrics of a store: messages by queue and state, their age, and workers.

    Without --port, they are printed once. With it, /metrics serves them in the format of Prometheus, and
    /scale?queue=NAME tells autoscalers as JSON how many slots a queue needs. One such process is enough for a
    store. Metrics of tasks are served by the workers; see `asynctasq worker --health-port`.

    This command needs `pip install 'asynctasq[prometheus]'`.
    """
    from asynctasq.cli.store_metrics import store_families
    from asynctasq.exposition import MISSING, is_installed, metrics_page

    if not is_installed():
        raise ConfigurationError(MISSING)
    with Store(target, driver) as store:
        if port is None:
            page = metrics_page(store.run(store_families(store.app)))
            click.echo(page.body.decode(), nl=False)
        else:
            store.run(_serve(store, host, port))


async def _serve(store: Store, host: str, port: int) -> None:
    from asynctasq.cli.store_metrics import store_families
    from asynctasq.exposition import metrics_page
    from asynctasq.worker.services.health_server import HealthServer

    loop = asyncio.get_running_loop()
    await store_families(store.app)  # fails now if the driver cannot list queues

    def on_loop(call: Callable[[], Awaitable[T]]) -> T:
        async def bounded() -> T:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await call()

        return asyncio.run_coroutine_threadsafe(bounded(), loop).result(2 * ANSWER_SECONDS)

    def metrics(query: "Query") -> "Page":
        return metrics_page(on_loop(lambda: store_families(store.app)), query.accept)

    def scale(query: "Query") -> "Page":
        return on_loop(lambda: _scale(store, query))

    pages = {"/metrics": metrics, "/scale": scale}
    with HealthServer(host, port, {}, pages=pages, what="metrics") as server:
        shown = f"[{host}]" if ":" in host else host
        click.echo(f"Serving metrics of {store.name} at http://{shown}:{server.port}/metrics")
        await asyncio.Event().wait()


async def _scale(store: Store, query: "Query") -> "Page":
    from asynctasq.cli.store_metrics import scale
    from asynctasq.worker.services.health_answers import json_page

    queue, within = query.parameters.get("queue"), _within(query)
    if queue is None or within is None:
        usage = "Use /scale?queue=NAME, or /scale?queue=NAME&within=SECONDS."
        return json_page(HTTPStatus.BAD_REQUEST, {"problems": [usage]})
    try:
        return json_page(HTTPStatus.OK, await scale(store.app, queue, within=within))
    except ValueError as error:
        return json_page(HTTPStatus.BAD_REQUEST, {"problems": [str(error)]})
    except DriverError as error:
        return json_page(HTTPStatus.SERVICE_UNAVAILABLE, {"problems": [str(error)]})


def _within(query: "Query") -> float | None:
    """Return the seconds that a request names; None if they are not valid."""
    try:
        seconds = float(query.parameters.get("within", WITHIN_SECONDS))
    except ValueError:
        return None
    return seconds if 0.0 < seconds < float("inf") else None
