"""The numbered rules of "Write a driver". The page is generated from them, and reports quote them."""

from collections.abc import Mapping

from asynctasq.conformance.rules_of_added_flags import ADDED_FLAGS

SECTIONS: Mapping[str, Mapping[int, str]] = {
    "Being ready": {
        1: (
            "A message is due at its `eta`, or `delay` seconds after the enqueue, but never before the "
            "enqueue. It is READY from then on, and SCHEDULED before. It becomes ready at its due time, even "
            "if the store notices later. A message that is enqueued in a transaction of the application takes "
            "these times from the dispatch, and appears at the commit."
        ),
        2: (
            "Every call that reports a state (`count`, `find`, `browse`, `queues`, `cancel`, `purge`) reports "
            "READY from the due time on, even if the store has not yet promoted the message."
        ),
        3: (
            "Within a queue the order is: priority, highest first (PRIORITY); due time; id (FIFO). All "
            "messages of a chunk have the same due time, unless a driver without ATOMIC takes the chunk in "
            "pieces."
        ),
        4: (
            "`reserve` serves queues strictly in the order given, takes at most the number given for each, "
            "and at most `limit` in all. It never blocks, and returns an empty list when nothing is ready."
        ),
    },
    "Leases": {
        5: (
            "A lease belongs to an owner. It lasts until `lease` seconds after the owner's `reserve` or its "
            "last `extend`, which renews all leases of the owner. A later `reserve` may prolong the owner's "
            "other leases; it never shortens them."
        ),
        6: (
            "A lease that has ended stays with its owner until a `reserve` of another owner, of any queue, "
            "reclaims it. Until then the owner may settle, extend or reserve, and the message counts as "
            "LEASED."
        ),
        7: (
            "When a lease is reclaimed, `lost` grows by one and `attempt` stays. If `lost` now exceeds "
            "`max_lost`, the message is dead, with reason `lost` and the error of its last failed attempt. "
            "Otherwise it is READY at its old place (COUNTED)."
        ),
        8: "An owner whose leases were reclaimed can reserve again. It starts as a new owner.",
        9: (
            "The token of a lease is greater than the tokens of all earlier leases of the message, even if "
            "the store has lost its last writes or has deleted the message: use `max(token + 1, clock in "
            "microseconds)`. `settle`, `extend` and `set_progress` act for the current token only; the answer "
            "to any other is LOST (FENCED). Without FENCED, core calls `settle` in the process that "
            "reserved, on any clone."
        ),
        10: (
            "`extend` answers HELD if the message is leased to that owner with that token. A message that was "
            "leased to the owner at least `lease` seconds ago and is not named is released, uncounted: it is "
            "READY at its old place."
        ),
        61: (
            "Only time ends a lease (DETACHED). Without DETACHED, a lease may also end when the store sees "
            "that the worker's connection has gone."
        ),
    },
    "Settlements": {
        11: (
            "The items of a batch are independent, applied in order, and answered in order. A second "
            "settlement of the same lease, in the same batch or later, is LOST (FENCED)."
        ),
        12: "*Complete* removes the message. *Cancelled* does the same, with another outcome.",
        13: (
            "*Retry* counts an attempt, stores the error, and resets `mismatched_for`. With a delay the "
            "message is SCHEDULED. Without one it is READY and due now, behind the messages that are ready "
            "already."
        ),
        14: (
            "*Fail* counts an attempt, unless `attempted` is false, and makes the message dead. A driver "
            "that has neither DEAD_LETTERS nor INSPECT may ignore `attempted`, because nothing shows the "
            "count."
        ),
        15: (
            "*Release* counts nothing. With a delay the message is SCHEDULED; without one it is READY at its "
            "old place. With `mismatched`, the store keeps the time of the first such release; "
            "`Delivery.mismatched_for` is the time since then, and the release's `error` is stored like that "
            "of a retry."
        ),
        16: (
            "An item and all its consequences (the result is stored, the unique key is freed, the message is "
            "removed) happen in one step."
        ),
        17: (
            "A store that cannot take one item, for example because its result is too large, answers REFUSED "
            "for it and changes nothing. The other items are applied."
        ),
        58: (
            "`about` of *Complete*, *Fail* and *Cancelled* is stored with the outcome and returned unchanged "
            "in `Outcome.about`. It is empty in the outcome of a message that no settlement ended (RESULTS)."
        ),
    },
    "Expiry": {
        18: (
            "A message with `expires` that has never been leased is dead, with reason `expired` and no "
            "attempt counted, once that many seconds have passed since its due time. It is never delivered "
            "after that. A message that was leased before does not expire any more."
        ),
    },
    "Enqueue": {
        19: (
            "An id is known while its message waits, runs or is dead, and afterwards while its outcome is "
            "kept: for the `result_ttl` of the settlement, and at least 60 seconds. An enqueue of a known id "
            "changes nothing; the driver checks this before unique keys. The items of a chunk are taken in "
            "order, so an id that occurs twice in a chunk makes one message (IDEMPOTENT)."
        ),
        20: "A chunk is stored whole or not at all, and becomes visible at once (ATOMIC).",
        59: (
            "A driver without ATOMIC that has stored only part of a chunk raises `EnqueuedPartly`, with an "
            "answer for each message. Any other `DriverError` but `DriverUnavailable` means that nothing of "
            "the chunk is stored. Core repeats only the messages whose answer is `DriverUnavailable`; "
            "without IDEMPOTENT it repeats them at most once."
        ),
        60: (
            "A message that is larger than `max_message_bytes` is refused with a `DriverError`, and nothing "
            "of it is stored."
        ),
    },
    "Results (RESULTS)": {
        21: (
            "The outcome of a completed or cancelled message is kept for the `result_ttl` of its settlement, "
            'at least 60 seconds. The bytes of the result are kept only if `result_ttl` is above 0. `b""` '
            "and `None` are different results."
        ),
        22: (
            "A dead message has an outcome, with its reason and error, for as long as it is dead. A message "
            "that waits, runs, or is not known has none."
        ),
        23: (
            "`wait_results` is a hint like `wait`: it may return early, and returns at most a second after "
            "the end of a message."
        ),
        62: (
            "`known` is true for a message that waits, runs or is dead. It loads no messages. A driver without "
            "INSPECT may answer true for any id."
        ),
    },
    "Unique keys (UNIQUE)": {
        24: (
            "One message of the namespace holds a key, from its enqueue on, whatever its queue. Keys differ "
            "by every character and may be long; a key that is not Unicode is stored as it is or refused. A "
            "key is freed: with `STARTED` at the first lease; with `SETTLED` when the message completes, "
            "dies, or is cancelled; with `PERIOD` that many seconds after the enqueue, whatever happens to "
            "the message."
        ),
        25: (
            "If another message holds the key, the newcomer's `on_conflict` decides, and the answer has the "
            "id that stands. With *skip*, the newcomer is dropped. With *replace*, a holder that waits is "
            "finished as cancelled, and the newcomer takes the key; a holder that is leased stays, and so "
            "does one that has ended while its period runs. With *extend*, the newcomer is dropped; a holder "
            "that is SCHEDULED becomes due when the newcomer would have been, and a period starts again "
            "from now."
        ),
        26: (
            "`purge` frees the keys of the messages that it deletes, periods too. `requeue` takes a "
            "`STARTED` or `SETTLED` key again. While another message holds the key, the answer is False and "
            "the message stays dead."
        ),
    },
    "Cancel (CANCEL)": {
        27: (
            "A message that waits is finished as cancelled, and its outcome is kept for its `result_ttl`. A "
            "leased message is flagged: the answer is REQUESTED, every time. The answer is TOO_LATE for a "
            "message that has ended, and UNKNOWN for an unknown id. A driver without INSPECT may answer "
            "REQUESTED for waiting messages and unknown ids; such a message is never delivered."
        ),
        28: (
            "Retrying, releasing or reclaiming a flagged message finishes it as cancelled. Complete and fail "
            "win over a flag."
        ),
        29: "`cancel_requests(owner)` returns the leases of that owner whose messages are flagged.",
    },
    "Dead letters (DEAD_LETTERS)": {
        30: (
            "A dead letter keeps the whole message, reason, error, counts and times. Dead letters are listed "
            "newest first. A store keeps the newest 100,000 for 30 days, unless its settings say otherwise; "
            "it forgets the others even without the capability."
        ),
        31: (
            "`requeue` makes a dead letter READY and due now, with no attempts, no losses, no error and no "
            "mismatch. Its expiry counts from now, and its token keeps growing. `requeue_edited` also "
            "replaces every field but the id. The answer is False for a message that is not dead."
        ),
        32: "`delete_dead` leaves nothing of the message in the store, and no outcome.",
    },
    "Listings (INSPECT)": {
        36: (
            "`queues` lists every queue that holds a message or a dead letter, or is paused, by name. "
            "`find` and `browse` show messages that wait, run or are dead. `browse` lists one state in a "
            "stable order of the driver's choice: while no message changes its state, all pages together "
            "show each message once, and a message that stays in its state keeps its place. `match_ids` lists "
            "the ids of such messages that begin or end with some digits; each call looks at a bounded number."
        ),
        55: (
            "`browse` takes `task=` (a name, or `prefix*`) and `owner=`; `dead_letters` takes `task=`, "
            "`reason=` and `error=`. Each call looks at a bounded number of messages, and may return a short "
            "or empty page with a cursor. A page costs the same at a thousand and at a million messages."
        ),
        56: (
            '`count` and `queues` count no state further than `bound`. The number `bound` means "that or '
            'more". Without EXACT_COUNT, a number that the store does not know is None.'
        ),
    },
    "Other capabilities": {
        33: (
            "PROGRESS: a report is kept for the current lease, through retry and release, until the message "
            "ends."
        ),
        34: (
            "PAUSE: `reserve` takes nothing from a paused queue. Enqueues, settlements, leases and times "
            "continue. `QueueInfo.paused_at` is the time of the first `pause`."
        ),
        35: (
            "PURGE: deletes messages that are READY, SCHEDULED or dead, as asked, never leased ones, and "
            "leaves no outcome. A store may work in pieces."
        ),
        37: (
            "WORKERS: a worker is listed for `ttl` seconds after each call of `record_worker`, by id, with "
            "every field."
        ),
        53: (
            "WORKERS: `end_owner` ends all leases of an owner at once, as if they had been reclaimed, even "
            "during a pause. It does nothing for an owner that has none."
        ),
        38: (
            "SCHEMA: after `open` the schema is the needed one. `migrate` updates older tables, never drops "
            "tables that hold messages, and does nothing the second time. With `dry_run` it changes nothing "
            "and returns the statements."
        ),
        57: (
            "NEWS: `news` reports each lease that `reserve` reclaimed, and each message that it moved to the "
            "dead, once, with the state and reason that the message has now. Settlements are not news. A store that "
            "learns of the end of a lease from the next delivery reports it then."
        ),
    },
    "Upkeep": {
        39: (
            "Upkeep happens in `reserve`, a bounded piece at a time: due messages, ended leases, expiry, and "
            "outcomes, dead letters and workers past their time. No part of it may scan the backlog."
        ),
        51: "`reserve` renews the leases of its own owner before it reclaims those of others.",
        52: (
            "The store keeps the time of the last `reserve` or `extend` of any owner. If a call finds that "
            "this was more than half of its own `lease` ago, there was an outage or the clock jumped: no "
            "instance reclaims a lease for half of that `lease`. The first call after that pause does not "
            "count as the end of another outage if no call came in between. All other upkeep continues."
        ),
    },
    "Calls": {
        40: (
            "A message carries fields for capabilities that come later (`parents`, `workflow`, `schedule`, "
            "`limits`, `group`). A driver without the capability stores and returns them, and does nothing "
            "else with them."
        ),
        41: (
            "Calls may run concurrently on one opened instance. Core never cancels a call in flight, except "
            "`wait` and `wait_results`."
        ),
        42: (
            "`close` never raises, may be called twice, and leaves no task, thread or connection behind. A "
            "closed instance may be opened again."
        ),
        43: "A batch costs a constant number of round trips; one where the store can.",
        44: (
            "An empty batch does nothing, and its answer is an empty list. A queue that was never used is "
            "empty, and every call accepts its name."
        ),
        45: (
            "A delivery has the message as it was enqueued: every field, and the body byte for byte. Names "
            "of queues differ by every character, case too. `due_at` is the time at which the message became "
            "ready, and `resumed` is true if it was leased before. All times are by the store's clock."
        ),
        46: (
            "`wait` returns when a message can be reserved, at most a second after an enqueue, a settlement "
            "or a `resume` by any instance, the due time of a message, or the end of a lease; and after "
            "`timeout` in any case. It may return early, but not always. Other calls run beside it; it may "
            "need a second connection."
        ),
        47: (
            "`clone` returns an unopened clone, which works on another loop in another thread. Every "
            "instance sees what another one does. In a durable store, messages and outcomes outlive the last "
            "open instance."
        ),
        48: (
            "`capabilities` and methods agree. `api_version` is that of the release that the driver was "
            "written for, `description` is not empty, and `clock_offset` may be set at any time, unless "
            "`clock_is_movable` is false."
        ),
    },
    **ADDED_FLAGS,
    "Faults and bounds": {
        49: (
            "A damaged record costs only itself. `reserve` makes it a dead letter with reason `undecodable`: "
            'the body is the bytes that there are, the task is `""` if it is unknown, and the error says '
            "what is wrong. `find`, `browse`, `dead_letters` and `results` show it in its place, and all "
            "other messages are unaffected. A call raises `DriverError`s only, and a call that fails "
            "half-way loses nothing."
        ),
        50: (
            "A call that returns messages or results reads about 8 MB from the store in one step, or one "
            "larger message. `reserve` then returns fewer messages, `browse` and `dead_letters` a shorter "
            "page with a cursor. `find` and `results` take further steps and answer every id."
        ),
        54: (
            "Numbers are finite. A settlement with one that is not is REFUSED, and the others are applied. "
            "`enqueue`, `reserve` and `extend` raise a `DriverError` that names the field, and change "
            "nothing."
        ),
    },
}
"""Rules by the section of the page. A rule keeps its number, so numbers are not in order."""

RULES: Mapping[int, str] = dict(
    sorted((number, text) for rules in SECTIONS.values() for number, text in rules.items())
)
