-- Statements that show messages, counts, workers and pauses.

-- name: find
-- Payloads that are larger than :large are read one by one.
SELECT
    named.n, messages.id, messages.queue, messages.profile, IF(messages.size <= :large, messages.payload, NULL),
    messages.state, messages.attempt, messages.lost, messages.enqueued_at, messages.due_at, owners.name,
    messages.leased_at, messages.cancelling, messages.error, messages.reason, messages.finished_at, messages.size,
    {now}
FROM JSON_TABLE(:ids, '$[*]' COLUMNS (n FOR ORDINALITY, id CHAR(32) PATH '$')) AS named
STRAIGHT_JOIN {messages} AS messages FORCE INDEX (PRIMARY)
    ON messages.id = UNHEX(named.id) AND messages.namespace = :namespace
LEFT JOIN {owners} AS owners FORCE INDEX (PRIMARY) ON owners.n = messages.owner
WHERE messages.state <= 6

-- name: outcomes
SELECT named.n, messages.state, messages.finished_at,
    IF(messages.state = 6 OR messages.size > :large, NULL, messages.payload), messages.reason,
    messages.error, messages.about, messages.size
FROM JSON_TABLE(:ids, '$[*]' COLUMNS (n FOR ORDINALITY, id CHAR(32) PATH '$')) AS named
STRAIGHT_JOIN {messages} AS messages FORCE INDEX (PRIMARY)
    ON messages.id = UNHEX(named.id) AND messages.namespace = :namespace
WHERE messages.state = 6 OR (messages.state >= 7 AND messages.alarm_at > {now})

-- name: states
SELECT named.n, IF(messages.state = 2 AND messages.due_at <= {now}, 3, messages.state)
FROM JSON_TABLE(:ids, '$[*]' COLUMNS (n FOR ORDINALITY, id CHAR(32) PATH '$')) AS named
STRAIGHT_JOIN {messages} AS messages FORCE INDEX (PRIMARY)
    ON messages.id = UNHEX(named.id) AND messages.namespace = :namespace
WHERE messages.state <= 6 OR messages.alarm_at > {now}

-- name: known
SELECT named.n
FROM JSON_TABLE(:ids, '$[*]' COLUMNS (n FOR ORDINALITY, id CHAR(32) PATH '$')) AS named
STRAIGHT_JOIN {messages} AS messages FORCE INDEX (PRIMARY)
    ON messages.id = UNHEX(named.id) AND messages.namespace = :namespace
WHERE messages.state <= 6

-- name: progress
SELECT named.n, messages.progress
FROM JSON_TABLE(:ids, '$[*]' COLUMNS (n FOR ORDINALITY, id CHAR(32) PATH '$')) AS named
STRAIGHT_JOIN {messages} AS messages FORCE INDEX (PRIMARY)
    ON messages.id = UNHEX(named.id) AND messages.namespace = :namespace
WHERE messages.state <= 6

-- name: used_queues
-- Queues that hold a message or are paused. Names of queues are never deleted, and there may be many.
SELECT n, name
FROM {queues} AS queues
WHERE namespace = :namespace AND (
    paused
    OR COALESCE(
        (SELECT 1 FROM {messages} FORCE INDEX (in_queue) WHERE state = 3 AND queue = queues.n LIMIT 1),
        (SELECT 1 FROM {messages} FORCE INDEX (in_queue) WHERE state = 2 AND queue = queues.n LIMIT 1),
        (SELECT 1 FROM {messages} FORCE INDEX (in_queue) WHERE state = 5 AND queue = queues.n LIMIT 1),
        (SELECT 1 FROM {messages} FORCE INDEX (in_queue) WHERE state = 6 AND queue = queues.n LIMIT 1)
    ) IS NOT NULL
)
ORDER BY name

-- name: count
-- No state is counted further than :bound. Messages that are due count as ready, promoted or not.
SELECT
    :queue,
    (
        SELECT COUNT(*) FROM (
            SELECT 1 FROM {messages} FORCE INDEX (in_queue) WHERE state = 3 AND queue = :queue LIMIT :bound
        ) AS counted
    ),
    (
        SELECT COUNT(*) FROM (
            SELECT 1 FROM {messages} FORCE INDEX (in_queue)
            WHERE state = 2 AND queue = :queue AND priority_rank IN (0, 1, 2, 3, 4, 5, 6, 7, 8, 9)
                AND sort_at <= {now}
            LIMIT :bound
        ) AS counted
    ),
    (
        SELECT COUNT(*) FROM (
            SELECT 1 FROM {messages} FORCE INDEX (in_queue)
            WHERE state = 2 AND queue = :queue AND priority_rank IN (0, 1, 2, 3, 4, 5, 6, 7, 8, 9)
                AND sort_at > {now}
            LIMIT :bound
        ) AS counted
    ),
    (
        SELECT COUNT(*) FROM (
            SELECT 1 FROM {messages} FORCE INDEX (in_queue) WHERE state = 5 AND queue = :queue LIMIT :bound
        ) AS counted
    ),
    (
        SELECT COUNT(*) FROM (
            SELECT 1 FROM {messages} FORCE INDEX (in_queue) WHERE state = 6 AND queue = :queue LIMIT :bound
        ) AS counted
    ),
    (SELECT paused FROM {queues} WHERE n = :queue),
    (SELECT paused_at FROM {queues} WHERE n = :queue)

