-- Queries that lease messages and keep leases.

-- name: look
-- Whether upkeep is due, whether leases have ended, and which of :queues have ready messages.
SELECT
    EXISTS (SELECT 1 FROM messages WHERE namespace = :namespace AND state = 2 AND due_at <= :now)
    OR EXISTS (SELECT 1 FROM messages WHERE namespace = :namespace AND expires_at <= :now)
    OR EXISTS (SELECT 1 FROM messages WHERE namespace = :namespace AND forget_at <= :now)
    OR EXISTS (SELECT 1 FROM messages WHERE namespace = :namespace AND reason IS NOT NULL AND finished_at <= :dead_since)
    OR EXISTS (SELECT 1 FROM unique_keys WHERE namespace = :namespace AND ends_at <= :now)
    OR EXISTS (SELECT 1 FROM workers WHERE namespace = :namespace AND ends_at <= :now)
    OR EXISTS (SELECT 1 FROM brokered WHERE namespace = :namespace AND ends_at <= :now),
    EXISTS (SELECT 1 FROM owners WHERE namespace = :namespace AND deadline <= :now),
    (
        SELECT json_group_array(value) FROM json_each(:queues) AS named
        WHERE EXISTS (SELECT 1 FROM messages WHERE state = 3 AND queue = named.value)
            AND NOT (SELECT paused FROM queues WHERE key = named.value)
    )

-- name: claim
-- The next messages of a queue, as one row: each step of a statement releases Python's global
-- lock and has to get it back, which takes long when the event loop is busy. Large payloads would
-- make that row too large, and are read one by one. The first column counts the rows that are not
-- damaged: a value of another length would shift those behind it. SQLite sorts texts above all numbers,
-- and bytes above all texts, so that a comparison tells the type. A lease that is not in the past is the
-- token of the next one, or was given before the clock was set back.
SELECT
    count(is_sound),
    json_group_array(json_array(
        n, token, attempt, lost, enqueued_at, wait, mismatched_at, length(profile), length(payload)
    )),
    CAST(group_concat(
        id || profile || CASE WHEN length(payload) <= :large THEN payload ELSE x'' END, ''
    ) AS BLOB)
FROM (
    SELECT n, id, token, attempt, lost, enqueued_at, due_at - enqueued_at AS wait, mismatched_at,
        profile, payload,
        CASE
            WHEN leased_at < :now AND length(id) = 16 AND id >= x'' AND namespace IS :namespace
                AND max_lost < :never AND due_at < :never AND enqueued_at >= 0 AND enqueued_at < :never
            THEN 1
        END AS is_sound
    FROM messages
    WHERE state = 3 AND queue = :queue AND (expires_at IS NULL OR expires_at > :now)
    ORDER BY rank, due_at, id
    LIMIT :limit
)

-- name: payload
SELECT CAST(payload AS BLOB) FROM messages WHERE n = :n

-- name: payloads
SELECT CAST(group_concat(payload, '') AS BLOB)
FROM json_each(:taken) AS named CROSS JOIN messages
WHERE n = named.value

-- name: lease
-- The token is a time: it grows even if a power failure undoes the last leases, which are not synced.
-- The column `token` counts leases, and tells processes of the release before that a lease is not theirs.
UPDATE messages
SET state = 5, token = token + 1, owner = :owner,
    leased_at = CASE WHEN leased_at < :now THEN :now ELSE leased_at + 1 END,
    reserved_at = CASE WHEN leased_at < :now THEN NULL ELSE :now END, expires_at = NULL
WHERE n IN (SELECT value FROM json_each(:taken))

-- name: renew_by_reserve
INSERT INTO owners (namespace, name, deadline) VALUES (:namespace, :owner, :deadline)
ON CONFLICT DO UPDATE SET deadline = max(deadline, excluded.deadline)
RETURNING key

-- name: renew_if_known
UPDATE owners SET deadline = CASE typeof(deadline) WHEN 'integer' THEN max(deadline, :deadline) ELSE :deadline END
WHERE namespace = :namespace AND name = :owner
RETURNING key

-- name: mark
SELECT at, paused_until FROM upkeep WHERE namespace = :namespace

-- name: set_mark
INSERT OR REPLACE INTO upkeep (namespace, at, paused_until) VALUES (:namespace, :at, :paused_until)

-- name: any_leases
SELECT EXISTS (
    SELECT 1 FROM owners CROSS JOIN messages
    WHERE owners.namespace = :namespace AND messages.state = 5 AND messages.owner = owners.key
)

-- name: renew_by_extend
UPDATE owners SET deadline = :deadline WHERE namespace = :namespace AND name = :owner
RETURNING key

-- name: owner
SELECT key FROM owners WHERE namespace = :namespace AND name = :owner

-- name: leases_of_owner
SELECT json_group_array(n)
FROM (SELECT n FROM messages WHERE state = 5 AND owner = :owner LIMIT :bound)

-- name: delete_owner
DELETE FROM owners WHERE key = :owner

-- name: held
SELECT json_group_array(
    json_array(
        n, hex(id), CASE typeof(leased_at) WHEN 'integer' THEN leased_at END,
        CASE typeof(coalesce(reserved_at, leased_at))
            WHEN 'integer' THEN coalesce(reserved_at, leased_at) ELSE 0
        END
    )
)
FROM messages
WHERE state = 5 AND owner = :owner

-- name: flagged
SELECT id, leased_at
FROM messages
WHERE cancelling = 1 AND typeof(id) = 'blob' AND length(id) = 16 AND typeof(leased_at) = 'integer'
    AND owner = (SELECT key FROM owners WHERE namespace = :namespace AND name = :owner)

-- name: give_back
-- Take leases from their owner: flagged messages are cancelled; the others are ready again, or
-- dead if the loss is :counted and was one too many.
UPDATE messages
SET state = CASE
        WHEN cancelling THEN 8
        WHEN :counted AND lost >= max_lost THEN 6
        ELSE 3
    END,
    lost = lost + (:counted AND NOT cancelling),
    reason = CASE WHEN :counted AND lost >= max_lost AND NOT cancelling THEN 'lost' END,
    finished_at = CASE WHEN cancelling OR (:counted AND lost >= max_lost) THEN :now END,
    forget_at = CASE WHEN cancelling THEN :now + max(result_ttl, {outcome_ttl_least}) END,
    progress = CASE WHEN NOT (cancelling OR (:counted AND lost >= max_lost)) THEN progress END,
    error = CASE WHEN NOT cancelling THEN error END,
    payload = CASE WHEN NOT cancelling THEN payload END,
    cancelling = 0
WHERE n IN (SELECT value FROM json_each(:taken))
RETURNING id, queue, profile, state, attempt, lost,
    (SELECT name FROM owners WHERE owners.key = messages.owner)

-- name: watch_work
-- Whether there is a message to reserve, and when a message falls due or a lease may end next.
SELECT
    EXISTS (
        SELECT 1 FROM json_each(:queues) AS named
        WHERE EXISTS (SELECT 1 FROM messages WHERE state = 3 AND queue = named.value)
            AND NOT (SELECT paused FROM queues WHERE key = named.value)
    ),
    min(
        coalesce(
            (SELECT min(due_at) FROM messages WHERE namespace = :namespace AND state = 2), :never
        ),
        max(
            coalesce((SELECT min(deadline) FROM owners WHERE namespace = :namespace), :never),
            coalesce((SELECT paused_until FROM upkeep WHERE namespace = :namespace), 0)
        )
    )
