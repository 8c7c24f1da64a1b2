"""`asynctasq worker`: run tasks until stopped."""

import asyncio
import atexit
import logging
import os
import signal
import sys
from collections.abc import Mapping
from typing import Any

import click

from asynctasq.app import App
from asynctasq.cli.app_option import one_app
from asynctasq.cli.application import load_application
from asynctasq.cli.exit_codes import ExitCode, exit_code_help
from asynctasq.cli.logs import TaskLog, configure_logging
from asynctasq.cli.worker_options import others_among, settings_among, worker_options
from asynctasq.config import hidden_settings_wait, warn_of_hidden
from asynctasq.config.settings import EventLoop
from asynctasq.default import run_on
from asynctasq.worker.dump import dumps_on_signal
from asynctasq.worker.health import WorkerHealth
from asynctasq.worker.log_guard import keep_loggers_enabled
from asynctasq.worker.options import DEFAULT_HEALTH_HOST
from asynctasq.worker.process.control_channel import SupervisorChannel
from asynctasq.worker.process.exit_watchdog import ExitWatchdog
from asynctasq.worker.process.init_process import be_init_if_first
from asynctasq.worker.process.signals import stop_signal_numbers, stop_signals
from asynctasq.worker.process.standard_files import open_standard_files
from asynctasq.worker.process.supervisor import Supervisor, interpreter_command
from asynctasq.worker.services.health_server import HealthServer
from asynctasq.worker.timing import WorkerTiming
from asynctasq.worker.worker import Worker, life_of

logger = logging.getLogger("asynctasq")


@click.command(
    epilog=exit_code_help(
        ExitCode.UNAVAILABLE,
        done="stopped, or nothing more to do",
        failed="could not start, or was ended by a task",
    )
)
@click.option(
    "--app",
    "target",
    multiple=True,
    callback=one_app,
    metavar="MODULE[:APP]",
    help="Import this module first; serve its APP, or the app that its asynctasq.init(...) made.",
)
@click.option("--driver", metavar="NAME|URL", help="Store to fetch messages from.")
@click.option(
    "--processes",
    type=click.IntRange(min=1),
    metavar="N",
    help="Run N worker processes, and replace those that die.",
)
@click.option("--control-fd", type=int, hidden=True)  # given by the supervisor
@worker_options
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error", "critical"], case_sensitive=False),
    help="Lowest level to log; `warning` leaves out the lines for each task.  [default: info]",
)
@click.option(
    "--log-format",
    type=click.Choice(["text", "json"]),
    help="Plain lines, or one JSON object per line with fields for task, queue and attempt.  "
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
    help="Event loop of the worker and its child processes.  [default: uvloop if installed]",
)
@click.option(
    "--log-arguments",
    is_flag=True,
    help="Log the arguments of each task. They may be secret, so this is off by default.",
)
def command(
    target: str | None,
    log_level: str | None,
    log_format: str | None,
    log_arguments: bool,
    processes: int | None,
    control_fd: int | None,
    **options: Any,
) -> None:
    """Run tasks until stopped.

    Options that are not given here come from init(...) in the imported modules, the environment, .env, and
    the defaults, in this order. The worker finds tasks of other modules in the same packages by their
    names. Without --app and `imports`, it finds tasks of all modules under the current folder.

    On SIGTERM or Ctrl-C, the worker waits for running tasks within the grace period. The second signal
    interrupts them and releases their messages.

    SIGUSR1 logs the running tasks with their stacks.

    With --processes, options apply to each process, and --worker-id gets a number appended.
    """
    timing = click.get_current_context().find_object(WorkerTiming) or WorkerTiming()
    be_init_if_first()
    open_standard_files()
    keep_loggers_enabled()
    if processes is not None and control_fd is None:
        configure_logging(log_level, log_format)
        sys.exit(_supervise(processes, options, timing))
    running: list[Worker] = []  # empty until the worker is made

    def health() -> WorkerHealth | None:
        return running[0].health if running else None

    click.get_current_context().with_resource(
        dumps_on_signal(lambda: () if (known := health()) is None else known.held())
    )
    watchdog = ExitWatchdog(lambda: life_of(running[0]) if running else None, timing=timing)
    click.get_current_context().with_resource(stop_signals.watched_by(watchdog.on_signal))
    channel: SupervisorChannel | None = None
    if control_fd is not None:
        options["health_port"] = None  # the supervisor serves it
        channel = SupervisorChannel(
            control_fd,
            health,
            stop=lambda: stop_signals.receive(signal.SIGTERM),
            timing=timing.control,
        )
        channel.open()
    with hidden_settings_wait():
        app = load_application(target)
    keep_loggers_enabled()  # the loggers of its modules
    log_fields = configure_logging(log_level, log_format)
    app.close_sync()  # a module may have dispatched something while it was imported
    changes = settings_among(options) | {
        name: options[name]
        for name in ("driver", "loop", "log_tracebacks")
        if options[name] is not None
    }
    if target is not None:  # child processes import it, too
        changes["imports"] = [target.partition(":")[0], *app.settings.imports]
    app._override(changes)
    warn_of_hidden(app.settings)
    log_fields.tracebacks = app.settings.log_tracebacks
    if channel is not None:
        app.plugins.register(channel)
    if logger.isEnabledFor(logging.INFO):
        app.plugins.register(TaskLog(arguments=log_arguments))
    worker = Worker(app=app, timing=timing, **others_among(options))
    log_fields.worker_id = worker.id
    running.append(worker)
    _warn_of_memory(app)
    watchdog.watch()
    try:
        run_on(app.settings.loop, _work(worker, app, watchdog))
    finally:
        watchdog.loop_closed()


