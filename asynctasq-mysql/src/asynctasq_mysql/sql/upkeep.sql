-- Statements of the upkeep. The first of a transaction locks the upkeep of the namespace, or finds it locked.
--
-- Rows are looked for without locks, then locked one by one: a scan that locks also locks the row behind its end,
-- which a worker would skip, although it may be in another namespace.

-- name: try_lock
SELECT {now}, paused_until FROM {upkeep} WHERE namespace = :namespace FOR UPDATE SKIP LOCKED

-- name: due
SELECT id, queue, profile, attempt, lost, sort_at, expires, started
FROM {messages} FORCE INDEX (alarms)
WHERE namespace = :namespace AND alarm = 2 AND alarm_at BETWEEN :since AND {now}
ORDER BY alarm_at
LIMIT :bound

-- name: expired
SELECT id, queue, profile, attempt, lost
FROM {messages} FORCE INDEX (alarms)
WHERE namespace = :namespace AND alarm = 3 AND alarm_at BETWEEN :since AND {now}
ORDER BY alarm_at
LIMIT :bound

-- name: ended_owners
SELECT n FROM {owners} FORCE INDEX (by_deadline)
WHERE namespace = :namespace AND deadline BETWEEN :since AND {now} AND name <> :owner
ORDER BY deadline
LIMIT :bound

-- name: ended_leases
SELECT messages.id, messages.token, owners.n, owners.name
FROM {owners} AS owners FORCE INDEX (by_deadline)
STRAIGHT_JOIN {messages} AS messages FORCE INDEX (in_queue) ON messages.state = 5 AND messages.owner = owners.n
WHERE owners.namespace = :namespace AND owners.deadline BETWEEN :since AND {now} AND owners.name <> :owner
LIMIT :bound

-- name: lock_owners
-- Those named that have not renewed their leases meanwhile, and do not at this moment.
SELECT owners.n
FROM JSON_TABLE(:owners, '$[*]' COLUMNS (n BIGINT PATH '$[0]')) AS named
STRAIGHT_JOIN {owners} AS owners FORCE INDEX (PRIMARY) ON owners.n = named.n
WHERE owners.deadline <= :now
FOR UPDATE SKIP LOCKED

-- name: outcomes
SELECT id, unique_hash FROM {messages} FORCE INDEX (alarms)
WHERE namespace = :namespace AND alarm = 7 AND alarm_at BETWEEN :since AND {now}
ORDER BY alarm_at
LIMIT :bound

-- name: old_dead
SELECT id, unique_hash FROM {messages} FORCE INDEX (alarms)
WHERE namespace = :namespace AND alarm = 6
    AND alarm_at BETWEEN :since - :dead_letter_ttl AND {now} - :dead_letter_ttl
ORDER BY alarm_at
LIMIT :bound

-- name: surplus_dead
SELECT id, unique_hash FROM {messages} FORCE INDEX (alarms)
WHERE namespace = :namespace AND alarm = 6
ORDER BY alarm_at DESC, id DESC
LIMIT :bound OFFSET :kept

-- name: lock
SELECT named.n
FROM JSON_TABLE(:ids, '$[*]' COLUMNS (n FOR ORDINALITY, id CHAR(32) PATH '$')) AS named
STRAIGHT_JOIN {messages} AS messages FORCE INDEX (PRIMARY)
    ON messages.id = UNHEX(named.id) AND messages.namespace = :namespace
WHERE messages.alarm = :alarm AND messages.alarm_at <= :until
FOR UPDATE SKIP LOCKED

-- name: promote
UPDATE JSON_TABLE(:ids, '$[*]' COLUMNS (id CHAR(32) PATH '$')) AS named
STRAIGHT_JOIN {messages} AS messages FORCE INDEX (PRIMARY)
    ON messages.id = UNHEX(named.id) AND messages.namespace = :namespace
SET messages.state = 3,
    messages.alarm = IF(messages.expires IS NULL OR messages.started, NULL, 3),
    messages.alarm_at = IF(
        messages.expires IS NULL OR messages.started, NULL,
        LEAST(messages.sort_at, 1152921504606846976) + LEAST(messages.expires, 1152921504606846976)
    )
WHERE messages.state = 2

-- name: give_back
-- Leases become ready messages again, each at its old place.
UPDATE JSON_TABLE(:ids, '$[*]' COLUMNS (id CHAR(32) PATH '$')) AS named
STRAIGHT_JOIN {messages} AS messages FORCE INDEX (PRIMARY)
    ON messages.id = UNHEX(named.id) AND messages.namespace = :namespace