-- name: oldest
SELECT :queue, (
    SELECT MIN(sort_at) FROM {messages} FORCE INDEX (in_queue)
    WHERE state = :state AND queue = :queue AND priority_rank = :rank AND sort_at <= {now}
)

-- name: pause
UPDATE {queues} SET paused_at = IF(paused, paused_at, {now}), paused = 1 WHERE n = :queue

-- name: resume
UPDATE {queues} SET paused = 0, paused_at = NULL WHERE n = :queue

-- name: paused
SELECT name FROM {queues} WHERE namespace = :namespace AND paused

-- name: record_worker
INSERT INTO {workers} (namespace, id, description, ends_at) VALUES (:namespace, :id, :description, {now} + :ttl)
ON DUPLICATE KEY UPDATE description = :description, ends_at = {now} + :ttl

-- name: forget_worker
DELETE FROM {workers} WHERE namespace = :namespace AND id = :id

-- name: workers
SELECT description FROM {workers} WHERE namespace = :namespace AND ends_at > {now} ORDER BY id

-- name: lock_dead
SELECT named.n, messages.queue, messages.profile, messages.payload, messages.unique_hash
FROM JSON_TABLE(:ids, '$[*]' COLUMNS (n FOR ORDINALITY, id CHAR(32) PATH '$')) AS named
STRAIGHT_JOIN {messages} AS messages FORCE INDEX (PRIMARY)
    ON messages.id = UNHEX(named.id) AND messages.namespace = :namespace
WHERE messages.state = 6
FOR UPDATE

-- name: queues_of_waiting
SELECT messages.queue
FROM JSON_TABLE(:ids, '$[*]' COLUMNS (id CHAR(32) PATH '$')) AS named
STRAIGHT_JOIN {messages} AS messages FORCE INDEX (PRIMARY)
    ON messages.id = UNHEX(named.id) AND messages.namespace = :namespace
WHERE messages.state IN (2, 3)

-- name: lock_waiting
SELECT named.n, messages.queue, messages.profile, messages.payload, messages.due_at, messages.sort_at,
    messages.started
FROM JSON_TABLE(:ids, '$[*]' COLUMNS (n FOR ORDINALITY, id CHAR(32) PATH '$')) AS named
STRAIGHT_JOIN {messages} AS messages FORCE INDEX (PRIMARY)
    ON messages.id = UNHEX(named.id) AND messages.namespace = :namespace
WHERE messages.state IN (2, 3)
FOR UPDATE

-- name: edit_waiting
UPDATE {messages} FORCE INDEX (PRIMARY)
SET queue = :queue, state = :state, priority_rank = :priority_rank, alarm = :alarm, alarm_at = :alarm_at,
    due_at = :due_at, sort_at = :sort_at, started = :started, expires = :expires, size = :size,
    profile = :profile, payload = :payload
WHERE id = :id AND namespace = :namespace AND state + 0 IN (2, 3)

-- name: keys_of_dead
SELECT named.n, messages.unique_hash
FROM JSON_TABLE(:ids, '$[*]' COLUMNS (n FOR ORDINALITY, id CHAR(32) PATH '$')) AS named
STRAIGHT_JOIN {messages} AS messages FORCE INDEX (PRIMARY)
    ON messages.id = UNHEX(named.id) AND messages.namespace = :namespace
WHERE messages.state = 6 AND messages.unique_hash IS NOT NULL

-- name: requeue
UPDATE JSON_TABLE(:rows, '$[*]' COLUMNS (id CHAR(32) PATH '$[0]', priority_rank TINYINT PATH '$[1]')) AS named
STRAIGHT_JOIN {messages} AS messages FORCE INDEX (PRIMARY)
    ON messages.id = UNHEX(named.id) AND messages.namespace = :namespace
SET messages.state = 3, messages.priority_rank = named.priority_rank, messages.sort_at = :now,
    messages.due_at = :now, messages.alarm = IF(messages.expires IS NULL, NULL, 3),
    messages.alarm_at = :now + LEAST(messages.expires, 1152921504606846976),
    messages.started = 0, messages.attempt = 0, messages.lost = 0,
    messages.mismatched_at = NULL, messages.error = NULL, messages.reason = NULL, messages.finished_at = NULL,
    messages.about = NULL
