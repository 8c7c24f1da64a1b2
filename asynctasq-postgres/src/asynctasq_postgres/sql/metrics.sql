-- Statements about the counts of workers.

-- name: begin
-- The namespace and the time. A flush that a crash of the server undoes is repeated, or lost with its counts.
SELECT asynctasq.namespace_1($1::text), asynctasq.clock_1($2::bigint),
    set_config('synchronous_commit', 'off', true)

-- name: add_flush
-- Answers with the number of the source if the flush is a new one.
INSERT INTO asynctasq.metric_sources AS s (namespace, name, number, seen_at)
VALUES ($1::int, $2::bytea, $3::bigint, $4::bigint)
ON CONFLICT (namespace, name) DO UPDATE SET number = excluded.number, seen_at = excluded.seen_at
WHERE s.number < excluded.number
RETURNING key

-- name: counts
SELECT m.start, m.queue, m.task, m.counts
FROM unnest($3::int[], $4::bytea[], $5::bytea[]) AS k (start, queue, task)
JOIN asynctasq.metrics AS m ON m.namespace = $1::int AND m.span = $2::smallint AND m.start = k.start
    AND m.queue = k.queue AND m.task = k.task AND m.source = $6::int

-- name: set_counts
INSERT INTO asynctasq.metrics (namespace, span, start, queue, task, source, counts)
SELECT $1::int, $2::smallint, k.start, k.queue, k.task, $6::int, k.counts
FROM unnest($3::int[], $4::bytea[], $5::bytea[], $7::bytea[]) AS k (start, queue, task, counts)
ON CONFLICT (namespace, span, start, queue, task, source) DO UPDATE SET counts = excluded.counts

-- name: set_recent
INSERT INTO asynctasq.recent_outcomes (namespace, queue, source, data, seen_at)
SELECT $1::int, k.queue, $2::bytea, k.data, $3::bigint
FROM unnest($4::bytea[], $5::bytea[]) AS k (queue, data)
ON CONFLICT (namespace, queue, source) DO UPDATE SET data = excluded.data, seen_at = excluded.seen_at

-- name: is_due
SELECT EXISTS (
    SELECT 1 FROM asynctasq.metrics WHERE namespace = $1::int AND span = 1 AND start < $2::int
) OR EXISTS (
    SELECT 1 FROM asynctasq.metrics WHERE namespace = $1::int AND span = 60 AND start < $3::int
) OR EXISTS (
    SELECT 1 FROM asynctasq.metric_sources WHERE namespace = $1::int AND seen_at <= $4::bigint
) OR EXISTS (
    SELECT 1 FROM asynctasq.recent_outcomes WHERE namespace = $1::int AND seen_at <= $4::bigint
)

-- name: lock
SELECT pg_try_advisory_xact_lock(hashtext('asynctasq metrics'), $1::int)

-- name: old_minutes
SELECT start, queue, task, source, counts FROM asynctasq.metrics
WHERE namespace = $1::int AND span = 1 AND start < $2::int
ORDER BY start, queue, task, source
LIMIT $3::int

-- name: delete_minutes
DELETE FROM asynctasq.metrics
WHERE namespace = $1::int AND span = 1
    AND (start, queue, task, source) <= ($2::int, $3::bytea, $4::bytea, $5::int)

-- name: forget_hours
DELETE FROM asynctasq.metrics
WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM asynctasq.metrics
    WHERE namespace = $1::int AND span = 60 AND start < $2::int
    LIMIT $3::int
))

-- name: forget_sources
DELETE FROM asynctasq.metric_sources
WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM asynctasq.metric_sources
    WHERE namespace = $1::int AND seen_at <= $2::bigint
    LIMIT $3::int FOR UPDATE SKIP LOCKED
))

-- name: forget_recent
DELETE FROM asynctasq.recent_outcomes
WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM asynctasq.recent_outcomes
    WHERE namespace = $1::int AND seen_at <= $2::bigint
    LIMIT $3::int FOR UPDATE SKIP LOCKED
))

-- name: first_row
SELECT start FROM asynctasq.metrics
WHERE namespace = (SELECT asynctasq.namespace_1($1::text)) AND span = $2::smallint
    AND (start, queue, task, source) > ($3::int, $4::bytea, $5::bytea, $6::int) AND start < $7::int
ORDER BY start, queue, task, source
LIMIT 1

-- name: rows
SELECT start, queue, task, source, counts FROM asynctasq.metrics
WHERE namespace = (SELECT asynctasq.namespace_1($1::text)) AND span = $2::smallint
    AND (start, queue, task, source) > ($3::int, $4::bytea, $5::bytea, $6::int) AND start < $7::int
    AND ($8::bytea IS NULL OR queue = $8::bytea)
    AND ($9::bytea IS NULL OR task = $9::bytea)
    AND ($10::bytea IS NULL OR substring(task FOR length($10::bytea)) = $10::bytea)
ORDER BY start, queue, task, source
LIMIT $11::int

-- name: recent
SELECT queue, source, data FROM asynctasq.recent_outcomes
WHERE namespace = (SELECT asynctasq.namespace_1($1::text)) AND ($2::bytea IS NULL OR queue = $2::bytea)
    AND (queue, source) > ($3::bytea, $4::bytea)
ORDER BY queue, source
LIMIT $5::int
