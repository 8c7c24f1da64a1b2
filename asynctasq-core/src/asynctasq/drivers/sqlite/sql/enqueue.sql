-- Queries that add messages.

-- name: insert
-- One statement for any number of messages that share a profile. :blob is each id followed by its
-- payload. :index has one member a message: the place of the id in :blob, shifted left by 31, plus
-- the size of the payload. It is an array if all are due now, and otherwise an object, in which the
-- name of a member says when it is due: a time, or a delay as a negative number.
INSERT INTO messages (
    id, namespace, queue, state, rank, due_at, enqueued_at, leased_at, expires, expires_at, result_ttl,
    max_lost, unique_key, profile, payload
)
SELECT
    substr(:blob, place, 16), :namespace, :queue, 2 + (due_at <= :now), :rank, due_at, :now, :now, :expires,
    due_at + :expires, :result_ttl, :max_lost, :unique_key, :profile,
    substr(:blob, place + 16, size)
FROM (
    SELECT
        value >> 31 AS place,
        value & 2147483647 AS size,
        max(
            :now,
            -- Numbers, as the keys of an array, and texts with a minus sign sort before a dot.
            CASE WHEN key < '.' THEN :now - key ELSE key + 0 END
        ) AS due_at
    FROM json_each(:index)
)

-- name: known
SELECT state, forget_at FROM messages WHERE id = :id AND namespace = :namespace

-- name: forget
DELETE FROM messages WHERE id = :id AND namespace = :namespace

-- name: holder
-- A key that is held for no period is held by a message that has not ended. The trigger of the schema
-- frees it; where its row or its holder was damaged, it counts as free.
SELECT holder
FROM unique_keys
WHERE namespace = :namespace AND key = :key AND typeof(holder) = 'blob' AND length(holder) = 16
    AND CASE until
        WHEN 'period' THEN typeof(ends_at) = 'integer' AND ends_at > :now
        ELSE EXISTS (
            SELECT 1 FROM messages
            WHERE messages.id = holder AND messages.namespace = :namespace AND state <= 5
        )
    END

-- name: hold
INSERT OR REPLACE INTO unique_keys (namespace, key, holder, until, period, ends_at)
VALUES (:namespace, :key, :holder, :until, :period, :ends_at)

-- name: prolong_period
UPDATE unique_keys SET ends_at = :now + coalesce(:period, period)
WHERE namespace = :namespace AND key = :key AND until = 'period'

-- name: reschedule
UPDATE messages
SET due_at = :due_at, expires_at = :due_at + expires, state = 2 + (:due_at <= :now)
WHERE id = :id AND namespace = :namespace AND state = 2 AND due_at > :now

-- name: cancel_waiting
UPDATE messages
SET state = 8, finished_at = :now, forget_at = :now + max(result_ttl, {outcome_ttl_least}),
    expires_at = NULL, mismatched_at = NULL, progress = NULL, error = NULL,
    profile = NULL, payload = NULL
WHERE id = :id AND namespace = :namespace AND state <= 4
