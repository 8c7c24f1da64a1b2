-- Queries of listings, dead letters, pauses and workers.

-- name: holders
-- The owners of leases. It steps from one owner to the next, not from lease to lease.
WITH RECURSIVE holders (owner) AS (
    SELECT min(owner) FROM messages INDEXED BY messages_leased WHERE state = 5
    UNION ALL
    SELECT (
        SELECT min(messages.owner) FROM messages INDEXED BY messages_leased
        WHERE state = 5 AND messages.owner > holders.owner
    )
    FROM holders WHERE holders.owner IS NOT NULL
)
SELECT owner FROM holders

-- name: count
-- No state is counted further than :bound. Messages that are due count as ready, promoted or not.
SELECT
    min(
        (
            SELECT count(*)
            FROM (SELECT 1 FROM messages WHERE state = 3 AND queue = :queue LIMIT :bound)
        ) + coalesce(sum(due), 0),
        :bound
    ),
    min(coalesce(sum(scheduled), 0), :bound),
    (
        SELECT count(*)
        FROM (
            SELECT 1
            FROM ({holders}) AS holders CROSS JOIN messages INDEXED BY messages_leased
            WHERE state = 5 AND messages.owner = holders.owner AND queue = :queue
            LIMIT :bound
        )
    ),
    (
        SELECT count(*)
        FROM (SELECT 1 FROM messages WHERE reason IS NOT NULL AND queue = :queue LIMIT :bound)
    ),
    (SELECT paused FROM queues WHERE key = :queue),
    (SELECT paused_at FROM queues WHERE key = :queue AND paused),
    min(coalesce(min(oldest_ready), :never), coalesce(min(oldest_due), :never))
FROM (
    SELECT
        (
            SELECT count(*)
            FROM (
                SELECT 1 FROM messages INDEXED BY messages_scheduled_by_queue
                WHERE state = 2 AND queue = :queue AND rank = ranks.value AND due_at <= :now
                LIMIT :bound
            )
        ) AS due,
        (
            SELECT count(*)
            FROM (
                SELECT 1 FROM messages INDEXED BY messages_scheduled_by_queue
                WHERE state = 2 AND queue = :queue AND rank = ranks.value AND due_at > :now
                LIMIT :bound
            )
        ) AS scheduled,
        (
            SELECT min(due_at) FROM messages INDEXED BY messages_ready
            WHERE state = 3 AND queue = :queue AND rank = ranks.value
        ) AS oldest_ready,
        (
            SELECT min(due_at) FROM messages INDEXED BY messages_scheduled_by_queue
            WHERE state = 2 AND queue = :queue AND rank = ranks.value AND due_at <= :now
        ) AS oldest_due
    FROM json_each('[0,1,2,3,4,5,6,7,8,9]') AS ranks
)

-- name: find
SELECT {columns}
FROM json_each(:index) AS named CROSS JOIN messages
WHERE messages.id = substr(:ids, named.value, 16) AND namespace = :namespace AND state <= 6

-- name: outcomes
SELECT named.key, state, finished_at, payload, reason, error, about
FROM json_each(:index) AS named CROSS JOIN messages
WHERE messages.id = substr(:ids, named.value, 16) AND namespace = :namespace
    AND (state = 6 OR (state >= 7 AND forget_at > :now))

-- name: ended
-- Which of the messages named have ended, as one row.
SELECT json_group_array(named.key)
FROM json_each(:index) AS named CROSS JOIN messages
WHERE messages.id = substr(:ids, named.value, 16) AND namespace = :namespace AND state >= 6

-- name: progress
-- Notes about messages that a broker holds come first: a message of this store has none.
SELECT named.key, brokered.value
FROM json_each(:index) AS named CROSS JOIN brokered
WHERE namespace = :namespace AND brokered.id = substr(:ids, named.value, 16) AND fact = 5
    AND ends_at > :now
UNION ALL
SELECT named.key, progress
FROM json_each(:index) AS named CROSS JOIN messages
WHERE messages.id = substr(:ids, named.value, 16) AND namespace = :namespace AND state <= 6

-- name: known
-- The messages named that have not finished, as one row.
SELECT json_group_array(named.key)
FROM json_each(:index) AS named CROSS JOIN messages
WHERE messages.id = substr(:ids, named.value, 16) AND namespace = :namespace AND state <= 6

-- name: states
SELECT named.key, state, forget_at
FROM json_each(:index) AS named CROSS JOIN messages
WHERE messages.id = substr(:ids, named.value, 16) AND namespace = :namespace

-- name: current_states
SELECT named.key, state, due_at, forget_at
FROM json_each(:index) AS named CROSS JOIN messages
WHERE messages.id = substr(:ids, named.value, 16) AND namespace = :namespace

-- name: requeue
UPDATE messages
SET state = 3, due_at = :now, expires_at = :now + expires, attempt = 0, lost = 0,
    mismatched_at = NULL, error = NULL, reason = NULL, finished_at = NULL, about = NULL
WHERE id = :id AND namespace = :namespace AND state = 6

