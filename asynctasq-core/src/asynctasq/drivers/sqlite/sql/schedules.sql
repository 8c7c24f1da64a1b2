-- Queries about schedules. A time that no clock reaches is damaged.

-- name: next
SELECT claimable_at FROM schedules
WHERE namespace = :namespace AND claimable_at IS NOT NULL AND claimable_at < :never
ORDER BY claimable_at
LIMIT 1

-- name: due
SELECT n, {columns} FROM schedules
WHERE namespace = :namespace AND claimable_at IS NOT NULL AND claimable_at <= :now
ORDER BY claimable_at
LIMIT :limit

-- name: hide
UPDATE schedules SET claimable_at = :until WHERE n IN (SELECT value FROM json_each(:rows))

-- name: delete_rows
DELETE FROM schedules WHERE n IN (SELECT value FROM json_each(:rows))

-- name: one
SELECT {columns} FROM schedules WHERE namespace = :namespace AND id = :id

-- name: list
SELECT {columns} FROM schedules
WHERE namespace = :namespace AND id > :after AND id < x''
ORDER BY id
LIMIT :limit

-- name: put
INSERT OR REPLACE INTO schedules (
    namespace, id, definition, rhythm, next_at, claimable_at, revision, paused, declared_by, seen_at, fired_at
)
VALUES (
    :namespace, :id, :definition, :rhythm, :next_at, :claimable_at, :revision, :paused, :declared_by, :now,
    :fired_at
)

-- name: see
UPDATE schedules
SET declared_by = :declared_by, seen_at = :now, orphaned = 0,
    claimable_at = CASE WHEN orphaned = 0 THEN claimable_at WHEN paused = 0 THEN :claimable_at END
WHERE namespace = :namespace AND id = :id

-- name: fire
UPDATE schedules
SET next_at = :next_at, claimable_at = :claimable_at, fired_at = coalesce(:fired_at, fired_at)
WHERE namespace = :namespace AND id = :id AND revision = :revision AND next_at = :planned
    AND paused = 0 AND orphaned = 0

-- name: pause
UPDATE schedules SET paused = 1, claimable_at = NULL WHERE namespace = :namespace AND id = :id

-- name: resume
UPDATE schedules
SET paused = 0,
    claimable_at = CASE WHEN paused = 0 THEN claimable_at WHEN orphaned = 0 THEN :claimable_at END
WHERE namespace = :namespace AND id = :id

-- name: orphan
UPDATE schedules SET orphaned = 1, claimable_at = NULL
WHERE namespace = :namespace AND id = :id AND declared_by IS NOT NULL AND seen_at <= :orphaned_before

-- name: remove
DELETE FROM schedules WHERE namespace = :namespace AND id = :id
