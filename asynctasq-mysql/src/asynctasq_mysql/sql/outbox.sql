-- Statements of the outbox. Rows are numbered by their IDs: they are read by point look-ups.

-- name: add
-- A known ID changes nothing.
INSERT INTO {outbox} (namespace, id, target, created_at, mark, size, message) VALUES :rows
ON DUPLICATE KEY UPDATE id = {outbox}.id

-- name: known
-- The entries whose rows were not added by the call with this mark.
SELECT named.n
FROM JSON_TABLE(:ids, '$[*]' COLUMNS (n FOR ORDINALITY, id CHAR(32) PATH '$')) AS named
STRAIGHT_JOIN {outbox} AS kept FORCE INDEX (PRIMARY)
    ON kept.namespace = :namespace AND kept.id = UNHEX(named.id)
WHERE kept.mark <> :mark

-- name: due
-- Whether there is a row to send, and whether another relay holds the target.
SELECT
    EXISTS (
        SELECT 1 FROM {outbox} WHERE namespace = :namespace AND target = :target AND not_before <= {now}
    ),
    EXISTS (
        SELECT 1 FROM {relays}
        WHERE namespace = :namespace AND target = :target AND holder <> :holder
            AND held_until > {now} AND held_until <= {now} + :longest
    )

-- name: hold
-- The time of a relay that is too far ahead is ignored: the clock was set back. Assignments are made in order.
INSERT INTO {relays} (namespace, target, holder, held_until)
VALUES (:namespace, :target, :holder, {now} + :lease)
ON DUPLICATE KEY UPDATE
    holder = IF(
        holder = :holder OR held_until <= {now} OR held_until > {now} + :longest, :holder, holder
    ),
    held_until = IF(holder = :holder, {now} + :lease, held_until)

-- name: holds
SELECT holder = :holder FROM {relays} WHERE namespace = :namespace AND target = :target

-- name: release
DELETE FROM {relays} WHERE namespace = :namespace AND target = :target AND holder = :holder

-- name: take
-- New rows by ID, then refused ones whose pause has passed, for as long as there is room for their bytes. Damaged times
-- come first.
SELECT kept.id, kept.target, kept.message, {now} - GREATEST(kept.created_at, 0), kept.attempts, kept.error,
    kept.not_before, 0
FROM (
    SELECT id, place, SUM(size) OVER (ORDER BY place) AS bytes
    FROM (
        SELECT id, size, ROW_NUMBER() OVER (ORDER BY not_before, id) AS place
        FROM (
            (
                SELECT id, size, not_before FROM {outbox}
                WHERE namespace = :namespace AND target = :target AND not_before = 0
                ORDER BY id
                LIMIT :limit
            )
            UNION ALL
            (
                SELECT id, size, not_before FROM {outbox}
                WHERE namespace = :namespace AND target = :target AND not_before > 0 AND not_before <= {now}
                ORDER BY not_before, id
                LIMIT :refused
            )
            UNION ALL
            (
                SELECT id, size, not_before FROM {outbox}
                WHERE namespace = :namespace AND target = :target AND not_before < 0
                ORDER BY not_before, id
                LIMIT :refused
            )
        ) AS found
    ) AS numbered
) AS sized
STRAIGHT_JOIN {outbox} AS kept FORCE INDEX (PRIMARY) ON kept.namespace = :namespace AND kept.id = sized.id
WHERE sized.bytes <= :room OR sized.place = 1
ORDER BY sized.place

-- name: refuse
UPDATE {outbox} SET attempts = LEAST(attempts, 1000000) + :counted, error = :error, not_before = :not_before
WHERE namespace = :namespace AND id = :id

-- name: lock
SELECT kept.id
FROM JSON_TABLE(:ids, '$[*]' COLUMNS (id CHAR(32) PATH '$')) AS named
STRAIGHT_JOIN {outbox} AS kept FORCE INDEX (PRIMARY)
    ON kept.namespace = :namespace AND kept.id = UNHEX(named.id)
FOR UPDATE

-- name: delete
DELETE kept
FROM JSON_TABLE(:ids, '$[*]' COLUMNS (id CHAR(32) PATH '$')) AS named
STRAIGHT_JOIN {outbox} AS kept FORCE INDEX (PRIMARY)
    ON kept.namespace = :namespace AND kept.id = UNHEX(named.id)

-- name: retry
UPDATE JSON_TABLE(:ids, '$[*]' COLUMNS (id CHAR(32) PATH '$')) AS named
STRAIGHT_JOIN {outbox} AS kept FORCE INDEX (PRIMARY)
    ON kept.namespace = :namespace AND kept.id = UNHEX(named.id)
SET kept.attempts = 0, kept.not_before = 0

-- name: state
-- The oldest row is the first by ID, unless IDs were chosen by the application.
SELECT
    (SELECT COUNT(*) FROM (
        SELECT 1 FROM {outbox} WHERE namespace = :namespace AND not_before < :set_aside LIMIT :bound
    ) AS counted),
    (SELECT COUNT(*) FROM (
        SELECT 1 FROM {outbox} WHERE namespace = :namespace AND not_before >= :set_aside LIMIT :bound
    ) AS counted),
    {now} - (SELECT GREATEST(MIN(created_at), 0) FROM (
        SELECT created_at FROM {outbox} WHERE namespace = :namespace AND not_before < :set_aside LIMIT :bound
    ) AS counted),
    {now} - (
        SELECT GREATEST(created_at, 0) FROM {outbox} WHERE namespace = :namespace AND not_before < :set_aside
        ORDER BY id
        LIMIT 1
    )

-- name: rows
SELECT
    kept.id, kept.target, kept.message, {now} - GREATEST(kept.created_at, 0), kept.attempts, kept.error, kept.not_before,
    GREATEST(kept.not_before, 0) - {now}, sized.total
FROM (
    SELECT
        id, place, SUM(size) OVER (ORDER BY place) AS bytes, COUNT(*) OVER () AS total
    FROM (
        SELECT id, size, ROW_NUMBER() OVER (ORDER BY id) AS place
        FROM (
            SELECT id, size FROM {outbox}
            WHERE namespace = :namespace AND id > :after AND (:chosen < 0 OR (not_before >= :set_aside) = :chosen)
            ORDER BY id
            LIMIT :limit
        ) AS found
    ) AS numbered
) AS sized
STRAIGHT_JOIN {outbox} AS kept FORCE INDEX (PRIMARY) ON kept.namespace = :namespace AND kept.id = sized.id
WHERE sized.bytes <= :room OR sized.place = 1
ORDER BY sized.place
