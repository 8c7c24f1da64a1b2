-- Queries for rows that may be damaged.

-- name: next
SELECT n FROM messages
WHERE state = 3 AND queue = :queue AND (expires_at IS NULL OR expires_at > :now)
ORDER BY rank, due_at, id
LIMIT :limit

-- name: in_no_queue
-- Messages whose queue has no name. Numbers of queues are given in order and never deleted.
SELECT n FROM messages INDEXED BY messages_ready
WHERE state = 3 AND queue > (SELECT coalesce(max(key), 0) FROM queues) AND namespace = :namespace
UNION ALL
SELECT n FROM messages INDEXED BY messages_ready
WHERE state = 3 AND queue < 1 AND namespace = :namespace
LIMIT :limit

-- name: row
SELECT id, namespace, token, attempt, lost, enqueued_at, mismatched_at, max_lost, due_at, profile,
    payload, leased_at
FROM messages WHERE n = :n

-- name: make_dead_letter
UPDATE messages
SET state = 6, reason = 'undecodable', error = :error, finished_at = :now, expires_at = NULL,
    mismatched_at = NULL, progress = NULL, cancelling = 0, id = :id, namespace = :namespace,
    token = :token, leased_at = :leased_at, attempt = :attempt, lost = :lost, max_lost = :max_lost,
    enqueued_at = :enqueued_at, due_at = :due_at, payload = :payload, forget_at = NULL
WHERE n = :n
