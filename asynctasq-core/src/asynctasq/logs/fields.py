"""The format of log lines, and fields for the task and the worker that they come from."""

import json
import logging
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from asynctasq.logs.text import (
    INDENT,
    Plain,
    escaped,
    message_of,
    one_line,
    plain_text,
    shown,
    trace_of,
    unused,
)
from asynctasq.tasks.context import running_task

_OF_EVERY_RECORD = frozenset(
    {*vars(logging.makeLogRecord({})), "message", "asctime", "taskName", "origin", "traceback"}
)
_LINE_FORMAT = "%(asctime)s %(level)s %(origin)s%(message)s"


class TaskFields(logging.Filter):
    """Adds `worker_id` to each record, and inside a task `task_id`, `task`, `queue` and `attempt`.

    `attempt` counts the runs that ended before: 0 in the first. Add it to handlers, which receive the
    records of all loggers.
    """

    def __init__(self, worker_id: str | None = None, *, tracebacks: bool = True) -> None:
        super().__init__()
        self.worker_id = worker_id
        """None until there is a worker."""
        self.tracebacks = tracebacks
        """True if formatters show the tracebacks of failed tasks."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Add the fields; let every record pass."""
        if self.worker_id is not None:
            record.worker_id = self.worker_id
        make = running_task.get()
        if make is not None:
            task = make()
            record.task_id = task.id
            record.task = task.name
            record.queue = task.queue
            record.attempt = task.attempt
        self._show_traceback(record)
        return True

    def _show_traceback(self, record: logging.LogRecord) -> None:
        """Make every formatter show the traceback of a failed task, or none of them.

        Records of failed tasks carry it as text. Records of errors inside asynctasq have only `exc_info`.
        """
        trace = record.exc_text or vars(record).pop("traceback", None)
        if isinstance(trace, str) and record.name.partition(".")[0] == "asynctasq":
            record.exc_text = trace.rstrip("\n") if self.tracebacks else None
            if not self.tracebacks:
                record.exc_info = None


class LineFormatter(logging.Formatter):
    """Formats a record as time (UTC), level and message, with the logger unless it belongs to asynctasq.

    The time does not depend on the time zone, which code of the application may change: `django.setup()` does.
    Control characters are escaped, and further lines are indented, so that no text that a task or its
    caller chose looks like a line of the log.
    """

    def __init__(self) -> None:
        super().__init__(_LINE_FORMAT, datefmt="%H:%M:%SZ")
        self.converter = time.gmtime

    def format(self, record: logging.LogRecord) -> str:
        """Return the text of a record, without the last line break."""
        record.message = message_of(record)
        record.asctime = self.formatTime(record, self.datefmt)
        record.level = self.level(record)
        ours = record.name.partition(".")[0] == "asynctasq"
        record.origin = "" if ours else f"{one_line(shown(record.name))}: "
        record.message = escaped(record.message)
        parts = [self.formatMessage(record), escaped(trace_of(record))]
        if record.stack_info:
            parts.append(escaped(shown(record.stack_info)))
        return "\n".join(filter(None, parts)).replace("\n", f"\n{INDENT}")

    def level(self, record: logging.LogRecord) -> str:
        """Return the level as it is printed."""
        return f"{record.levelname:<8}"


class JsonFormatter(logging.Formatter):
    """Formats a record as one line of JSON: time (UTC), level, logger, message, and all fields of `extra`.

    Every record gives a line. Values that JSON cannot represent become text. A field of `extra` with the
    name of a standard field gets the prefix `extra_`.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, without its end."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": plain_text(shown(record.levelname)).lower(),
            "logger": plain_text(shown(record.name)),
            "message": plain_text(message_of(record)),
        }
        if trace := trace_of(record):
            line["exception"] = plain_text(trace)
        if record.stack_info:
            line["stack"] = plain_text(shown(record.stack_info))
        plain = Plain()
        for key, value in list(vars(record).items()):
            if key not in _OF_EVERY_RECORD:
                name = plain_text(shown(key))
                line[unused(f"extra_{name}" if name in line else name, line)] = plain.of(value)
        return json.dumps(line, allow_nan=False)


def add_task_fields(
    *, as_json: bool, worker_id: str | None = None, tracebacks: bool = True
) -> TaskFields:
    """Add the filter to every handler of the root logger, and the JSON formatter if requested."""
    fields = TaskFields(worker_id, tracebacks=tracebacks)
    for handler in logging.getLogger().handlers:
        handler.addFilter(fields)
        if as_json:
            handler.setFormatter(JsonFormatter())
    return fields


def fields_in_use() -> dict[str, Any] | None:
    """Return the arguments with which `use_fields` adds the same fields in a child; None without fields."""
    for handler in logging.getLogger().handlers:
        for each in handler.filters:
            if isinstance(each, TaskFields):
                return {
                    "as_json": isinstance(handler.formatter, JsonFormatter),
                    "worker_id": each.worker_id,
                    "tracebacks": each.tracebacks,
                }
    return None


def use_fields(given: Mapping[str, Any] | None) -> None:
    """Add the fields of the worker in a child process."""
    if given is not None:
        add_task_fields(**given)
