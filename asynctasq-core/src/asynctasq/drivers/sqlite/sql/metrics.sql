-- Queries about the counts of workers. Names are stored as their bytes.

-- name: add_flush
-- Answers with a row if the flush is a new one.
INSERT INTO metric_sources (namespace, source, number, seen_at)
VALUES (:namespace, :source, :number, :now)
ON CONFLICT (namespace, source) DO UPDATE SET number = excluded.number, seen_at = excluded.seen_at
WHERE typeof(number) <> 'integer' OR number < excluded.number
RETURNING number

-- name: counts
SELECT counts FROM task_counts
WHERE namespace = :namespace AND span = :span AND start = :start AND queue = :queue AND task = :task

-- name: set_counts
INSERT OR REPLACE INTO task_counts (namespace, span, start, queue, task, counts)
VALUES (:namespace, :span, :start, :queue, :task, :counts)

-- name: set_recent
INSERT OR REPLACE INTO recent_outcomes (namespace, queue, source, data, seen_at)
VALUES (:namespace, :queue, :source, :data, :now)

-- name: old_minutes
SELECT start, queue, task, counts FROM task_counts
WHERE namespace = :namespace AND span = 1 AND start < :first
ORDER BY start, queue, task
LIMIT :bound

-- name: delete_minutes
DELETE FROM task_counts
WHERE namespace = :namespace AND span = 1 AND (start, queue, task) <= (:start, :queue, :task)

-- name: forget_hours
DELETE FROM task_counts
WHERE namespace = :namespace AND span = 60 AND (start, queue, task) IN (
    SELECT start, queue, task FROM task_counts
    WHERE namespace = :namespace AND span = 60 AND start < :first
    LIMIT :bound
)

-- name: forget_sources
DELETE FROM metric_sources
WHERE namespace = :namespace AND source IN (
    SELECT source FROM metric_sources
    WHERE namespace = :namespace AND seen_at <= :since
    LIMIT :bound
)

-- name: forget_recent
DELETE FROM recent_outcomes
WHERE rowid IN (
    SELECT rowid FROM recent_outcomes
    WHERE namespace = :namespace AND seen_at <= :since
    LIMIT :bound
)

-- name: first_row
SELECT start FROM task_counts
WHERE namespace = :namespace AND span = :span
    AND (start, queue, task) > (:start, :behind_queue, :behind_task) AND start < :end
ORDER BY start, queue, task
LIMIT 1

-- name: rows
SELECT start, queue, task, 0, counts FROM task_counts
WHERE namespace = :namespace AND span = :span
    AND (start, queue, task) > (:start, :behind_queue, :behind_task) AND start < :end
    AND (:of_queue IS NULL OR queue = :of_queue)
    AND (:of_task IS NULL OR task = :of_task)
    AND (:of_prefix IS NULL OR substr(task, 1, length(:of_prefix)) = :of_prefix)
ORDER BY start, queue, task
LIMIT :limit

-- name: recent
SELECT queue, source, data FROM recent_outcomes
WHERE namespace = :namespace AND (:of_queue IS NULL OR queue = :of_queue)
    AND (queue, source) > (:queue, :source)
ORDER BY queue, source
LIMIT :limit