WHERE messages.state = 6

-- name: edit
UPDATE {messages} FORCE INDEX (PRIMARY)
SET queue = :queue, expires = :expires, result_ttl = :result_ttl, max_lost = :max_lost,
    unique_hash = :unique_hash, size = :size, profile = :profile, payload = :payload
WHERE id = :id AND namespace = :namespace AND state + 0 = 6

-- name: delete_dead
DELETE messages
FROM JSON_TABLE(:ids, '$[*]' COLUMNS (id CHAR(32) PATH '$')) AS named
STRAIGHT_JOIN {messages} AS messages FORCE INDEX (PRIMARY)
    ON messages.id = UNHEX(named.id) AND messages.namespace = :namespace
WHERE messages.state = 6

-- name: purgeable
SELECT id, unique_hash
FROM {messages} FORCE INDEX (in_queue)
WHERE state = :state AND queue = :queue
LIMIT :bound

-- name: purgeable_due
SELECT id, unique_hash
FROM {messages} FORCE INDEX (in_queue)
WHERE state = 2 AND queue = :queue AND priority_rank IN (0, 1, 2, 3, 4, 5, 6, 7, 8, 9) AND sort_at <= {now}
LIMIT :bound

-- name: purgeable_scheduled
SELECT id, unique_hash
FROM {messages} FORCE INDEX (in_queue)
WHERE state = 2 AND queue = :queue AND priority_rank IN (0, 1, 2, 3, 4, 5, 6, 7, 8, 9) AND sort_at > {now}
LIMIT :bound

-- name: lock_keys
SELECT unique_keys.hash
FROM JSON_TABLE(:hashes, '$[*]' COLUMNS (hash CHAR(64) PATH '$')) AS named
STRAIGHT_JOIN {unique_keys} AS unique_keys FORCE INDEX (PRIMARY)
    ON unique_keys.hash = UNHEX(named.hash) AND unique_keys.namespace = :namespace
FOR UPDATE

-- name: lock_doomed
SELECT named.n, messages.unique_hash
FROM JSON_TABLE(:ids, '$[*]' COLUMNS (n FOR ORDINALITY, id CHAR(32) PATH '$')) AS named
STRAIGHT_JOIN {messages} AS messages FORCE INDEX (PRIMARY)
    ON messages.id = UNHEX(named.id) AND messages.namespace = :namespace
WHERE messages.state = :state AND messages.queue = :queue
FOR UPDATE SKIP LOCKED

-- name: purge
DELETE messages
FROM JSON_TABLE(:ids, '$[*]' COLUMNS (id CHAR(32) PATH '$')) AS named
STRAIGHT_JOIN {messages} AS messages FORCE INDEX (PRIMARY)
    ON messages.id = UNHEX(named.id) AND messages.namespace = :namespace
WHERE messages.state = :state

-- name: purge_keys
DELETE unique_keys
FROM JSON_TABLE(:rows, '$[*]' COLUMNS (hash CHAR(64) PATH '$[0]', id CHAR(32) PATH '$[1]')) AS named
STRAIGHT_JOIN {unique_keys} AS unique_keys FORCE INDEX (PRIMARY)
    ON unique_keys.hash = UNHEX(named.hash) AND unique_keys.namespace = :namespace
WHERE unique_keys.holder = UNHEX(named.id)

-- name: queues_of_dead
SELECT messages.queue
FROM JSON_TABLE(:ids, '$[*]' COLUMNS (id CHAR(32) PATH '$')) AS named
STRAIGHT_JOIN {messages} AS messages FORCE INDEX (PRIMARY)
    ON messages.id = UNHEX(named.id) AND messages.namespace = :namespace
WHERE messages.state = 6

-- name: lock_hashes_of_dead
SELECT named.n, messages.unique_hash
FROM JSON_TABLE(:ids, '$[*]' COLUMNS (n FOR ORDINALITY, id CHAR(32) PATH '$')) AS named
STRAIGHT_JOIN {messages} AS messages FORCE INDEX (PRIMARY)
    ON messages.id = UNHEX(named.id) AND messages.namespace = :namespace
WHERE messages.state = 6
FOR UPDATE

-- name: request_workers
-- The greatest request, to stop, stays.
INSERT INTO {worker_requests} (namespace, owner, request, requested_at) VALUES :rows
ON DUPLICATE KEY UPDATE request = IF(request = 2, 2, :request), requested_at = {now}

-- name: forget_requests
DELETE FROM {worker_requests}
WHERE namespace = :namespace AND requested_at < {now} - :kept AND owner NOT IN (:living)

-- name: worker_requests
SELECT owner, request FROM {worker_requests} WHERE namespace = :namespace AND owner IN (:owners)