def _warn_of_memory(app: App) -> None:
    """Warn about a store that no other program can reach."""
    if app.settings.driver_name == "memory":
        logger.warning(
            "The memory driver belongs to this process, so this worker does not receive tasks that other "
            "programs dispatch. Use another driver, such as sqlite, or run a Worker in the program itself."
        )


def _supervise(processes: int, options: Mapping[str, Any], timing: WorkerTiming) -> int:
    """Run this same command in several processes, and return the exit code."""
    own = interpreter_command()

    def command_of(number: int, control_fd: int) -> list[str]:
        extra = ["--control-fd", str(control_fd)]
        if options["worker_id"] is not None:
            extra += ["--worker-id", f"{options['worker_id']}-{number}"]
        return [*own, *extra]

    supervisor = Supervisor(command_of, processes=processes, burst=options["burst"], timing=timing)
    port = options["health_port"]
    if port is None:
        return asyncio.run(supervisor.run())
    host = options["health_host"] or DEFAULT_HEALTH_HOST
    reports, pages = supervisor.reports(), supervisor.pages()
    with HealthServer(host, port, reports, pages=pages, timing=timing.health):
        return asyncio.run(supervisor.run())


async def _work(worker: Worker, app: App, watchdog: ExitWatchdog) -> None:
    code: int = ExitCode.FAILED
    try:
        await worker.start()
        code = ExitCode.DONE
    except asyncio.CancelledError:
        if worker.health is None:  # Ctrl-C during its start
            raise
        logger.error(  # noqa: TRY400  where it was awaiting tells nothing
            "The worker itself was cancelled, perhaps by a task that cancels everything on its event loop; it "
            "released its messages and stops"
        )
        sys.exit(code)
    finally:
        life_of(worker).doing = "closing the app"
        if worker.health is None:
            watchdog.nothing_ran()
        else:  # all is settled: another signal has nothing to wait for
            for each in stop_signal_numbers():
                signal.signal(each, lambda *_: os._exit(code))
                # Python restores the handlers when it exits, and a signal would change the exit code.
                atexit.register(signal.signal, each, signal.SIG_IGN)
        watchdog.worker_ended(code)
        await app.close()
    if worker.stuck:
        # A thread or coroutine that cannot be interrupted could keep the process running for ever. Its
        # message has been released already.
        logger.warning("Exiting although tasks still run in this process")
        logging.shutdown()
        sys.stdout.flush()
        os._exit(0)
