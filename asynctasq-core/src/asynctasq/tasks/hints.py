"""Hints for users who come from other task queues: the name here for a name that they know."""

from collections.abc import Mapping

_ATTEMPTS = "Use `max_attempts`, which counts all runs: 3 retries are `max_attempts=4`."
_TIMEOUT = "Use `timeout` (seconds)."
_DELAY = "Use `delay` (seconds or a timedelta)."
_ETA = "Use `eta` (an aware datetime)."
_EXPIRES = "Use `expires` (seconds or a timedelta)."
_TTL = "Use `result_ttl` (seconds or a timedelta)."
_ID = "Use `id` (a UUID)."
_QUEUE = "Use `queue`."
_UNIQUE = "Use `unique` (a key that only one message may hold at a time)."
_RETRY_DELAY = "Use `retry_delay` (seconds or a timedelta)."
_BACKOFF = "Use `retry_strategy='exponential'` with `retry_delay`, `retry_factor` and `retry_cap`."
_CAP = "Use `retry_cap` with `retry_strategy='exponential'`."
_RETRY_ON = "Use `retry_on` in @task, or `should_retry` in a task class."
_NO_RESULT = "Use `result_ttl=0`: no result is stored."
_LOST = (
    "A message is always acknowledged after its run. Use `max_lost=0` for work that must not run "
    "twice."
)
_CURRENT = "Call `asynctasq.current_task()` inside the task instead."
_FAILURE = "Use `on_failure` in @task, or `failed` in a task class."
_NAME = "Use `name` in @task, or `class Mine(AsyncTask, name=...)`."
_DRIVER = "Use `driver` in @task, or `_driver_override` in a task class."
_SCHEDULE = (
    "Use `cron` or `every` in @task, or `await call.schedule(name, cron=...)` for a schedule that is made at "
    "run time."
)
_CONCURRENCY = "Set the concurrency of a worker instead: `asynctasq worker --concurrency`."
_SERIALIZER = "Use the setting `serializer`."

_OPTIONS: Mapping[str, str] = {
    **dict.fromkeys(
        ("retries", "max_retries", "max_tries", "tries", "retry_count", "retry", "attempts"),
        _ATTEMPTS,
    ),
    **dict.fromkeys(
        ("time_limit", "soft_time_limit", "job_timeout", "execution_timeout", "task_timeout"),
        _TIMEOUT,
    ),
    **dict.fromkeys(
        ("countdown", "defer_by", "_defer_by", "schedule_in", "in_seconds", "delay_seconds"), _DELAY
    ),
    **dict.fromkeys(("defer_until", "_defer_until", "schedule_at", "run_at", "scheduled"), _ETA),
    **dict.fromkeys(("_expires", "max_age", "job_ttl", "expire"), _EXPIRES),
    **dict.fromkeys(("keep_result", "ttl", "result_expires", "keep_result_forever"), _TTL),
    **dict.fromkeys(("task_id", "job_id", "_job_id", "message_id"), _ID),
    **dict.fromkeys(("queue_name", "_queue_name", "routing_key", "exchange"), _QUEUE),
    **dict.fromkeys(("queueing_lock", "lock", "dedup", "unique_key", "singleton"), _UNIQUE),
    **dict.fromkeys(("default_retry_delay", "min_backoff", "retry_wait"), _RETRY_DELAY),
    **dict.fromkeys(("retry_backoff", "backoff", "retry_policy"), _BACKOFF),
    **dict.fromkeys(("retry_backoff_max", "max_backoff", "max_delay"), _CAP),
    **dict.fromkeys(
        ("autoretry_for", "retry_for", "retry_when", "throws", "retry_on_error"), _RETRY_ON
    ),
    **dict.fromkeys(("ignore_result", "store_results", "store_result", "keep_results"), _NO_RESULT),
    **dict.fromkeys(("acks_late", "ack_late", "reject_on_worker_lost", "ack_type"), _LOST),
    **dict.fromkeys(("bind", "pass_context", "takes_context", "context"), _CURRENT),
    **dict.fromkeys(("link_error", "on_error", "failure_ttl"), _FAILURE),
    **dict.fromkeys(("task_name", "actor_name"), _NAME),
    **dict.fromkeys(("broker", "backend", "connection", "store"), _DRIVER),
    **dict.fromkeys(
        (
            "cron",
            "every",
            "zone",
            "catch_up",
            "overlap",
            "periodic",
            "crontab",
            "interval",
            "schedule",
        ),
        _SCHEDULE,
    ),
    **dict.fromkeys(("rate_limit", "max_jobs", "concurrency"), _CONCURRENCY),
    "serializer": _SERIALIZER,
    "depends_on": "Use `after` (ids or handles).",
    "at_front": "Use `priority=9`.",
    "labels": "Use `headers`.",
    "meta": "Use `headers`.",
    "link": "Dispatch the next task in the body of this one, or use `after`.",
    "on_success": "Dispatch the next task in the body of this one, or use `after`.",
}

