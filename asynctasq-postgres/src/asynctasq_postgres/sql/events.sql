-- Statements about events. A batch that a crash of the server undoes is lost, as the events of a killed process are.

-- name: look
-- Whether there is a listener, and whether there are batches to drop.
SELECT
    EXISTS (
        SELECT 1 FROM asynctasq.event_streams
        WHERE namespace = space.key AND until > asynctasq.clock_1($2::bigint)
    ),
    EXISTS (
        SELECT 1 FROM (
            SELECT n, at, size FROM asynctasq.event_batches WHERE namespace = space.key ORDER BY n LIMIT 1
        ) AS oldest, asynctasq.event_streams AS s
        WHERE s.namespace = space.key AND (
            at < asynctasq.clock_1($2::bigint) - $3::bigint OR n <= s.last - $4::bigint
            OR oldest.size <= s.size - $5::bigint
        )
    )
FROM (SELECT asynctasq.namespace_1($1::text) AS key OFFSET 0) AS space

-- name: drop
DELETE FROM asynctasq.event_batches
WHERE namespace = (SELECT asynctasq.namespace_1($1::text)) AND n <= (
    SELECT max(n) FROM (
        SELECT namespace, n, at, size FROM asynctasq.event_batches
        WHERE namespace = (SELECT asynctasq.namespace_1($1::text)) ORDER BY n LIMIT $6::int
    ) AS oldest JOIN asynctasq.event_streams AS s USING (namespace)
    WHERE at < asynctasq.clock_1($2::bigint) - $3::bigint OR n <= s.last - $4::bigint
        OR oldest.size <= s.size - $5::bigint
)

-- name: publish
WITH stream AS (
    INSERT INTO asynctasq.event_streams AS s (namespace, until, since, last, size)
    SELECT asynctasq.namespace_1($1::text), 0, 0, 1, length($3::bytea)
    FROM (SELECT set_config('synchronous_commit', 'off', true)) AS durability
    ON CONFLICT (namespace) DO UPDATE SET last = s.last + 1, size = s.size + excluded.size
    RETURNING namespace, last, size
)
INSERT INTO asynctasq.event_batches (namespace, n, at, size, data)
SELECT namespace, last, asynctasq.clock_1($2::bigint), size, $3::bytea FROM stream
RETURNING namespace

-- name: listen
-- Counts as listening. Returns the namespace and the stream.
INSERT INTO asynctasq.event_streams AS s (namespace, until, since, last, size)
SELECT asynctasq.namespace_1($1::text), now.at + $3::bigint, now.at, 0, 0
FROM (
    SELECT asynctasq.clock_1($2::bigint) AS at, set_config('synchronous_commit', 'off', true) OFFSET 0
) AS now
ON CONFLICT (namespace) DO UPDATE SET
    until = greatest(s.until, excluded.until),
    since = CASE WHEN s.until > excluded.since THEN s.since ELSE greatest(excluded.since, s.since + 1) END
RETURNING namespace, until, since, last, size

-- name: batches
SELECT n, data FROM asynctasq.event_batches
WHERE namespace = $1::int AND n > $2::bigint AND size <= $4::bigint + (
    SELECT size FROM asynctasq.event_batches WHERE namespace = $1::int AND n > $2::bigint ORDER BY n LIMIT 1
)
ORDER BY n
LIMIT $3::int