SET messages.state = 3, messages.owner = 0, messages.lost = LEAST(messages.lost, 2147483646) + :counted
WHERE messages.state = 5

-- name: kill
-- Make dead letters. The error of the last attempt stays, unless the message has expired.
UPDATE JSON_TABLE(:ids, '$[*]' COLUMNS (id CHAR(32) PATH '$')) AS named
STRAIGHT_JOIN {messages} AS messages FORCE INDEX (PRIMARY)
    ON messages.id = UNHEX(named.id) AND messages.namespace = :namespace
SET messages.state = 6, messages.reason = :reason, messages.priority_rank = 0, messages.sort_at = :now,
    messages.alarm = 6, messages.alarm_at = :now, messages.finished_at = :now, messages.owner = 0,
    messages.cancelling = 0, messages.lost = LEAST(messages.lost, 2147483646) + :counted, messages.progress = NULL,
    messages.error = IF(:counted, messages.error, NULL)
WHERE messages.state <= 5

-- name: cancel_leased
UPDATE JSON_TABLE(:ids, '$[*]' COLUMNS (id CHAR(32) PATH '$')) AS named
STRAIGHT_JOIN {messages} AS messages FORCE INDEX (PRIMARY)
    ON messages.id = UNHEX(named.id) AND messages.namespace = :namespace
SET messages.state = 8, messages.finished_at = :now, messages.alarm = 7,
    messages.alarm_at = :now + LEAST(GREATEST(messages.result_ttl, :least), 1152921504606846976),
    messages.owner = 0, messages.cancelling = 0,
    messages.mismatched_at = NULL, messages.progress = NULL, messages.error = NULL, messages.profile = NULL,
    messages.payload = NULL, messages.size = 0
WHERE messages.state = 5

-- name: forget
DELETE messages
FROM JSON_TABLE(:ids, '$[*]' COLUMNS (id CHAR(32) PATH '$')) AS named
STRAIGHT_JOIN {messages} AS messages FORCE INDEX (PRIMARY)
    ON messages.id = UNHEX(named.id) AND messages.namespace = :namespace
WHERE messages.state >= 6

-- name: forget_keys_of
-- Keys that are still those of messages which have ended.
DELETE unique_keys
FROM JSON_TABLE(:rows, '$[*]' COLUMNS (hash CHAR(64) PATH '$[0]', id CHAR(32) PATH '$[1]')) AS named
STRAIGHT_JOIN {unique_keys} AS unique_keys FORCE INDEX (PRIMARY)
    ON unique_keys.hash = UNHEX(named.hash) AND unique_keys.namespace = :namespace
WHERE unique_keys.holder = UNHEX(named.id) AND unique_keys.held <> 3

-- name: ended_keys
SELECT hash FROM {unique_keys} FORCE INDEX (by_end)
WHERE namespace = :namespace AND ends_at BETWEEN :since AND {now}
ORDER BY ends_at
LIMIT :bound
FOR UPDATE SKIP LOCKED

-- name: forget_keys
DELETE unique_keys
FROM JSON_TABLE(:hashes, '$[*]' COLUMNS (hash CHAR(64) PATH '$')) AS named
STRAIGHT_JOIN {unique_keys} AS unique_keys FORCE INDEX (PRIMARY)
    ON unique_keys.hash = UNHEX(named.hash) AND unique_keys.namespace = :namespace
WHERE unique_keys.ends_at <= :now

-- name: ended_workers
SELECT id FROM {workers} FORCE INDEX (by_end)
WHERE namespace = :namespace AND ends_at BETWEEN :since AND {now}
ORDER BY ends_at
LIMIT :bound
FOR UPDATE SKIP LOCKED

-- name: forget_worker
DELETE FROM {workers} WHERE namespace = :namespace AND id = :id AND ends_at <= :now

-- name: forget_owners
DELETE owners
FROM JSON_TABLE(:owners, '$[*]' COLUMNS (n BIGINT PATH '$[0]')) AS named
STRAIGHT_JOIN {owners} AS owners FORCE INDEX (PRIMARY) ON owners.n = named.n
WHERE (
    SELECT 1 FROM {messages} AS messages FORCE INDEX (in_queue)
    WHERE messages.state = 5 AND messages.owner = owners.n LIMIT 1
) IS NULL