_CLASS_ATTRIBUTES = frozenset(
    {"retries", "max_retries", "max_tries", "time_limit", "soft_time_limit", "default_retry_delay"}
)

_DISPATCH = "Use `await {task}.dispatch({arguments})`, or `{task}.dispatch_sync({arguments})` without an event loop."
_WITH_OPTIONS = (
    "Use `await {task}({arguments}).options(delay=..., queue=...).dispatch()`: the arguments go to the "
    "task, the options to `options`."
)
_SIGNATURE = "Use `{task}({arguments})`: it makes a call that is dispatched later."
_MANY = "Use `await asynctasq.dispatch_many([{task}({arguments}), ...])`."
_LATER = "Use `await {task}({arguments}).delay(seconds).dispatch()`."
_STORED = "Use `await {task}({arguments}).schedule(name, cron=...)`: it stores a schedule."
_PLAIN = "Use `{task}.fn({arguments})`: it calls the plain function directly."
_RESULT = "Use `asynctasq.handle(id)`, and `await handle.result()`."
_LATER_OR_NOW = f"{_DISPATCH} To run it later: `{{task}}({{arguments}}).delay(seconds)`."

TASK_ATTRIBUTES: Mapping[str, str] = {
    **dict.fromkeys(
        ("send", "enqueue", "enqueue_job", "enqueue_call", "kiq", "defer", "defer_async", "aenqueue",
         "submit", "queue_task", "perform_async", "push"),
        _DISPATCH,
    ),
    **dict.fromkeys(
        ("apply_async", "send_with_options", "apply_kwargs", "kicker", "configure", "using", "options",
         "on_queue", "retry_after"),
        _WITH_OPTIONS,
    ),
    **dict.fromkeys(("s", "si", "signature", "subtask", "message"), _SIGNATURE),
    **dict.fromkeys(("map", "starmap", "chunks", "batch", "group"), _MANY),
    **dict.fromkeys(("enqueue_in", "enqueue_at", "apply_after", "perform_in"), _LATER),
    "schedule": _STORED,
    **dict.fromkeys(("apply", "call_local", "call", "run", "func", "function", "original_func"), _PLAIN),
    **dict.fromkeys(("AsyncResult", "get_result", "fetch_job"), _RESULT),
    "delay": _LATER_OR_NOW,
    "retry": "Raise `asynctasq.Retry()` inside the task.",
    "request": _CURRENT,
}  # fmt: skip
"""Attributes that task functions of other queues have, and what to use instead."""

_CALL_DISPATCH = "Use `await call.dispatch()`, or `call.dispatch_sync()` without an event loop."
_CALL_OPTIONS = "Use `await call.options(delay=..., queue=...).dispatch()`."
_CALL_LATER = "Use `await call.delay(seconds).dispatch()`."
_CALL_RESULT = "Dispatch it and await its handle: `await (await call.dispatch()).result()`."

CALL_ATTRIBUTES: Mapping[str, str] = {
    **{name: _CALL_DISPATCH for name, hint in TASK_ATTRIBUTES.items() if hint is _DISPATCH},
    **{name: _CALL_OPTIONS for name, hint in TASK_ATTRIBUTES.items() if hint is _WITH_OPTIONS},
    **{name: _CALL_LATER for name, hint in TASK_ATTRIBUTES.items() if hint is _LATER},
    **dict.fromkeys(("get", "result", "wait", "status", "ready", "state"), _CALL_RESULT),
    **dict.fromkeys(("set", "with_options", "set_options"), _CALL_OPTIONS),
    "retry": "Raise `asynctasq.Retry()` inside the task.",
    "request": _CURRENT,
}
"""Attributes that calls and signatures of other queues have, and what to use instead."""


def option_hint(name: str) -> str | None:
    """Return what to use instead of an option that other queues have; None if it is not one."""
    return _OPTIONS.get(name)


def class_attribute_hint(name: str) -> str | None:
    """Return what to use instead of a class attribute that is an option of tasks in other queues.

    These are only names that a task would hardly use for its own data.
    """
    return _OPTIONS[name] if name in _CLASS_ATTRIBUTES else None
