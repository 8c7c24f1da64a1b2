"""The numbered rules of "Writing a driver" (docs/writing-a-driver.md), word for word, for reports."""

from collections.abc import Mapping

RULES: Mapping[int, str] = {
    1: (
        "A message is due at its `eta`, or `delay` seconds after the enqueue, but never "
        "before the enqueue. It is READY from then on, and SCHEDULED before. It becomes ready "
        "at the time due, not at the moment somebody noticed."
    ),
    2: (
        "Whatever tells a state (`count`, `find`, `browse`, `queues`, `cancel`, `purge`) "
        "calls a message READY from the time due on, whether it was promoted or not."
    ),
    3: (
        "Within a queue the order is: priority, highest first (PRIORITY); time due; id "
        "(FIFO). All messages of a chunk are due at one time, except where a chunk is taken "
        "in pieces, for want of ATOMIC."
    ),
    4: (
        "`reserve` serves queues strictly in the order given, takes at most the number given "
        "for each, and at most `limit` in all. It never blocks, and returns an empty list "
        "when there is nothing."
    ),
    5: (
        "A lease belongs to an owner. It lasts until `lease` seconds after the owner's "
        "`reserve` or its last `extend`, which renews all leases of the owner. A later "
        "`reserve` may prolong the owner's other leases; it never shortens them."
    ),
    6: (
        "A lease that has ended stays the owner's until some `reserve` of another owner, of any "
        "queue, reclaims it. Until then the owner may still settle, extend or reserve, and the "
        "message counts as LEASED."
    ),
    7: (
        "When a lease is reclaimed, `lost` grows by one and `attempt` stays. If `lost` now "
        "exceeds `max_lost` the message is dead, with reason `lost` and the error of its last "
        "failed attempt. Otherwise it is READY at its old place (COUNTED)."
    ),
    8: ("An owner whose leases were reclaimed and that reserves again starts anew."),
    9: (
        "Each lease of a message has another token than all before it. `settle`, `extend` and "
        "`set_progress` act for the current token only; the answer to any other is LOST "
        "(FENCED)."
    ),
    10: (
        "`extend` answers HELD if the message is leased to that owner with that token. "
        "Messages that were leased to it at least `lease` seconds ago and are not named go "
        "back: READY at their old place, uncounted."
    ),
    11: (
        "The items of a batch are independent, applied in order, and answered in order. A "
        "second settlement of the same lease, in the same batch or later, is LOST (FENCED)."
    ),
    12: ("*Complete* removes the message. *Cancelled* does the same, with another outcome."),
    13: (
        "*Retry* counts an attempt, remembers the error, and forgets mismatches. With a delay "
        "the message is SCHEDULED; without one it is READY and due now, behind what waits "
        "already."
    ),
    14: (
        "*Fail* counts an attempt, unless `attempted` is false, and makes the message dead. "
        "(Whether it was counted is told by dead letters and snapshots. A driver that has "
        "neither may ignore `attempted`.)"
    ),
    15: (
        "*Release* counts nothing. With a delay the message is SCHEDULED; without one it is "
        "READY at its old place. With `mismatched` the time of the first such release is "
        "remembered, `Delivery.mismatched_for` is the time since then, and its `error` is kept like "
        "that of a retry."
    ),
    16: (
        "What an item entails (the result stored, the unique key freed, the message gone) "
        "happens in one step with it."
    ),
    17: (
        "A store that cannot take one item, because a result is too large, answers REFUSED "
        "for it and changes nothing; the others are not touched."
    ),
    18: (
        "A message with `expires` that has never been leased is dead, with reason `expired` "
        "and no attempt counted, once that many seconds have passed since it was due. It is "
        "never delivered after that. One that was leased before does not expire any more."
    ),
    19: (
        "An id is known while its message waits, runs or is dead, and afterwards while its "
        "outcome is kept: for the `result_ttl` of the settlement, and at least 60 seconds. An "
        "enqueue of a known id changes nothing; this is looked at before unique keys. The "
        "items of a chunk are taken in order, so an id that occurs twice in a chunk makes one "
        "message (IDEMPOTENT)."
    ),
    20: ("A chunk is stored whole or not at all, and becomes visible at once (ATOMIC)."),
    21: (
        "The outcome of a completed or cancelled message is kept for the `result_ttl` of its "
        "settlement, at least 60 seconds; the bytes of the result only if `result_ttl` is "
        'above 0. `b""` and `None` differ.'
    ),
    22: (
        "A dead message has an outcome, with its reason and error, for as long as it is dead. "
        "What waits, runs, or is not known, has none."
    ),
    23: (
        "`wait_results` is a hint like `wait`: it may return early, and must not miss the end "
        "by more than a second."
    ),
    24: (
        "A key is held from the enqueue on, by one message of the namespace, whatever its "
        "queue. It is freed: with `STARTED` at the first lease; with `SETTLED` when the "
        "message completes, dies, or is cancelled; with `PERIOD` that many seconds after the "
        "enqueue, whatever has become of the message."
    ),
    25: (
        "When the key is held, the newcomer's `on_conflict` decides. The answer tells the id "
        "that stands. - *skip*: the newcomer is dropped. - *replace*: a holder that waits is "
        "finished as cancelled, and the newcomer takes the key. A holder that is leased "
        "stays, and so does one that has ended while its period runs. - *extend*: the "
        "newcomer is dropped. A holder that is SCHEDULED becomes due when the newcomer would "
        "have been; a period starts anew, from now."
    ),
    26: (
        "`purge` frees the keys of what it deletes, periods too. `requeue` takes a `STARTED` "
        "or `SETTLED` key again; while another message holds it, the answer is False and the "
        "message stays dead."
    ),
    27: (
        "A message that waits is finished as cancelled, and its outcome kept for its "
        "`result_ttl`. One that is leased is flagged: the answer is REQUESTED, every time. "
        "For what has ended the answer is TOO_LATE, and UNKNOWN for ids that are not known."
    ),
    28: (
        "Retry, release, giving back and reclaiming a flagged message finish it as cancelled. "
        "Complete and fail win over a flag."
    ),
    29: ("`cancel_requests(owner)` gives the leases of that owner whose messages are flagged."),
    30: (
        "A dead letter keeps the whole message, reason, error, counts and times. They are "
        "listed newest first, and kept for 30 days or 100,000 of them, unless the driver is "
        "set otherwise. (That they are forgotten then holds without the capability too.)"
    ),
    31: (
        "`requeue` makes it READY and due now, with no attempts, no losses, no error and no "
        "mismatch; its expiry counts anew; its token goes on growing. `requeue_edited` also "
        "replaces every field but the id. The answer for anything that is not dead is False."
    ),
    32: ("`delete_dead` leaves nothing behind, no outcome either."),
    33: ("PROGRESS: kept for current leases, through retry and release, until the message ends."),
    34: (
        "PAUSE: a paused queue is not reserved from. Enqueues, settlements, leases and times go on."
    ),
    35: (
        "PURGE: deletes what is READY, SCHEDULED or dead, as asked, never what is leased, and "
        "leaves no outcome."
    ),
    36: (
        "INSPECT: `queues` lists every queue that holds a message or a dead letter, or is "
        "paused, by name. `browse` lists one state, oldest enqueue first, in pages without "
        "gaps."
    ),
    37: (
        "WORKERS: a worker is listed for `ttl` seconds after each call of `record_worker`, by id."
    ),
    38: (
        "SCHEMA: after `open` the schema is the needed one. `migrate` brings older tables up "
        "to date, never drops what holds messages, and does nothing the second time."
    ),
    39: (
        "Upkeep happens in `reserve`, a bounded piece at a time: what is due, ended leases, "
        "expiry, outcomes, dead letters and workers past their time. No part of it may scan "
        "the backlog."
    ),
    40: (
        "A message carries fields for capabilities that come later (`parents`, `workflow`, "
        "`schedule`, `limits`, `group`). Store them and give them back; do nothing else with "
        "them."
    ),
    41: (
        "Calls may run concurrently on one opened instance. Only `wait` and `wait_results` "
        "are ever cancelled in flight."
    ),
    42: (
        "`close` never raises, may be called twice, and leaves no task, thread or connection "
        "behind. An instance that was closed may be opened again."
    ),
    43: ("A batch costs a constant number of round trips, one where the store can."),
    44: (
        "A batch of nothing does nothing, and its answer is an empty list. A queue that was "
        "never used is empty, and nothing is wrong with asking for it."
    ),
    45: (
        "A delivery brings the message as it was enqueued: every field, and the body byte for "
        "byte. Names of queues differ by every character, case too. Times that are told are "
        "the store's."
    ),
    46: (
        "`wait` returns when there is something to reserve, at most a second after an "
        "enqueue, a settlement or a `resume` by any instance, the time due of a message, or "
        "the end of a lease; and after `timeout` in any case. It may return early, but not "
        "always. Other calls go on beside it."
    ),
    47: (
        "`clone` gives an unopened clone, which works on another loop in another thread. What "
        "one instance does, every other one sees. Messages and outcomes outlive the last open "
        "instance, if the store is a lasting one."
    ),
    48: (
        "`capabilities` and methods agree. `api_version` is that of the release that the "
        "driver was written for, `description` is not empty, and `clock_offset` may be set at "
        "any time."
    ),
    49: (
        "A damaged record costs only itself. `reserve` makes it a dead letter with reason "
        '`undecodable`: the body is what bytes there are, the task `""` where it is unknown, '
        "and the error says what is wrong. `find`, `browse`, `dead_letters` and `results` show "
        "it in its place, and everything else goes on. Errors of calls are `DriverError`s only."
    ),
    50: (
        "A call that returns messages or results reads about 8 MB from the store in one step, "
        "or a single larger message. `reserve` returns fewer messages then, `browse` and "
        "`dead_letters` a shorter page with a cursor. `find` and `results` take further steps "
        "and answer every id."
    ),
    51: ("`reserve` renews the leases of its own owner before it reclaims those of others."),
    52: (
        "The store keeps the time of the last `reserve` or `extend` of any owner. A call that "
        "finds it more than half of its own `lease` ago has found an outage or a jump of the "
        "clock: from then on no lease is reclaimed for half of that `lease`, by any instance. "
        "The first call after that pause is not taken for the end of another outage if none "
        "came in between. All other upkeep goes on."
    ),
    53: (
        "`end_owner` ends all leases of an owner at once, as if they had been reclaimed, also "
        "during a pause. It does nothing for an owner that has none (WORKERS)."
    ),
    54: (
        "Numbers are finite. A settlement with one that is not is REFUSED, and the others are "
        "not touched. `enqueue`, `reserve` and `extend` raise a `DriverError` that names the "
        "field, and change nothing."
    ),
}
