-- Statements that add messages.

-- name: insert
-- A known ID is an error, which undoes the statement.
INSERT INTO {messages} (
    id, namespace, queue, state, priority_rank, alarm, alarm_at, sort_at, due_at, enqueued_at, expires,
    result_ttl, max_lost, unique_hash, leased_at, size, profile, payload, finished_at
) VALUES :rows

-- name: insert_unknown
-- A known ID changes nothing.
INSERT INTO {messages} (
    id, namespace, queue, state, priority_rank, alarm, alarm_at, sort_at, due_at, enqueued_at, expires,
    result_ttl, max_lost, unique_hash, leased_at, size, profile, payload, finished_at
) VALUES :rows
ON DUPLICATE KEY UPDATE id = {messages}.id

-- name: not_added
-- The messages named that were in the store before the call with this mark. All are locked by now; the lock is
-- named again, because a transaction of the application may look at an old snapshot otherwise.
SELECT named.n, messages.state, messages.alarm_at
FROM JSON_TABLE(:ids, '$[*]' COLUMNS (n FOR ORDINALITY, id CHAR(32) PATH '$')) AS named
STRAIGHT_JOIN {messages} AS messages FORCE INDEX (PRIMARY)
    ON messages.id = UNHEX(named.id) AND messages.namespace = :namespace
WHERE messages.leased_at <> :mark OR messages.token <> 0
FOR UPDATE

-- name: known
-- The messages named that are in the store. Not locked: an absent one would lock the place of new messages.
SELECT named.n, messages.state, messages.alarm_at
FROM JSON_TABLE(:ids, '$[*]' COLUMNS (n FOR ORDINALITY, id CHAR(32) PATH '$')) AS named
STRAIGHT_JOIN {messages} AS messages FORCE INDEX (PRIMARY)
    ON messages.id = UNHEX(named.id) AND messages.namespace = :namespace

-- name: forget
DELETE messages
FROM JSON_TABLE(:ids, '$[*]' COLUMNS (id CHAR(32) PATH '$')) AS named
STRAIGHT_JOIN {messages} AS messages FORCE INDEX (PRIMARY)
    ON messages.id = UNHEX(named.id) AND messages.namespace = :namespace
WHERE messages.state >= 7

-- name: lock_keys
-- In the order of their hashes, so that two chunks never wait for each other in a circle.
INSERT INTO {unique_keys} (hash, namespace, holder, held) VALUES :rows ON DUPLICATE KEY UPDATE hash = {unique_keys}.hash

-- name: keys
-- Keys that this transaction has locked, and their holders as they were committed last. A dead letter that was
-- requeued with changes may no longer want its key.
SELECT
    named.n, unique_keys.holder, unique_keys.held, unique_keys.period, unique_keys.ends_at,
    (
        SELECT holders.state FROM {messages} AS holders FORCE INDEX (PRIMARY)
        WHERE holders.id = unique_keys.holder AND holders.namespace = unique_keys.namespace
            AND holders.unique_hash = unique_keys.hash
    ),
    (
        SELECT holders.started FROM {messages} AS holders FORCE INDEX (PRIMARY)
        WHERE holders.id = unique_keys.holder AND holders.namespace = unique_keys.namespace
            AND holders.unique_hash = unique_keys.hash
    ),
    (
        SELECT holders.sort_at FROM {messages} AS holders FORCE INDEX (PRIMARY)
        WHERE holders.id = unique_keys.holder AND holders.namespace = unique_keys.namespace
            AND holders.unique_hash = unique_keys.hash
    )
FROM JSON_TABLE(:hashes, '$[*]' COLUMNS (n FOR ORDINALITY, hash CHAR(64) PATH '$')) AS named
STRAIGHT_JOIN {unique_keys} AS unique_keys FORCE INDEX (PRIMARY)
    ON unique_keys.hash = UNHEX(named.hash) AND unique_keys.namespace = :namespace
FOR UPDATE

-- name: lock_holders
SELECT named.n, messages.state, messages.started, messages.sort_at, messages.unique_hash
FROM JSON_TABLE(:ids, '$[*]' COLUMNS (n FOR ORDINALITY, id CHAR(32) PATH '$')) AS named
STRAIGHT_JOIN {messages} AS messages FORCE INDEX (PRIMARY)
    ON messages.id = UNHEX(named.id) AND messages.namespace = :namespace
FOR UPDATE

-- name: hold_keys
UPDATE JSON_TABLE(
    :rows, '$[*]' COLUMNS (
        hash CHAR(64) PATH '$[0]', holder CHAR(32) PATH '$[1]', held TINYINT PATH '$[2]', period BIGINT PATH '$[3]',
        ends_at BIGINT PATH '$[4]'
    )
) AS named
STRAIGHT_JOIN {unique_keys} AS unique_keys FORCE INDEX (PRIMARY)
    ON unique_keys.hash = UNHEX(named.hash) AND unique_keys.namespace = :namespace
SET unique_keys.holder = UNHEX(named.holder), unique_keys.held = named.held, unique_keys.period = named.period,
    unique_keys.ends_at = named.ends_at

-- name: drop_free_keys
DELETE unique_keys
FROM JSON_TABLE(:hashes, '$[*]' COLUMNS (hash CHAR(64) PATH '$')) AS named
STRAIGHT_JOIN {unique_keys} AS unique_keys FORCE INDEX (PRIMARY)
    ON unique_keys.hash = UNHEX(named.hash) AND unique_keys.namespace = :namespace
WHERE unique_keys.held = 0

-- name: cancel_waiting
UPDATE JSON_TABLE(:ids, '$[*]' COLUMNS (id CHAR(32) PATH '$')) AS named
STRAIGHT_JOIN {messages} AS messages FORCE INDEX (PRIMARY)
    ON messages.id = UNHEX(named.id) AND messages.namespace = :namespace
SET messages.state = 8, messages.finished_at = :now, messages.alarm = 7,
    messages.alarm_at = :now + LEAST(GREATEST(messages.result_ttl, :least), 1152921504606846976),
    messages.mismatched_at = NULL, messages.progress = NULL, messages.error = NULL,
    messages.profile = NULL, messages.payload = NULL, messages.size = 0
WHERE messages.state <= 4

-- name: reschedule
UPDATE JSON_TABLE(:moves, '$[*]' COLUMNS (id CHAR(32) PATH '$[0]', due_at BIGINT PATH '$[1]')) AS named
STRAIGHT_JOIN {messages} AS messages FORCE INDEX (PRIMARY)
    ON messages.id = UNHEX(named.id) AND messages.namespace = :namespace
SET messages.state = IF(named.due_at <= :now, 3, 2),
    messages.alarm = IF(named.due_at > :now, 2, IF(messages.expires IS NULL OR messages.started, NULL, 3)),
    messages.alarm_at = IF(
        named.due_at > :now, named.due_at,
        IF(messages.expires IS NULL OR messages.started, NULL, named.due_at + LEAST(messages.expires, 1152921504606846976))
    ),
    messages.sort_at = named.due_at, messages.due_at = named.due_at
WHERE messages.state = 2

-- name: clock
-- All rows of a call have the same time.
SET @asynctasq_now = {now}

-- name: time
SELECT @asynctasq_now

-- name: now
SELECT {now}
