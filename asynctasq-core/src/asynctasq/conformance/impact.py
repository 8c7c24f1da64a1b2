"""The meaning of guarantees and capabilities for users of a driver, for reports."""

from collections.abc import Mapping

from asynctasq.conformance.check import Check
from asynctasq.contracts.capabilities import Capability
from asynctasq.records import record


@record
class Meaning:
    """The meaning of a guarantee, or of rules that belong together."""

    title: str
    broken: str
    """The effect on users if the guarantee does not hold."""


GUARANTEES: Mapping[str, Meaning] = {
    "a": Meaning("Nothing is lost", "Accepted tasks can disappear, or be run twice at once."),
    "b": Meaning(
        "Recovery without configuration",
        "What a killed worker held stays stuck, or tasks run too early, too late or never.",
    ),
    "c": Meaning(
        "Fencing",
        "A worker that was paused can overwrite what another one has done meanwhile.",
    ),
    "d": Meaning(
        "One transition",
        "A crash between two steps leaves a task finished without its result, or the other way round.",
    ),
    "e": Meaning(
        "Unique keys hold under concurrency",
        "Tasks with the same unique key run beside each other, or a key is never free again.",
    ),
    "f": Meaning("Order", "Tasks start in another order than priority and time say."),
    "g": Meaning(
        "Enqueue is idempotent by id",
        "A dispatch that is repeated after a broken connection makes a second task.",
    ),
    "h": Meaning(
        "Cancel",
        "A cancelled task runs nevertheless, or its outcome does not say that it was cancelled.",
    ),
    "i": Meaning("Expiry", "A task that came too late is run, or one in time is not."),
    "j": Meaning(
        "Dead letters keep everything",
        "What failed for good cannot be examined, or not be sent again as it was.",
    ),
    "k": Meaning(
        "Cost does not grow with history or backlog", "The store fills up with what is finished."
    ),
    "l": Meaning(
        "An outage of the store stalls workers but ends none",
        "A worker does not come back after the store did.",
    ),
}
"""By letter; the titles are those of docs/guarantees.md."""

OTHER_RULES = "Other rules of the contract"

CAPABILITIES: Mapping[Capability, str] = {
    Capability.PRIORITY: "the option `priority` is refused",
    Capability.UNIQUE: "the option `unique` is refused",
    Capability.RESULTS: "results cannot be awaited",
    Capability.PROGRESS: "tasks cannot report progress",
    Capability.CANCEL: "tasks cannot be cancelled",
    Capability.PAUSE: "queues cannot be paused",
    Capability.DEAD_LETTERS: "what failed for good cannot be listed or sent again",
    Capability.INSPECT: "queues and tasks cannot be looked at",
    Capability.PURGE: "queues cannot be emptied",
    Capability.WORKERS: "workers cannot be listed",
    Capability.SCHEMA: "there are no tables to migrate",
    Capability.TRANSACTIONS: "tasks cannot be dispatched in a transaction of the application",
    Capability.OUTBOX: "an outbox cannot be kept in it for tasks of another store",
    Capability.FENCED: "a worker that lost its lease may still settle",
    Capability.ATOMIC: "part of a chunk may be enqueued when the rest is not",
    Capability.COUNTED: "the number of attempts is an estimate",
    Capability.IDEMPOTENT: "a repeated dispatch may make a second task",
    Capability.FIFO: "the order is approximate",
    Capability.EXACT_COUNT: "counts are estimates or unknown",
    Capability.DETACHED: "a task may run again at once when its worker's connection breaks",
    Capability.STATE: "it cannot complete a queue such as SQS or RabbitMQ as its state store",
    Capability.SCHEDULES: "tasks cannot be run periodically",
    Capability.WORKER_REQUESTS: "workers cannot be stopped from another computer",
    Capability.EVENTS: "what happens to tasks cannot be followed",
    Capability.METRICS: "rates, run times and finished tasks cannot be looked at",
    Capability.MOVE: "tasks that wait cannot be moved to another queue or given another priority",
    Capability.NEWS: "tasks that expire or are lost are not logged, counted or given to observers",
}
"""The effect on users if the driver lacks the capability, as far as checks concern it."""


BESIDE_GUARANTEES: Mapping[str, str] = {
    "lifetime": "Workers cannot be started, stopped or run beside each other as they should.",
    "enqueue": "Calls that ask for nothing fail, or times that are told of tasks are wrong.",
    "settle": "Tasks that no worker fits during a deploy are given up too early or too late.",
    "order": "A worker gets more than it has slots for, or more of a queue than it may run.",
    "wait": "An idle worker keeps a processor busy, or does not stop when it should.",
    "results": "`result()` gives something else than the task returned, or waits for too long.",
    "progress": "The progress of a task that is shown is wrong.",
    "pause": "A paused queue is worked on, or one that was resumed is not.",
    "purge": "A purge deletes something else than it was asked to.",
    "move": "Tasks that an operator moves or puts off are lost, run twice, or run at the wrong time.",
    "inspect": "`asynctasq queues` and `asynctasq tasks` show something else than there is.",
    "workers": "`asynctasq workers` shows workers that are gone, or not those that live.",
    "worker_requests": "`asynctasq workers stop` stops other workers than those that were named, or none.",
    "damage": "One damaged record stops the work or the listings of a whole store.",
    "bounds": "Messages that the store cannot hold are accepted, or part of a chunk is lost.",
    "due": "The start latency that is reported is wrong, or steps of a task run twice.",
    "listings": "`asynctasq tasks` and `asynctasq dead` leave tasks out, or show others than asked for.",
    "metrics": "`asynctasq stats` shows too few runs, or counts some twice.",
    "events": "`asynctasq events` leaves events out without saying so, or shows them in another order.",
    "news": "Expired and lost tasks are missing in logs and counters.",
    "real_time": "Tasks that came too late are run.",
    "schema": "The store cannot be used after an upgrade.",
    "transactions": "Tasks are lost or run although the work that they belong to was rolled back.",
    "outbox": "Tasks that were dispatched in a transaction are sent twice, too late or not at all.",
    "state": "With a queue such as SQS or RabbitMQ, tasks run again after their end, or their ends are lost.",
    "adoption": "With a queue such as SQS or RabbitMQ, tasks whose retry is hours away are lost or run twice.",
    "schedules": "Periodic tasks run twice, too late or not at all.",
    "schedule_changes": "A deployment or an operator changes something else about a schedule than was asked for.",
}
"""By theme: the effect on users if a check fails that proves no guarantee."""


def meanings_of(check: Check) -> list[str]:
    """Return the effect on users if a check fails."""
    if check.proves:
        return [GUARANTEES[letter].broken for letter in check.proves]
    return [BESIDE_GUARANTEES[check.theme]]


def flags_in(capabilities: Capability) -> list[Capability]:
    """Return the single flags, in the order of their declaration."""
    return [flag for flag in Capability if flag and flag in capabilities]
