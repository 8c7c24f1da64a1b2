"""`asynctasq worker`: run tasks until told to stop."""

import asyncio
import atexit
import logging
import os
import re
import signal
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import click

from asynctasq.app import App
from asynctasq.cli.app_option import one_app
from asynctasq.cli.application import load_application
from asynctasq.cli.exit_codes import ExitCode, exit_code_help
from asynctasq.cli.logs import TaskLog, configure_logging
from asynctasq.config import hidden_settings_wait, warn_of_hidden
from asynctasq.config.settings import EventLoop
from asynctasq.default import run_on
from asynctasq.errors import ConfigurationError
from asynctasq.worker.dump import dumps_on_signal
from asynctasq.worker.health import WorkerHealth
from asynctasq.worker.log_guard import keep_loggers_enabled
from asynctasq.worker.process.control_channel import SupervisorChannel
from asynctasq.worker.process.exit_watchdog import ExitWatchdog
from asynctasq.worker.process.init_process import be_init_if_first
from asynctasq.worker.process.signals import stop_signals, stop_signals_heard
from asynctasq.worker.process.standard_files import open_standard_files
from asynctasq.worker.process.supervisor import Supervisor, interpreter_command
from asynctasq.worker.services.health_server import DEFAULT_HEALTH_HOST, HealthServer
from asynctasq.worker.slots import parse_queues
from asynctasq.worker.worker import Worker, life_of

logger = logging.getLogger("asynctasq")

SECONDS = click.FloatRange(min=0, min_open=True)


def _memory(_context: click.Context, _option: click.Parameter, given: str | None) -> int | None:
    """Bytes, of a text."""
    if given is None:
        return None
    parts = re.fullmatch(r"(\d+(?:\.\d+)?)([KMG]?)(?:i?B)?", given, re.IGNORECASE)
    size = int(float(parts[1]) * 1024 ** " KMG".index(parts[2].upper() or " ")) if parts else 0
    if size <= 0:
        raise click.BadParameter(f"{given!r} is no size: write bytes, or 512M, or 2G.")
    return size


def _queues(_context: click.Context, _option: click.Parameter, given: Sequence[str]) -> list[str]:
    queues = [name.strip() for text in given for name in text.split(",")]
    try:
        parse_queues(queues)
    except ConfigurationError as error:
        raise click.BadParameter(str(error).removeprefix("queues: ")) from error
    return queues


@click.command(
    epilog=exit_code_help(
        ExitCode.UNAVAILABLE,
        done="told to stop, or nothing more to do",
        failed="could not start, or was ended by a task",
    )
)
@click.option(
    "--app",
    "target",
    multiple=True,
    callback=one_app,
    metavar="MODULE[:APP]",
    help="Import this module first; serve its APP, or what its asynctasq.init(...) made.",
)
@click.option(
    "--queues",
    "-q",
    multiple=True,
    callback=_queues,
    metavar="NAME[:LIMIT],...",
    help="Queues in strict order, each with a limit of tasks at once if it has one; may be repeated.  "
    "[default: those of the tasks]",
)
@click.option(
    "--concurrency", "-c", type=click.IntRange(min=1), help="Tasks at once.  [default: 100]"
)
@click.option("--driver", metavar="NAME|URL", help="The store to take messages from.")
@click.option("--burst", is_flag=True, help="End when there is nothing more to do.")
@click.option(
    "--processes",
    type=click.IntRange(min=1),
    metavar="N",
    help="Run N worker processes, and replace those that die.",
)
@click.option("--leash", type=int, hidden=True)  # given by the supervisor
@click.option("--max-tasks", type=click.IntRange(min=1), help="End after that many runs.")
@click.option(
    "--max-memory",
    callback=_memory,
    metavar="BYTES",
    help="End when the process takes more memory than that, such as 512M or 2G.",
)
@click.option(
    "--process-pool-size",
    type=click.IntRange(min=1),
    metavar="N",
    help="Child processes for process tasks.  [default: one per processor]",
)
@click.option("--worker-id", help="Unique among the workers of a store.  [default: made up]")
@click.option(
    "--grace-period",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    help="What running tasks get to finish at the end.  [default: 30]",
)
@click.option(
    "--lease",
    type=SECONDS,
    metavar="SECONDS",
    help="After which the tasks of a worker that died go to another.  [default: 30]",
)
@click.option(
    "--heartbeat-interval",
    type=SECONDS,
    metavar="SECONDS",
    help="Between two renewals of the leases.  [default: a third of the lease]",
)
@click.option("--serializer", metavar="NAME", help="Of results; arguments name theirs.")
@click.option(
    "--health-port",
    type=click.IntRange(0, 65535),
    metavar="PORT",
    help="Serve /livez, /readyz and /status over HTTP.",
)
@click.option(
    "--health-host",
    metavar="HOST",
    help="Where to serve them.  [default: 127.0.0.1, this machine only]",
)
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error", "critical"], case_sensitive=False),
    help="Lines of this level and above; `warning` leaves out the line for each task.  "
    "[default: info]",
)
@click.option(
    "--log-format",
    type=click.Choice(["text", "json"]),
    help="Lines for people, or a JSON object each, which tells task, queue and attempt.  "
    "[default: text]",
)
@click.option(
    "--log-tracebacks/--no-log-tracebacks",
    default=None,
    help="Log the tracebacks of failed tasks.  [default: log-tracebacks]",
)
@click.option(
    "--loop",
    type=click.Choice([each.value for each in EventLoop]),
    help="Event loop of the worker and its child processes.  [default: uvloop where it is installed]",
)
@click.option(
    "--log-arguments",
    is_flag=True,
    help="Log the arguments of each task: never done otherwise, as they may be secret.",
)
def command(
    target: str | None,
    log_level: str | None,
    log_format: str | None,
    log_arguments: bool,
    processes: int | None,
    leash: int | None,
    **options: Any,
) -> None:
    """Run tasks until told to stop.

    What is not given here comes from init(...) in the imported modules, the environment, .env, and
    the defaults, in this order. Tasks of other modules in the same packages are found by their
    names. Without --app and `imports`, those of all modules under the current folder are.

    SIGTERM or Ctrl-C lets running tasks finish within the grace period, the second one interrupts
    and gives them back.

    SIGUSR1 logs the tasks that run, each with its stack.

    With --processes, options count for each process; --worker-id gets a number appended.
    """
    be_init_if_first()
    open_standard_files()
    keep_loggers_enabled()
    if processes is not None and leash is None:
        configure_logging(log_level, log_format)
        sys.exit(_supervise(processes, options))
    running: list[Worker] = []  # none until it is made

    def vitals() -> WorkerHealth | None:
        return running[0].vitals if running else None

    click.get_current_context().with_resource(
        dumps_on_signal(lambda: () if (known := vitals()) is None else known.held())
    )
    end = ExitWatchdog(lambda: life_of(running[0]) if running else None)
    click.get_current_context().with_resource(stop_signals.watched_by(end.on_signal))
    held: SupervisorChannel | None = None
    if leash is not None:
        options["health_port"] = None  # the supervisor's
        held = SupervisorChannel(leash, vitals, stop=lambda: stop_signals.receive(signal.SIGTERM))
        held.hold()
    with hidden_settings_wait():
        app = load_application(target)
    keep_loggers_enabled()  # those that came with it
    log_fields = configure_logging(log_level, log_format)
    app.close_sync()  # a module may have dispatched something while it was imported
    changes = _given(
        options,
        "driver",
        "grace_period",
        "lease",
        "heartbeat_interval",
        "process_pool_size",
        "loop",
        "log_tracebacks",
    )
    if target is not None:  # child processes import it, too
        changes["imports"] = [target.partition(":")[0], *app.settings.imports]
    app.override(changes)
    warn_of_hidden(app.settings)
    log_fields.tracebacks = app.settings.log_tracebacks
    if held is not None:
        app.plugins.register(held)
    if logger.isEnabledFor(logging.INFO):
        app.plugins.register(TaskLog(arguments=log_arguments))
    worker = Worker(
        app=app,
        burst=options["burst"],
        **_given(
            options,
            "queues",
            "concurrency",
            "max_tasks",
            "max_memory",
            "worker_id",
            "serializer",
            "health_port",
            "health_host",
        ),
    )
    log_fields.worker_id = worker.id
    running.append(worker)
    _warn_of_memory(app)
    end.watch()
    try:
        run_on(app.settings.loop, _work(worker, app, end))
    finally:
        end.loop_closed()


