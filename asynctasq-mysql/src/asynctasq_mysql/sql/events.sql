-- Statements about events.

-- name: look
-- Whether there is a listener, and whether there are batches to drop.
SELECT
    EXISTS (SELECT 1 FROM {event_streams} WHERE namespace = :namespace AND heard_until > {now}),
    EXISTS (
        SELECT 1 FROM (
            SELECT n, made_at, total FROM {event_batches} WHERE namespace = :namespace ORDER BY n LIMIT 1
        ) AS oldest JOIN {event_streams} AS s ON s.namespace = :namespace
        WHERE oldest.made_at < {now} - :kept_for OR oldest.n <= s.last_n - :most OR oldest.total <= s.total - :bytes
    )

-- name: drop
DELETE FROM {event_batches} WHERE namespace = :namespace AND n <= (
    SELECT n FROM (
        SELECT max(oldest.n) AS n FROM (
            SELECT n, made_at, total FROM {event_batches} WHERE namespace = :namespace ORDER BY n LIMIT :bound
        ) AS oldest JOIN {event_streams} AS s ON s.namespace = :namespace
        WHERE oldest.made_at < {now} - :kept_for OR oldest.n <= s.last_n - :most OR oldest.total <= s.total - :bytes
    ) AS chosen
)

-- name: begin
-- Locks the stream.
INSERT INTO {event_streams} (namespace, heard_until, heard_since, last_n, total) VALUES (:namespace, 0, 0, 1, :bytes)
ON DUPLICATE KEY UPDATE last_n = last_n + 1, total = {event_streams}.total + :bytes

-- name: publish
INSERT INTO {event_batches} (namespace, n, made_at, total, data)
SELECT namespace, last_n, {now}, total, :data FROM {event_streams} WHERE namespace = :namespace

-- name: listen
-- The assignments are made in this order.
INSERT INTO {event_streams} (namespace, heard_until, heard_since, last_n, total)
VALUES (:namespace, {now} + :hold, {now}, 0, 0)
ON DUPLICATE KEY UPDATE
    heard_since = IF(heard_until > {now}, heard_since, GREATEST({now}, heard_since + 1)),
    heard_until = GREATEST(heard_until, {now} + :hold)

-- name: stream
SELECT heard_until, heard_since, last_n, total FROM {event_streams} WHERE namespace = :namespace

-- name: batches
SELECT b.n, b.data FROM {event_batches} AS b
WHERE b.namespace = :namespace AND b.n > :n AND b.total <= :room + (
    SELECT total FROM {event_batches} WHERE namespace = :namespace AND n > :n ORDER BY n LIMIT 1
)
ORDER BY b.n
LIMIT :limit
