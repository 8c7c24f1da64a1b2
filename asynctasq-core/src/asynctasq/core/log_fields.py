"""What log lines tell of the task and worker that they come from; installed by the command line only."""

import json
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from asynctasq.tasks.context import running_task

_OF_EVERY_RECORD = frozenset(
    {*vars(logging.makeLogRecord({})), "message", "asctime", "taskName", "origin"}
)


class TaskFields(logging.Filter):
    """Adds `worker_id` to each record, and inside a task `task_id`, `task`, `queue` and `attempt`.

    `attempt` counts the runs that ended before: 0 in the first. Belongs on handlers, where records of
    all loggers pass.
    """

    def __init__(self, worker_id: str | None = None) -> None:
        super().__init__()
        self.worker_id = worker_id
        """None until there is a worker."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Add the fields; lets everything pass."""
        if self.worker_id is not None:
            record.worker_id = self.worker_id
        make = running_task.get()
        if make is not None:
            task = make()
            record.task_id = task.id
            record.task = task.name
            record.queue = task.queue
            record.attempt = task.attempt
        return True


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time (UTC), level, logger, message, and whatever else the record has."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {
            name: value for name, value in vars(record).items() if name not in _OF_EVERY_RECORD
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        if record.stack_info:
            line["stack"] = self.formatStack(record.stack_info)
        return json.dumps(line, default=_shown, ensure_ascii=False)


def add_task_fields(*, as_json: bool, worker_id: str | None = None) -> TaskFields:
    """Put the filter on every handler of the root logger, and the formatter if asked for."""
    fields = TaskFields(worker_id)
    for handler in logging.getLogger().handlers:
        handler.addFilter(fields)
        if as_json:
            handler.setFormatter(JsonFormatter())
    return fields


def fields_in_use() -> dict[str, Any] | None:
    """What `use_fields` needs to do in a child what `add_task_fields` has done here, if it has."""
    for handler in logging.getLogger().handlers:
        for each in handler.filters:
            if isinstance(each, TaskFields):
                as_json = isinstance(handler.formatter, JsonFormatter)
                return {"as_json": as_json, "worker_id": each.worker_id}
    return None


def use_fields(given: Mapping[str, Any] | None) -> None:
    """Add the same fields in a child."""
    if given is not None:
        add_task_fields(**given)


def _shown(value: object) -> str:
    try:
        return str(value)
    except Exception as error:  # noqa: BLE001  a line with a hole tells more than none
        return f"<{type(value).__qualname__}: {type(error).__qualname__} in its str()>"