def _warn_of_memory(app: App) -> None:
    """Point out a store that no other program can reach."""
    if app.settings.driver_name == "memory":
        logger.warning(
            "The memory driver lives in this process: what other programs dispatch does not come "
            "here. Use another driver, such as sqlite, or run a Worker in the program itself."
        )


def _supervise(processes: int, options: Mapping[str, Any]) -> int:
    """Run this same command that many times; the exit code."""
    own = interpreter_command()

    def command_of(number: int, leash: int) -> list[str]:
        extra = ["--leash", str(leash)]
        if options["worker_id"] is not None:
            extra += ["--worker-id", f"{options['worker_id']}-{number}"]
        return [*own, *extra]

    supervisor = Supervisor(command_of, processes=processes, burst=options["burst"])
    port = options["health_port"]
    if port is None:
        return asyncio.run(supervisor.run())
    host = options["health_host"] or DEFAULT_HEALTH_HOST
    with HealthServer(host, port, supervisor.reports()) as server:
        logger.info("Health is served at http://%s:%d.", host, server.port)
        return asyncio.run(supervisor.run())


def _given(options: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: options[name] for name in names if options[name] not in (None, [])}


async def _work(worker: Worker, app: App, end: ExitWatchdog) -> None:
    code: int = ExitCode.FAILED
    try:
        await worker.start()
        code = ExitCode.DONE
    except asyncio.CancelledError:
        if worker.vitals is None:  # Ctrl-C while it started
            raise
        logger.error(  # noqa: TRY400  where it was awaiting tells nothing
            "The worker's own work was cancelled, by a task that cancels all of its event loop perhaps. What "
            "it held was given back, and it ends."
        )
        sys.exit(code)
    finally:
        life_of(worker).doing = "closing the app"
        if worker.vitals is None:
            end.nothing_ran()
        else:  # all is settled: a further signal has nothing to wait for
            for each in stop_signals_heard():
                signal.signal(each, lambda *_: os._exit(code))
                # Python gives handlers back when it ends, and a signal would change the exit code.
                atexit.register(signal.signal, each, signal.SIG_IGN)
        end.worker_ended(code)
        await app.close()
    if worker.stuck:
        # A thread that cannot be interrupted, or a coroutine that refuses to be, would keep the
        # process for as long as it likes; its message has been given back already.
        logger.warning("The process ends although tasks still run in it.")
        logging.shutdown()
        sys.stdout.flush()
        os._exit(0)
