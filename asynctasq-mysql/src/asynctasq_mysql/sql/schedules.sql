-- Statements about schedules. A time that no clock reaches is damaged. Locks are taken in the order of the names, or
-- those of other transactions are skipped.

-- name: look
-- The time, and when the next schedule can be claimed.
SELECT {now}, (
    SELECT claimable_at FROM {timetable} FORCE INDEX (by_time)
    WHERE namespace = :namespace AND claimable_at <= :forever
    ORDER BY claimable_at
    LIMIT 1
)

-- name: due
SELECT n, id, definition, rhythm, next_at, claimable_at, revision, paused, orphaned, declared_by, seen_at, fired_at
FROM {timetable} FORCE INDEX (by_time)
WHERE namespace = :namespace AND claimable_at <= {now}
ORDER BY claimable_at
LIMIT :limit
FOR UPDATE SKIP LOCKED

-- name: hide
UPDATE {timetable} FORCE INDEX (PRIMARY) SET claimable_at = :until WHERE n IN (:numbers)

-- name: delete
DELETE timetable
FROM JSON_TABLE(:rows, '$[*]' COLUMNS (n BIGINT PATH '$[0]')) AS named
STRAIGHT_JOIN {timetable} AS timetable FORCE INDEX (PRIMARY) ON timetable.n = named.n

-- name: lock
SELECT n, id, definition, rhythm, next_at, claimable_at, revision, paused, orphaned, declared_by, seen_at, fired_at
FROM {timetable} FORCE INDEX (by_id)
WHERE namespace = :namespace AND id IN (:names)
ORDER BY id
FOR UPDATE

-- name: lock_names
SELECT n, id FROM {timetable} FORCE INDEX (by_id)
WHERE namespace = :namespace AND id IN (:names)
ORDER BY id
FOR UPDATE

-- name: lock_running
-- Those that are neither paused nor orphaned.
SELECT n, id, next_at, revision FROM {timetable} FORCE INDEX (by_id)
WHERE namespace = :namespace AND id IN (:names) AND paused = 0 AND orphaned = 0
ORDER BY id
FOR UPDATE

-- name: set_times
-- An update of one table: one that joins JSON_TABLE takes three times as long.
UPDATE {timetable} FORCE INDEX (PRIMARY)
SET next_at = :next_at, claimable_at = :claimable_at, fired_at = COALESCE(:fired_at, fired_at)
WHERE n IN (:numbers)

-- name: add
-- A known name is an error: another call has just added it, and this one is repeated.
INSERT INTO {timetable} (
    n, namespace, id, definition, rhythm, next_at, claimable_at, revision, paused, orphaned, declared_by, seen_at
) VALUES :rows

-- name: put
-- Rows that this transaction has locked.
INSERT INTO {timetable} (
    n, namespace, id, definition, rhythm, next_at, claimable_at, revision, paused, orphaned, declared_by, seen_at
) VALUES :rows {as_new}
ON DUPLICATE KEY UPDATE definition = {new.definition}, rhythm = {new.rhythm}, next_at = {new.next_at},
    claimable_at = {new.claimable_at}, revision = {new.revision}, paused = {new.paused}, orphaned = {new.orphaned},
    declared_by = {new.declared_by}, seen_at = {new.seen_at}

-- name: set_states
UPDATE JSON_TABLE(
    :rows, '$[*]' COLUMNS (
        n BIGINT PATH '$[0]', claimable_at BIGINT PATH '$[1]', paused TINYINT PATH '$[2]', orphaned TINYINT PATH '$[3]',
        seen_at BIGINT PATH '$[4]'
    )
) AS named
STRAIGHT_JOIN {timetable} AS timetable FORCE INDEX (PRIMARY) ON timetable.n = named.n
SET timetable.claimable_at = named.claimable_at, timetable.paused = named.paused,
    timetable.orphaned = named.orphaned, timetable.seen_at = named.seen_at

-- name: find
SELECT n, id, definition, rhythm, next_at, claimable_at, revision, paused, orphaned, declared_by, seen_at, fired_at
FROM {timetable} FORCE INDEX (by_id)
WHERE namespace = :namespace AND id IN (:names)

-- name: list
SELECT n, id, definition, rhythm, next_at, claimable_at, revision, paused, orphaned, declared_by, seen_at, fired_at
FROM {timetable} FORCE INDEX (by_id)
WHERE namespace = :namespace AND id > :after
ORDER BY id
LIMIT :limit
