"""The rules of flags beyond a plain queue, from transactions to changes of waiting messages."""

from collections.abc import Mapping

ADDED_FLAGS: Mapping[str, Mapping[int, str]] = {
    "Transactions (TRANSACTIONS)": {
        66: (
            "The effect of a plan is part of the transaction: no other connection sees it before the commit, and a "
            "rollback leaves nothing of it, not even a unique key. Times are those of the plan."
        ),
        67: (
            "A plan answers as the call of the driver does. A known ID, a held key and a lease that has ended are "
            "answers, not errors: the transaction goes on, and the rest of the plan takes place."
        ),
        68: (
            "A completion whose transaction is rolled back leaves the lease as it was. After the commit, the "
            "lease has ended: a settlement of it is LOST."
        ),
    },
    "Outbox": {
        63: (
            "A row of an outbox belongs to a namespace and a target. It is added once, however often its ID is "
            "added, and `take` returns it until it is deleted: the rows of a target in the order of their IDs."
        ),
        64: (
            "One relay at a time takes rows of a target: the first one, until it releases the target or has not "
            "called `take` for the length of its lease. The answer to others is empty."
        ),
        65: (
            "A refusal counts an attempt unless `is_counted` is False. The row is taken again once its pause has "
            "passed, behind the rows "
            "that were never refused, or never if it was set aside. `retry` makes a row as good as new. "
            "`state` and `rows` report all rows of the namespace, with ages by the clock of the database."
        ),
    },
    "State of brokered messages (STATE)": {
        69: (
            "`finish` keeps the outcome of a message that a broker holds, or a whole dead letter: it is listed, "
            "requeued and deleted like any other. The first end counts: the answer is False, and nothing "
            "changes, for a message that is in the store, has an outcome, or whose end is marked. Waiters for "
            "results wake. An invalid end raises a `DriverError`, and nothing is kept."
        ),
        70: (
            "An end is marked for as long as its outcome is kept, and for at least an hour, even if the dead "
            "letter is deleted. `marks` answers MOVED for a message that waits or runs in the store."
        ),
        71: (
            "`flag` cancels a message in the store as `cancel` does, and is TOO_LATE for one that has ended. "
            "Any other is flagged for `ttl` seconds, and REQUESTED."
        ),
        72: (
            "`adopt` enqueues a message with its past: attempts, lost leases, error, progress and the time of "
            "its enqueue. It does not expire any more. A message that is in the store, has an outcome, or whose end "
            "is marked is not adopted; a flagged one is kept as cancelled. The move is marked for an hour."
        ),
        73: (
            "A note is kept for its `ttl`. The latest one of a kind counts. A note about a message that is in the "
            "store or has ended changes nothing, and an end deletes the notes."
        ),
    },
    "Schedules (SCHEDULES)": {
        74: (
            "A schedule is due when the store's clock reaches its `next_at`, unless it is paused or orphaned. "
            "`claim_schedules` returns those that have been due for longest first, and hides them from other "
            "claims for `hold` seconds. It reports the time of the store, and when the next schedule can be "
            "claimed. Its cost does not depend on how many schedules there are."
        ),
        75: (
            "`fire` enqueues the messages of a firing and sets the next time in one step. The answer is False, and "
            "nothing happens, if the schedule is paused, orphaned or unknown, or if its revision or `next_at` is "
            "not the one that was claimed. Known IDs and held unique keys do not stop a firing. An invalid "
            "firing raises a `DriverError`, and no schedule of the call has fired."
        ),
        76: (
            "A put with an equal definition only sets `declared_by` and `seen_at`. With another definition the "
            "revision grows by one, and claims of the former one end. `next_at` is replaced only with another "
            "`rhythm`. A pause stays. Ids have 1 to 200 characters and definitions at most 65,536 bytes."
        ),
        77: (
            "A pause keeps `next_at`, and so does `ORPHAN`, which applies only to a declared schedule that was "
            "not seen for a day. `SEEN` and a put end it. `REMOVE` leaves messages that were enqueued."
        ),
        78: (
            "A schedule that fired without a next time is kept for a day, so that a repeated put does not fire it "
            "again. Then a claim deletes it."
        ),
        79: (
            "`schedules` lists all schedules by id, and `find_schedules` finds them in the order asked for. A "
            "damaged schedule is never due. It is listed with an empty definition until it is put again or removed."
        ),
    },
    "Metrics (METRICS)": {
        80: (
            "`add_metrics` adds the counts of a flush to those of their minute, queue and task: all of them, and "
            "once. A flush whose number is not greater than that of the last flush of its source changes nothing, "
            "for a day. Counts of hours that ended more than a day ago, and of minutes more than an hour ahead, "
            "are left out."
        ),
        81: (
            "`metrics` returns the rows whose span begins at `since` or later and before `until`, of all sources, "
            "each row once over all pages. Damaged counts cost only themselves."
        ),
        82: (
            "Counts are kept by the minute for a day. After that, a flush of any source adds them up by the hour, "
            "a bounded piece at a time, which changes no sum. Hours are kept for thirty days."
        ),
        83: (
            "`recent_outcomes` returns the bytes of the last flush of each source that has some for the queue. "
            "They are kept for a day."
        ),
    },
    "Events (EVENTS)": {
        84: (
            "`listening` answers True from a call of `events` on until the `hold` of that call is over, at most ten "
            "minutes. Holds of several calls do not add up: the last to end counts. A call with `limit=0` is such a call, "
            "and returns at once, with the position that it was given."
        ),
        85: (
            "`events` returns the batches of the namespace after a position, each whole and once, in one order for all "
            "listeners. A batch never appears before one that was read, also if several publishers commit at once. "
            "`after=None` is the present. Another `after` that is not a position, and a batch of more than 4 MiB, raise a "
            "`DriverError`."
        ),
        86: (
            "`events` returns when there are batches, at most a second after a publish by any instance, and after "
            "`timeout` in any case. It may return early, but not always, and may be cancelled."
        ),
        87: (
            "A batch is kept for ten minutes, unless there are more than 100,000 batches or 64 MiB of them: then the "
            "oldest are dropped, by `listening` or `publish`, a bounded number at a time. `gap` is true if batches after "
            "the position were dropped, or if there was a time without a listener since the position was read."
        ),
    },
    "Changes of waiting messages (MOVE)": {
        88: (
            "`edit` changes messages that are READY or SCHEDULED, each in one step. The answer is False, and "
            "nothing happens, for a message that is leased, dead, ended or unknown, or whose record is damaged. A "
            "repeated call answers the same. A number that is not finite raises a `DriverError`, and nothing has "
            "changed."
        ),
        89: (
            "All else stays: body, attempts, lost leases, the last error, the time of the enqueue and the unique "
            "key, which the message holds without a gap."
        ),
        90: (
            "A message has the place in the order of its new queue that its new priority, its new due time and its "
            "ID give it. A `due_at` that is over makes a scheduled message ready now, and leaves a ready one at "
            "its place."
        ),
        91: (
            "An expiry counts from the new due time. A message that was leased before has none, unless "
            "`expires` is given."
        ),
        92: "Calls that wait for the new queue wake, as they do after an enqueue.",
    },
    "Requests about workers (WORKER_REQUESTS)": {
        93: (
            "`request_workers` keeps a request for each worker in the registry, in one step for each, and answers in "
            "order with the request that holds now. A repeated request answers the same. The answer is None, and "
            "nothing is kept, for a worker that is not in the registry or whose record has no `owner`."
        ),
        94: "The last request holds, except that no request follows STOP.",
        95: (
            "A request is for one `owner`, which is one run of a worker. It is kept as long as the registry has a "
            "worker with that owner, and for at least an hour after it was made."
        ),
        96: (
            "`requests` returns what `cancel_requests` does, and the request about the worker of that owner: RUN if "
            "there is none, or if it is damaged."
        ),
    },
}
"""Rules by the section of the page."""
