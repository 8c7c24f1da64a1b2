-- Queries about messages that a broker holds.

-- name: facts
SELECT named.key, fact, brokered.value
FROM json_each(:index) AS named CROSS JOIN brokered
WHERE namespace = :namespace AND brokered.id = substr(:ids, named.value, 16) AND ends_at > :now

-- name: keep_fact
INSERT OR REPLACE INTO brokered (namespace, id, fact, value, ends_at)
VALUES (:namespace, :id, :fact, :value, :now + :ttl)

-- name: drop_facts
DELETE FROM brokered WHERE namespace = :namespace AND id = :id

-- name: forget_facts
-- A time that no clock reaches is damaged.
DELETE FROM brokered
WHERE namespace = :namespace AND (id, fact) IN (
    SELECT id, fact FROM brokered
    WHERE namespace = :namespace AND (ends_at <= :now OR ends_at > :never)
    LIMIT :bound
)

-- name: add_outcome
INSERT INTO messages (
    id, namespace, queue, state, rank, due_at, enqueued_at, leased_at, result_ttl, max_lost,
    finished_at, forget_at, about, payload
)
VALUES (
    :id, :namespace, :queue, :state, :rank, :now, :enqueued_at, :now, :result_ttl, :max_lost,
    :now, :now + :keep, :about, :result
)

-- name: bury
-- Makes a dead letter of a message that was added in the same transaction.
UPDATE messages
SET state = 6, reason = :reason, error = :error, finished_at = :now, expires_at = NULL,
    enqueued_at = :enqueued_at, attempt = :attempt, lost = :lost, about = :about
WHERE id = :id AND namespace = :namespace

-- name: give_past
UPDATE messages
SET state = 2 + (:due_at <= :now), due_at = :due_at, enqueued_at = :enqueued_at, attempt = :attempt,
    lost = :lost, error = :error, progress = :progress, token = 1, expires_at = NULL
WHERE id = :id AND namespace = :namespace
