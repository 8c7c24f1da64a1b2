"""Operations on a store: the properties `queues`, `tasks`, `dead_letters`, `schedules`, `metrics` and `outbox` of an app.

    async with App() as app:
        for queue in await app.queues.all():
            print(queue.name, queue.ready)
        async for letter in app.dead_letters.each(task="shop:*", since=yesterday):
            print(letter.id, letter.error)

The command line uses these calls.
"""

from asynctasq.events import EventKind
from asynctasq.operations.audit import acting_as
from asynctasq.operations.bulk import WAITING, BulkCounts
from asynctasq.operations.dead_letters import DeadLetters
from asynctasq.operations.events import Event, EventStream
from asynctasq.operations.filters import DeadLetterFilter, TaskFilter
from asynctasq.operations.merging import Percentiles, Point, TaskStats, Times
from asynctasq.operations.metrics import Metrics
from asynctasq.operations.outbox import OutboxMessage, OutboxMessages
from asynctasq.operations.queues import PURGED, Queues
from asynctasq.operations.redaction import Redaction
from asynctasq.operations.schedules import ScheduleInfo, Schedules
from asynctasq.operations.tasks import WAITING_OR_RUNNING, Tasks
from asynctasq.operations.transfer import ImportCounts
from asynctasq.operations.views import Arguments, RetryOutcome, TaskDetails, TaskInfo

__all__ = [
    "PURGED",
    "WAITING",
    "WAITING_OR_RUNNING",
    "Arguments",
    "BulkCounts",
    "DeadLetterFilter",
    "DeadLetters",
    "Event",
    "EventKind",
    "EventStream",
    "ImportCounts",
    "Metrics",
    "OutboxMessage",
    "OutboxMessages",
    "Percentiles",
    "Point",
    "Queues",
    "Redaction",
    "RetryOutcome",
    "ScheduleInfo",
    "Schedules",
    "TaskDetails",
    "TaskFilter",
    "TaskInfo",
    "TaskStats",
    "Tasks",
    "Times",
    "acting_as",
]
