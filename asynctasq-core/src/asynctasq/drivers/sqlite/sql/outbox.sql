-- Queries of the outbox. Each finds `:now` and `:namespace` among its parameters. `{set_aside}` is the
-- `not_before` of rows that are not tried again.

-- name: version
SELECT max(version) FROM asynctasq_outbox_meta

-- name: add
-- One statement for any number of rows with one target. :blob is each ID followed by its message. :index has
-- a number for each row: the place of the ID in :blob, shifted left by 31, plus the size of the message.
INSERT INTO asynctasq_outbox (namespace, target, created_at, id, message)
SELECT
    :namespace, :target, :now,
    substr(:blob, value >> 31, 16), substr(:blob, (value >> 31) + 16, value & 2147483647)
FROM json_each(:index)
WHERE true
ON CONFLICT DO NOTHING
RETURNING id

-- name: due
-- Whether there is a row to send, and which relay may send it.
SELECT
    EXISTS (
        SELECT 1 FROM asynctasq_outbox
        WHERE namespace = :namespace AND target = :target AND not_before <= :now
    ),
    EXISTS (
        SELECT 1 FROM asynctasq_outbox_relays
        WHERE namespace = :namespace AND target = :target AND holder <> :holder
            AND held_until BETWEEN :now AND :latest
    )

-- name: hold
-- A time after `:latest` is a damaged one, or the clock was set back.
INSERT INTO asynctasq_outbox_relays (namespace, target, holder, held_until)
VALUES (:namespace, :target, :holder, :until)
ON CONFLICT (namespace, target) DO UPDATE
SET holder = excluded.holder, held_until = excluded.held_until
WHERE holder = excluded.holder OR held_until NOT BETWEEN :now AND :latest

-- name: release
DELETE FROM asynctasq_outbox_relays
WHERE namespace = :namespace AND target = :target AND holder = :holder

-- name: new
SELECT id, target, message, created_at, not_before, attempts, error
FROM asynctasq_outbox
WHERE namespace = :namespace AND target = :target AND not_before = 0
    AND typeof(id) = 'blob' AND length(id) = 16
ORDER BY id
LIMIT :limit

-- name: refused
SELECT id, target, message, created_at, not_before, attempts, error
FROM asynctasq_outbox
WHERE namespace = :namespace AND target = :target AND not_before > 0 AND not_before <= :now
    AND typeof(id) = 'blob' AND length(id) = 16
ORDER BY not_before, id
LIMIT :limit

-- name: refuse
UPDATE asynctasq_outbox
SET attempts = attempts + :counted, error = :error, not_before = :not_before
WHERE namespace = :namespace AND id = :id

-- name: delete
DELETE FROM asynctasq_outbox WHERE namespace = :namespace AND id = :id

-- name: retry
UPDATE asynctasq_outbox SET attempts = 0, not_before = 0 WHERE namespace = :namespace AND id = :id

-- name: waiting
-- The oldest row is the first by ID, unless IDs were chosen by the application.
SELECT count(*), min(created_at), (
    SELECT created_at FROM asynctasq_outbox
    WHERE namespace = :namespace AND not_before < {set_aside} AND typeof(created_at) = 'integer'
    ORDER BY id
    LIMIT 1
)
FROM (
    SELECT iif(typeof(created_at) = 'integer', created_at, NULL) AS created_at FROM asynctasq_outbox
    WHERE namespace = :namespace AND not_before < {set_aside}
    LIMIT :bound
)

-- name: set_aside
SELECT count(*) FROM (
    SELECT 1 FROM asynctasq_outbox WHERE namespace = :namespace AND not_before >= {set_aside} LIMIT :bound
)

-- name: rows
SELECT id, target, message, created_at, not_before, attempts, error
FROM asynctasq_outbox
WHERE namespace = :namespace AND id > :id AND (:set_aside IS NULL OR (not_before >= {set_aside}) = :set_aside)
ORDER BY id
LIMIT :limit