-- name: edit
UPDATE messages
SET queue = :queue, rank = :rank, expires = :expires, result_ttl = :result_ttl,
    max_lost = :max_lost, unique_key = :unique_key, profile = :profile, payload = :payload
WHERE id = :id AND namespace = :namespace AND state = 6

-- name: waiting
SELECT queue, profile, payload, due_at, expires_at FROM messages
WHERE id = :id AND namespace = :namespace AND state IN (2, 3)

-- name: edit_waiting
UPDATE messages
SET queue = :queue, rank = :rank, due_at = :due_at, state = 2 + (:due_at <= :now),
    expires = :expires, expires_at = :expires_at, profile = :profile, payload = :payload
WHERE id = :id AND namespace = :namespace AND state IN (2, 3)

-- name: dead
SELECT queue, profile, payload FROM messages
WHERE id = :id AND namespace = :namespace AND state = 6

-- name: delete_dead
DELETE FROM messages WHERE id = :id AND namespace = :namespace AND state = 6

-- name: purgeable_ready
SELECT n FROM messages WHERE state = 3 AND queue = :queue
UNION ALL
SELECT n
FROM json_each('[0,1,2,3,4,5,6,7,8,9]') AS ranks
CROSS JOIN messages INDEXED BY messages_scheduled_by_queue
WHERE state = 2 AND queue = :queue AND rank = ranks.value AND due_at <= :now
LIMIT :bound

-- name: purgeable_scheduled
SELECT n
FROM json_each('[0,1,2,3,4,5,6,7,8,9]') AS ranks
CROSS JOIN messages INDEXED BY messages_scheduled_by_queue
WHERE state = 2 AND queue = :queue AND rank = ranks.value AND due_at > :now
LIMIT :bound

-- name: purgeable_dead
SELECT n FROM messages WHERE reason IS NOT NULL AND queue = :queue LIMIT :bound

-- name: purge_keys
DELETE FROM unique_keys
WHERE namespace = :namespace AND (key, holder) IN (
    SELECT unique_key, messages.id
    FROM json_each(:doomed) AS named CROSS JOIN messages
    WHERE n = named.value AND unique_key IS NOT NULL
)

-- name: purge
DELETE FROM messages WHERE n IN (SELECT value FROM json_each(:doomed))

-- name: pause
UPDATE queues
SET paused = :paused,
    paused_at = CASE WHEN :paused THEN CASE WHEN paused THEN paused_at ELSE :now END END
WHERE key = :queue

-- name: paused
SELECT name FROM queues WHERE namespace = :namespace AND paused

-- name: queues
-- Queues that hold a message or are paused. Names of queues are never deleted, and there may be many.
SELECT key, name
FROM queues
WHERE namespace = :namespace AND (
    paused
    OR EXISTS (SELECT 1 FROM messages WHERE state = 3 AND queue = queues.key)
    OR EXISTS (SELECT 1 FROM messages WHERE reason IS NOT NULL AND queue = queues.key)
    OR EXISTS (
        SELECT 1 FROM messages INDEXED BY messages_scheduled_by_queue
        WHERE state = 2 AND queue = queues.key
    )
    OR key IN (SELECT queue FROM messages INDEXED BY messages_leased WHERE state = 5)
)
ORDER BY name

-- name: queue_key
SELECT key FROM queues WHERE namespace = :namespace AND name = :name

-- name: queue_name
SELECT name FROM queues WHERE key = :queue

-- name: add_queue
INSERT INTO queues (namespace, name) VALUES (:namespace, :name)

-- name: add_queue_if_missing
INSERT INTO queues (namespace, name) VALUES (:namespace, :name) ON CONFLICT DO NOTHING

-- name: file_of_connection
SELECT file FROM pragma_database_list WHERE name = 'main'

-- name: namespace
SELECT key FROM namespaces WHERE name = :name

-- name: add_namespace
INSERT INTO namespaces (name) VALUES (:name) ON CONFLICT DO NOTHING

-- name: record_worker
INSERT OR REPLACE INTO workers (namespace, id, description, ends_at)
VALUES (:namespace, :id, :description, :ends_at)

-- name: forget_worker
DELETE FROM workers WHERE namespace = :namespace AND id = :id

-- name: workers
SELECT description FROM workers
WHERE namespace = :namespace AND ends_at > :now AND typeof(ends_at) = 'integer' ORDER BY id

-- name: request_worker
-- The greatest request, to stop, stays.
INSERT INTO worker_requests (namespace, owner, request, requested_at)
VALUES (:namespace, :owner, :request, :now)
ON CONFLICT (namespace, owner) DO UPDATE
SET request = excluded.request, requested_at = excluded.requested_at
WHERE worker_requests.request IS NOT 2

-- name: worker_request
SELECT request FROM worker_requests WHERE namespace = :namespace AND owner = :owner

-- name: forget_requests
DELETE FROM worker_requests
WHERE namespace = :namespace AND requested_at < :before
    AND owner NOT IN (SELECT value FROM json_each(:living))
