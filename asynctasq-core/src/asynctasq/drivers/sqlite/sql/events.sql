-- Queries about the stream of events. Times are microseconds.

-- name: stream
SELECT until, since, last, size FROM event_streams WHERE namespace = :namespace

-- name: set_stream
INSERT OR REPLACE INTO event_streams (namespace, until, since, last, size)
VALUES (:namespace, :until, :since, :last, :size)

-- name: last_batch
SELECT n, size FROM event_batches WHERE namespace = :namespace ORDER BY n DESC LIMIT 1

-- name: add_batch
INSERT OR REPLACE INTO event_batches (namespace, n, at, size, data)
VALUES (:namespace, :n, :now, :size, :data)

-- name: oldest
SELECT n, at, size FROM event_batches WHERE namespace = :namespace ORDER BY n LIMIT :bound

-- name: drop
DELETE FROM event_batches WHERE namespace = :namespace AND n <= :n

-- name: batches
SELECT n, data FROM event_batches WHERE namespace = :namespace AND n > :n AND typeof(n) = 'integer'
ORDER BY n
LIMIT :bound
