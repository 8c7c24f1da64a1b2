-- Statements about the counts of workers.

-- name: lock_source
-- Locks the row of a worker, which is new if it never flushed.
INSERT INTO {metric_sources} (namespace, hash, number, seen_at) VALUES (:namespace, :hash, -1, {now})
ON DUPLICATE KEY UPDATE number = {metric_sources}.number

-- name: source
SELECT number, {now} FROM {metric_sources} WHERE namespace = :namespace AND hash = :hash

-- name: set_source
UPDATE {metric_sources} SET number = :number, seen_at = {now} WHERE namespace = :namespace AND hash = :hash

-- name: counts
SELECT named.n, counted.counts
FROM JSON_TABLE(:places, '$[*]' COLUMNS (
    n FOR ORDINALITY, starts_at INT PATH '$[0]', hash CHAR(64) PATH '$[1]'
)) AS named
STRAIGHT_JOIN {task_counts} AS counted FORCE INDEX (PRIMARY)
    ON counted.namespace = :namespace AND counted.span = :span AND counted.starts_at = named.starts_at
    AND counted.hash = UNHEX(named.hash)

-- name: set_counts
INSERT INTO {task_counts} (namespace, span, starts_at, hash, queue, task, counts) VALUES :rows {as_new}
ON DUPLICATE KEY UPDATE counts = {new.counts}

-- name: set_recent
INSERT INTO {recent_outcomes} (namespace, hash, queue_hash, queue, source, data, seen_at) VALUES :rows {as_new}
ON DUPLICATE KEY UPDATE data = {new.data}, seen_at = {new.seen_at}

-- name: is_due
SELECT EXISTS (
    SELECT 1 FROM {task_counts} WHERE namespace = :namespace AND span = 1 AND starts_at < :minute
) OR EXISTS (
    SELECT 1 FROM {task_counts} WHERE namespace = :namespace AND span = 60 AND starts_at < :hour
) OR EXISTS (
    SELECT 1 FROM {metric_sources} WHERE namespace = :namespace AND seen_at <= :since
) OR EXISTS (
    SELECT 1 FROM {recent_outcomes} WHERE namespace = :namespace AND seen_at <= :since
)

-- name: now
SELECT {now}

-- name: try_lock
-- The row with the hash 0 is the lock of the upkeep.
SELECT hash FROM {metric_sources} WHERE namespace = :namespace AND hash = :hash FOR UPDATE SKIP LOCKED

-- name: is_lock_there
SELECT COUNT(*) FROM {metric_sources} WHERE namespace = :namespace AND hash = :hash

-- name: make_lock
INSERT INTO {metric_sources} (namespace, hash, number, seen_at) VALUES (:namespace, :hash, 0, :never)
ON DUPLICATE KEY UPDATE number = {metric_sources}.number

-- name: old_minutes
SELECT starts_at, hash, queue, task, counts FROM {task_counts} FORCE INDEX (PRIMARY)
WHERE namespace = :namespace AND span = 1 AND starts_at < :minute
ORDER BY starts_at, hash
LIMIT :bound

-- name: delete_minutes
DELETE FROM {task_counts}
WHERE namespace = :namespace AND span = 1 AND starts_at <= :start AND (starts_at < :start OR hash <= :hash)

-- name: forget_hours
DELETE FROM {task_counts}
WHERE namespace = :namespace AND span = 60 AND starts_at < :hour
LIMIT :bound

-- name: forget_sources
DELETE FROM {metric_sources} WHERE namespace = :namespace AND seen_at <= :since LIMIT :bound

-- name: forget_recent
DELETE FROM {recent_outcomes} WHERE namespace = :namespace AND seen_at <= :since LIMIT :bound

-- name: first_row
SELECT starts_at FROM {task_counts} FORCE INDEX (PRIMARY)
WHERE namespace = :namespace AND span = :span AND starts_at >= :start AND starts_at < :end
    AND (starts_at > :start OR hash > :behind)
ORDER BY starts_at, hash
LIMIT 1

-- name: rows
SELECT starts_at, queue, task, hash, counts FROM {task_counts} FORCE INDEX (PRIMARY)
WHERE namespace = :namespace AND span = :span AND starts_at >= :start AND starts_at < :end
    AND (starts_at > :start OR hash > :behind)
    AND (:of_queue IS NULL OR queue = :of_queue)
    AND (:of_task IS NULL OR task = :of_task)
    AND (:of_prefix IS NULL OR LEFT(task, LENGTH(:of_prefix)) = :of_prefix)
ORDER BY starts_at, hash
LIMIT :limit

-- name: recent
SELECT hash, queue, source, data FROM {recent_outcomes}
WHERE namespace = :namespace AND hash > :behind
ORDER BY hash
LIMIT :limit

-- name: recent_of_queue
SELECT hash, queue, source, data FROM {recent_outcomes}
WHERE namespace = :namespace AND queue_hash = :queue_hash AND hash > :behind
ORDER BY hash
LIMIT :limit
