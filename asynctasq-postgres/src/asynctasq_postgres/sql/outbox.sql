-- Statements of the outbox. Casts are written out, for clients that send parameters without types. `{set_aside}`
-- is the `not_before` of rows that are not tried again, `{now}` the time, before `clock_offset` is added.

-- name: is_there
SELECT to_regclass('asynctasq.outbox_meta') IS NOT NULL

-- name: version
SELECT version, store::text FROM asynctasq.outbox_meta

-- name: add
-- One statement for any number of rows, of which each parameter is used once, in order. The IDs are one value.
WITH given AS (
    SELECT {now} + $1::bigint AS now, $2::text AS namespace, $3::text AS store, $4::bytea AS ids
),
added AS (
    INSERT INTO asynctasq.outbox (namespace, created_at, id, target, message)
    SELECT
        given.namespace, given.now,
        encode(substring(given.ids FROM (16 * entry.n - 15)::int FOR 16), 'hex')::uuid,
        entry.target, entry.message
    FROM given CROSS JOIN unnest($5::text[], $6::bytea[]) WITH ORDINALITY AS entry (target, message, n)
    WHERE EXISTS (SELECT 1 FROM asynctasq.outbox_meta WHERE store::text = given.store OR given.store = '')
    ORDER BY 3
    ON CONFLICT DO NOTHING
    RETURNING id
)
SELECT
    (SELECT max(store::text) FROM asynctasq.outbox_meta),
    coalesce((SELECT string_agg(uuid_send(id), ''::bytea) FROM added), ''::bytea)

-- name: due
-- Whether there is a row to send, and whether another relay holds the target.
SELECT
    EXISTS (
        SELECT 1 FROM asynctasq.outbox
        WHERE namespace = $1::text AND target = $2::text AND not_before <= {now} + $3::bigint
    ),
    EXISTS (
        SELECT 1 FROM asynctasq.outbox_relays
        WHERE namespace = $1::text AND target = $2::text AND holder <> $4::bytea
            AND held_until > {now} + $3::bigint AND held_until <= {now} + $3::bigint + {longest_hold}
    )

-- name: hold
-- The time of a relay that is too far ahead is ignored: the clock was set back.
INSERT INTO asynctasq.outbox_relays (namespace, target, holder, held_until)
VALUES ($1::text, $2::text, $4::bytea, {now} + $3::bigint + $5::bigint)
ON CONFLICT (namespace, target) DO UPDATE
SET holder = excluded.holder, held_until = excluded.held_until
WHERE outbox_relays.holder = excluded.holder
    OR outbox_relays.held_until <= {now} + $3::bigint
    OR outbox_relays.held_until > {now} + $3::bigint + {longest_hold}
RETURNING 1

-- name: release
DELETE FROM asynctasq.outbox_relays
WHERE namespace = $1::text AND target = $2::text AND holder = $3::bytea

-- name: take
-- New rows by ID, then refused ones whose pause has passed, for as long as there is room for their bytes. Damaged times
-- come first.
SELECT id, target, message, age, attempts, error, not_before, pause
FROM (
    SELECT found.*, sum(octet_length(message)) OVER sent AS bytes, row_number() OVER sent AS place
    FROM (
        (
            SELECT id, target, message, attempts, error, not_before,
                {now} + $3::bigint - greatest(created_at, 0) AS age, 0::bigint AS pause
            FROM asynctasq.outbox
            WHERE namespace = $1::text AND target = $2::text AND not_before = 0
            ORDER BY id
            LIMIT $4::int
        )
        UNION ALL
        (
            SELECT id, target, message, attempts, error, not_before,
                {now} + $3::bigint - greatest(created_at, 0) AS age, 0::bigint AS pause
            FROM asynctasq.outbox
            WHERE namespace = $1::text AND target = $2::text
                AND not_before > 0 AND not_before <= {now} + $3::bigint
            ORDER BY not_before, id
            LIMIT $5::int
        )
        UNION ALL
        (
            SELECT id, target, message, attempts, error, not_before,
                {now} + $3::bigint - greatest(created_at, 0) AS age, 0::bigint AS pause
            FROM asynctasq.outbox
            WHERE namespace = $1::text AND target = $2::text AND not_before < 0
            ORDER BY not_before, id
            LIMIT $5::int
        )
    ) AS found
    WINDOW sent AS (ORDER BY not_before, id)
) AS sized
WHERE bytes <= $6::bigint OR place = 1
ORDER BY place

-- name: refuse
UPDATE asynctasq.outbox AS r
SET
    attempts = least(r.attempts, 1000000) + refusal.counted::int,
    error = refusal.error,
    not_before = coalesce({now} + $2::bigint + refusal.pause, {set_aside})
FROM unnest($3::uuid[], $4::text[], $5::bigint[], $6::bool[]) AS refusal (id, error, pause, counted)
WHERE r.namespace = $1::text AND r.id = refusal.id

-- name: delete
DELETE FROM asynctasq.outbox WHERE namespace = $1::text AND id = ANY($2::uuid[]) RETURNING id

-- name: retry
UPDATE asynctasq.outbox SET attempts = 0, not_before = 0
WHERE namespace = $1::text AND id = ANY($2::uuid[])
RETURNING id

-- name: state
-- The oldest row is the first by ID, unless IDs were chosen by the application.
SELECT
    (SELECT count(*) FROM (
        SELECT 1 FROM asynctasq.outbox WHERE namespace = $1::text AND not_before < {set_aside} LIMIT $3::int
    ) AS counted),
    (SELECT count(*) FROM (
        SELECT 1 FROM asynctasq.outbox WHERE namespace = $1::text AND not_before >= {set_aside} LIMIT $3::int
    ) AS counted),
    {now} + $2::bigint - least(
        (SELECT min(greatest(created_at, 0)) FROM (
            SELECT created_at FROM asynctasq.outbox
            WHERE namespace = $1::text AND not_before < {set_aside} LIMIT $3::int
        ) AS counted),
        (
            SELECT greatest(created_at, 0) FROM asynctasq.outbox
            WHERE namespace = $1::text AND not_before < {set_aside}
            ORDER BY id
            LIMIT 1
        )
    )

-- name: rows
SELECT id, target, message, age, attempts, error, not_before, pause, total
FROM (
    SELECT found.*, sum(octet_length(message)) OVER listed AS bytes, row_number() OVER listed AS place,
        count(*) OVER () AS total
    FROM (
        SELECT id, target, message, attempts, error, not_before,
            {now} + $2::bigint - greatest(created_at, 0) AS age,
            greatest(not_before, 0) - {now} - $2::bigint AS pause
        FROM asynctasq.outbox
        WHERE namespace = $1::text AND ($3::uuid IS NULL OR id > $3::uuid)
{which}
        ORDER BY id
        LIMIT $4::int
    ) AS found
    WINDOW listed AS (ORDER BY id)
) AS sized
WHERE bytes <= $5::bigint OR place = 1
ORDER BY id
