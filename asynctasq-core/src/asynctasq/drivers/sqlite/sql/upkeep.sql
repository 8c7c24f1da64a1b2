-- Queries of the upkeep; each moves at most :bound messages.

-- name: promote
UPDATE messages SET state = 3
WHERE n IN (
    SELECT n FROM messages
    WHERE namespace = :namespace AND state = 2 AND due_at <= :now
    ORDER BY due_at
    LIMIT :bound
)

-- name: ended_leases
SELECT json_group_array(n)
FROM (
    SELECT messages.n
    FROM owners CROSS JOIN messages
    WHERE owners.namespace = :namespace AND owners.deadline <= :now
        AND messages.state = 5 AND messages.owner = owners.key
    LIMIT :bound
)

-- name: end_damaged_owners
-- A deadline that no clock reaches is damaged. Texts come after all numbers.
UPDATE owners SET deadline = :now WHERE namespace = :namespace AND deadline > :never

-- name: deadlines
SELECT deadline FROM owners WHERE namespace = :namespace AND typeof(deadline) = 'integer'

-- name: move_deadlines
-- The clock was set back by :back.
UPDATE owners SET deadline = deadline - :back
WHERE namespace = :namespace AND deadline > :now AND deadline < :never

-- name: move_workers
UPDATE workers SET ends_at = ends_at - :back
WHERE namespace = :namespace AND ends_at > :now AND ends_at < :never

-- name: strays
-- Leases of owners that are not known. It steps from one owner to the next, not from lease to lease.
WITH RECURSIVE holders (owner) AS (
    SELECT min(owner) FROM messages INDEXED BY messages_leased WHERE state = 5
    UNION ALL
    SELECT (
        SELECT min(messages.owner) FROM messages INDEXED BY messages_leased
        WHERE state = 5 AND messages.owner > holders.owner
    )
    FROM holders WHERE holders.owner IS NOT NULL
)
SELECT json_group_array(n)
FROM (
    SELECT messages.n
    FROM holders CROSS JOIN messages INDEXED BY messages_leased
    WHERE state = 5 AND messages.owner = holders.owner AND messages.namespace = :namespace
        AND NOT EXISTS (
            SELECT 1 FROM owners WHERE owners.key = holders.owner AND owners.namespace = :namespace
        )
    LIMIT :bound
)

-- name: due_never
-- A time that no clock reaches is damaged: look at the message now.
UPDATE messages SET state = 3
WHERE n IN (
    SELECT n FROM messages
    WHERE namespace = :namespace AND state = 2 AND due_at > :never
    LIMIT :bound
)

-- name: forget_owners
DELETE FROM owners
WHERE namespace = :namespace AND deadline <= :now
    AND NOT EXISTS (SELECT 1 FROM messages WHERE state = 5 AND owner = owners.key)

-- name: expire
UPDATE messages
SET state = 6, reason = 'expired', error = NULL, finished_at = :now, expires_at = NULL,
    progress = NULL
WHERE n IN (
    SELECT n FROM messages
    WHERE namespace = :namespace AND expires_at <= :now
    ORDER BY expires_at
    LIMIT :bound
)
RETURNING id, queue, profile, state, attempt, lost, NULL

-- name: forget_outcomes
DELETE FROM messages
WHERE n IN (
    SELECT n FROM messages
    WHERE namespace = :namespace AND forget_at <= :now AND state IN (7, 8)
    ORDER BY forget_at
    LIMIT :bound
)

-- name: keep_unended
-- Only outcomes are forgotten: at others the time is damaged.
UPDATE messages SET forget_at = NULL
WHERE n IN (
    SELECT n FROM messages
    WHERE namespace = :namespace AND forget_at <= :now AND state NOT IN (7, 8)
    LIMIT :bound
)

-- name: states
-- Some messages one after the other, with their states.
SELECT n, state, namespace FROM messages WHERE n > :from ORDER BY n LIMIT :bound

-- name: forget_old_dead
DELETE FROM messages
WHERE n IN (
    SELECT n FROM messages
    WHERE namespace = :namespace AND reason IS NOT NULL AND finished_at <= :dead_since
    ORDER BY finished_at
    LIMIT :bound
)

-- name: forget_surplus_dead
DELETE FROM messages
WHERE n IN (
    SELECT n FROM messages
    WHERE namespace = :namespace AND reason IS NOT NULL
    ORDER BY finished_at DESC, id DESC
    LIMIT :bound OFFSET :kept
)

-- name: forget_keys
DELETE FROM unique_keys WHERE namespace = :namespace AND ends_at <= :now

-- name: forget_workers
DELETE FROM workers WHERE namespace = :namespace AND ends_at <= :now
