-- Calls of the functions of version 1. Casts are written out, for clients that send parameters without types.

-- name: namespace
SELECT asynctasq.namespace_1($1::text)

-- name: enqueue
SELECT f.known, f.holders, f.asleep
FROM /* durable */ asynctasq.enqueue_1(
    $1::text, $2::bytea, $3::bytea[], $4::int[], $5::bigint[], $6::text[], $7::int[], $8::bigint[],
    $9::bigint[], $10::int[], $11::bytea[], $12::bytea[], $13::int[], $14::int[], $15::bigint[], $16::bigint
) AS f

-- name: enqueue_one
SELECT asynctasq.enqueue_one_1(
    $1::int, $2::bytea, $3::bytea, $4::text, $5::int, $6::bigint, $7::bigint, $8::int, $9::bytea, $10::bigint
) /* all durable */

-- name: enqueue_and_wake
CALL asynctasq.enqueue_and_wake_1(
    $1::int, $2::bytea, $3::bytea, $4::text, $5::int, $6::bigint, $7::bigint, $8::int, $9::bytea, $10::bigint,
    $11::text, $12::text, 0
)

-- name: enqueue_in_transaction
SELECT f.known, f.holders, f.asleep, (SELECT store::text FROM asynctasq.meta)
FROM asynctasq.enqueue_1(
    $1::text, $2::bytea, $3::bytea[], $4::int[], $5::bigint[], $6::text[], $7::int[], $8::bigint[],
    $9::bigint[], $10::int[], $11::bytea[], $12::bytea[], $13::int[], $14::int[], $15::bigint[], $16::bigint
) AS f

-- name: reserve
SELECT f.place, f.rank, f.due_at, f.id, f.token, f.attempt, f.lost, f.leases, f.enqueued_at, f.mismatched_at,
    f.profile, f.payload
FROM asynctasq.reserve_1(
    $1::text, $2::text[], $3::int[], $4::int, $5::text, $6::bigint, $7::bigint, $8::bigint, $9::int, $10::bool,
    $11::bigint, $12::int[], $13::bigint[], $14::uuid, $15::bool
) AS f

-- name: extend
SELECT f.at, f.ids, f.tokens, f.leased, f.paused FROM asynctasq.extend_1($1::text, $2::text, $3::bigint, $4::bigint) AS f

-- name: give_back
SELECT asynctasq.give_back_1($1::text, $2::text, $3::bytea, $4::bigint[], $5::bigint)

-- name: end_owner
SELECT asynctasq.end_owner_1($1::text, $2::text, $3::bigint)

-- name: cancel_requests
SELECT f.id, f.token FROM asynctasq.cancel_requests_1($1::text, $2::text) AS f

-- name: sleep
SELECT f.keys, f.ready, f.until
FROM asynctasq.sleep_1($1::text, $2::text[], $3::uuid, $4::bigint, $5::bigint) AS f

-- name: look
SELECT f.ready, f.until FROM asynctasq.look_1($1::text, $2::text[], $3::bigint) AS f

-- name: ring
SELECT asynctasq.ring_1($1::text, $2::text[], $3::text, $4::bigint)

-- name: listen
SELECT asynctasq.listen_1($1::text, $2::uuid, $3::bigint, $4::bigint)

-- name: notify
SELECT pg_notify($1::text, $2::text) FROM set_config('synchronous_commit', 'off', true)

-- name: complete
SELECT f.held, f.heard
FROM /* durable */ asynctasq.complete_1(
    $1::text, $2::bytea, $3::bigint[], $4::bytea[], $5::bytea[], $6::bigint[], $7::bigint
) AS f

-- name: complete_in_transaction
SELECT f.held, f.heard, (SELECT store::text FROM asynctasq.meta)
FROM asynctasq.complete_1(
    $1::text, $2::bytea, $3::bigint[], $4::bytea[], $5::bytea[], $6::bigint[], $7::bigint
) AS f

-- name: settle
SELECT f.held, f.heard, f.died, f.wakes
FROM /* durable */ asynctasq.settle_1(
    $1::text, $2::bytea, $3::bigint[], $4::int[], $5::bigint[], $6::bool[], $7::text[], $8::bytea[],
    $9::bytea[], $10::bytea[], $11::bigint
) AS f

-- name: set_progress
SELECT asynctasq.set_progress_1($1::text, $2::bytea, $3::bigint[], $4::bytea[])

-- name: cancel
SELECT f.answers, f.heard FROM /* durable */ asynctasq.cancel_1($1::text, $2::bytea, $3::bigint) AS f

-- name: cancel_in_transaction
SELECT f.answers, f.heard, (SELECT store::text FROM asynctasq.meta)
FROM asynctasq.cancel_1($1::text, $2::bytea, $3::bigint) AS f

-- name: states_in_transaction
-- The first row is there for the ID of the database.
SELECT 0::bigint, 0, (SELECT store::text FROM asynctasq.meta)
UNION ALL
SELECT f.n, f.state, (SELECT store::text FROM asynctasq.meta)
FROM asynctasq.find_1($1::text, $2::bytea, 9223372036854775807, $3::bigint) AS f
UNION ALL
SELECT f.n, f.state, (SELECT store::text FROM asynctasq.meta)
FROM asynctasq.results_1($1::text, $2::bytea, 9223372036854775807, $3::bigint) AS f

-- name: count
SELECT f.ready, f.scheduled, f.leased, f.dead
FROM asynctasq.count_1($1::text, $2::text, $3::bigint, $4::bigint) AS f

-- name: list_queues
SELECT f.name, f.ready, f.scheduled, f.leased, f.dead, f.oldest, f.paused, f.paused_at
FROM asynctasq.list_queues_1($1::text, $2::bigint, $3::bigint) AS f

-- name: find
SELECT f.* FROM asynctasq.find_1($1::text, $2::bytea, $3::bigint, $4::bigint) AS f

-- name: results
SELECT f.n, f.state, f.finished_at, f.result, f.reason, f.error, f.about
FROM asynctasq.results_1($1::text, $2::bytea, $3::bigint, $4::bigint) AS f

-- name: known
SELECT asynctasq.known_1($1::text, $2::bytea)

-- name: any_ended
SELECT asynctasq.any_ended_1($1::text, $2::bytea, $3::bigint)

-- name: progress
SELECT f.n, f.report FROM asynctasq.progress_1($1::text, $2::bytea) AS f

-- name: match_ids
SELECT f.matches, f.until
FROM asynctasq.match_ids_1($1::text, $2::bytea, $3::bytea, $4::text, $5::int, $6::int) AS f

-- name: stretches
SELECT f.major, f.minor
FROM asynctasq.stretches_1($1::text, $2::text, $3::text, $4::text, $5::int, $6::int) AS f

-- name: page
SELECT f.*
FROM asynctasq.page_1(
    $1::text, $2::text, $3::int, $4::int, $5::bigint, $6::bytea, $7::int, $8::int, $9::bigint, $10::bool,
    $11::text, $12::bigint, $13::bigint, $14::bytea, $15::bytea, $16::text, $17::bytea, $18::bytea, $19::bigint
) AS f

-- name: requeue
SELECT asynctasq.requeue_1($1::text, $2::bytea, $3::bigint)

-- name: requeue_edited
SELECT asynctasq.requeue_edited_1(
    $1::text, $2::bytea, $3::text, $4::int, $5::bigint, $6::bigint, $7::int, $8::bytea, $9::int, $10::bytea,
    $11::bytea, $12::bigint
)

-- name: delete_dead
SELECT asynctasq.delete_dead_1($1::text, $2::bytea)

-- name: purge
SELECT asynctasq.purge_1($1::text, $2::text, $3::int, $4::bigint)

-- name: pause
SELECT asynctasq.pause_1($1::text, $2::text, $3::bool, $4::bigint)

-- name: paused
SELECT asynctasq.paused_1($1::text)

-- name: record_worker
SELECT asynctasq.record_worker_1($1::text, $2::text, $3::bytea, $4::bigint, $5::bigint)

-- name: forget_worker
SELECT asynctasq.forget_worker_1($1::text, $2::text)

-- name: workers
SELECT f.description FROM asynctasq.workers_1($1::text, $2::bigint) AS f

-- name: finish
SELECT f.kept, f.heard
FROM /* durable */ asynctasq.finish_2(
    $1::text, $2::bytea, $3::int[], $4::bigint[], $5::bigint[], $6::bytea[], $7::bytea[], $8::bigint[],
    $9::int[], $10::int[], $11::text[], $12::bytea[], $13::text[], $14::int[], $15::bigint[], $16::bigint[],
    $17::int[], $18::bytea[], $19::int[], $20::bytea[], $21::bytea[], $22::bigint
) AS f

-- name: adopt
SELECT f.kept, f.heard
FROM /* durable */ asynctasq.adopt_2(
    $1::text, $2::bytea, $3::bigint[], $4::bigint[], $5::int[], $6::int[], $7::bytea[], $8::bigint[],
    $9::text[], $10::int[], $11::bigint[], $12::bigint[], $13::int[], $14::bytea[], $15::int[], $16::bytea[],
    $17::bytea[], $18::bigint
) AS f

-- name: flag
SELECT f.answers, f.heard
FROM /* durable */ asynctasq.flag_2($1::text, $2::bytea, $3::bigint, $4::bigint) AS f

-- name: facts
SELECT f.n, f.place, f.facts FROM asynctasq.facts_2($1::text, $2::bytea, $3::bigint) AS f

-- name: note
SELECT asynctasq.note_2($1::text, $2::bytea, $3::int[], $4::bytea[], $5::bigint[], $6::bigint)

-- name: noted
SELECT f.n, f.report FROM asynctasq.noted_2($1::text, $2::bytea, $3::bigint) AS f

-- name: put_schedules
SELECT f.revisions
FROM /* durable */ asynctasq.put_schedules_4(
    $1::text, $2::bytea[], $3::bytea[], $4::bytea[], $5::bigint[], $6::bytea[], $7::bigint
) AS f (revisions)

-- name: claim_schedules
-- A claim that a crash of the server undoes is made again, and fires once.
SELECT f.at, f.next, (f.claimed).id, (f.claimed).definition, (f.claimed).rhythm, (f.claimed).next_at, (f.claimed).revision,
    (f.claimed).paused, (f.claimed).orphaned, (f.claimed).declared_by, (f.claimed).seen_at, (f.claimed).fired_at, (f.claimed).whole
FROM asynctasq.claim_schedules_4($1::text, $2::int, $3::bigint, $4::bigint) AS f
CROSS JOIN (SELECT set_config('synchronous_commit', 'off', true)) AS durability

-- name: fire
SELECT f.fired, f.asleep
FROM /* durable */ asynctasq.fire_4(
    $1::text, $2::bytea[], $3::bigint[], $4::bigint[], $5::bigint[], $6::int[], $7::bytea, $8::bytea[], $9::int[],
    $10::bigint[], $11::text[], $12::int[], $13::bigint[], $14::bigint[], $15::int[], $16::bytea[], $17::bytea[],
    $18::int[], $19::int[], $20::bigint[], $21::bigint
) AS f

-- name: change_schedules
SELECT f.changed
FROM /* durable */ asynctasq.change_schedules_4($1::text, $2::bytea[], $3::text, $4::bigint) AS f (changed)

-- name: find_schedules
SELECT f.id, f.definition, f.rhythm, f.next_at, f.revision, f.paused, f.orphaned, f.declared_by, f.seen_at, f.fired_at, f.whole
FROM asynctasq.find_schedules_4($1::text, $2::bytea[]) AS f

-- name: list_schedules
SELECT f.id, f.definition, f.rhythm, f.next_at, f.revision, f.paused, f.orphaned, f.declared_by, f.seen_at, f.fired_at, f.whole
FROM asynctasq.list_schedules_4($1::text, $2::bytea, $3::int) AS f

-- name: now
SELECT asynctasq.clock_1($1::bigint)

-- name: requests
SELECT f.id, f.token, NULL::smallint FROM asynctasq.cancel_requests_1($1::text, $2::text) AS f
UNION ALL
SELECT NULL, NULL, request FROM asynctasq.worker_requests
WHERE namespace = (SELECT key FROM asynctasq.namespaces WHERE name = $1::text) AND owner = $2::text

-- name: request_workers
-- The greatest request, to stop, stays. Old requests of owners that are not registered any more are deleted.
WITH gone AS (
    DELETE FROM asynctasq.worker_requests
    WHERE namespace = (SELECT key FROM asynctasq.namespaces WHERE name = $1::text)
        AND requested_at < asynctasq.clock_1($4::bigint) - $5::bigint AND NOT owner = ANY ($6::text[])
)
INSERT INTO asynctasq.worker_requests AS r (namespace, owner, request, requested_at)
SELECT asynctasq.namespace_1($1::text), named.owner, $3::smallint, asynctasq.clock_1($4::bigint)
FROM (SELECT DISTINCT unnest($2::text[]) AS owner ORDER BY owner) AS named
ON CONFLICT (namespace, owner) DO UPDATE
SET request = CASE WHEN r.request = 2 THEN 2 ELSE excluded.request END, requested_at = excluded.requested_at
RETURNING r.owner, r.request

-- name: edit
-- Change messages that wait, if their bytes are still those that were read. Returns their numbers.
WITH moment AS MATERIALIZED (
    SELECT asynctasq.clock_1($11::bigint) AS now
), target AS MATERIALIZED (
    SELECT (asynctasq.queues_1(asynctasq.namespace_1($1::text), ARRAY[$4::text]))[1] AS queue
    WHERE $4::text IS NOT NULL
), held AS MATERIALIZED (
    SELECT m.id, m.namespace, a.n, a.rank, a.expires, a.profile, a.payload, moment.now,
        CASE
            WHEN $9::bigint IS NULL THEN m.due_at
            WHEN $9::bigint > moment.now THEN $9::bigint
            ELSE least(m.due_at, moment.now)
        END AS due_at
    FROM unnest($2::bytea[], $3::bytea[], $5::int[], $6::bigint[], $7::bytea[], $8::bytea[])
        WITH ORDINALITY AS a (id, digest, rank, expires, profile, payload, n)
    CROSS JOIN moment
    JOIN asynctasq.messages AS m ON m.id = encode(a.id, 'hex')::uuid
        AND m.namespace + 0 = (SELECT key FROM asynctasq.namespaces WHERE name = $1::text)
    WHERE m.state IN (2, 3) AND sha256(m.profile || m.payload) = a.digest
    ORDER BY m.id
    FOR UPDATE OF m
), done AS (
    UPDATE asynctasq.messages AS m
    SET queue = coalesce((SELECT queue FROM target), m.queue), rank = held.rank, due_at = held.due_at,
        state = CASE WHEN held.due_at > held.now THEN 2 ELSE 3 END,
        expires = held.expires, profile = held.profile, payload = held.payload,
        expires_at = CASE
            WHEN held.expires IS NOT NULL AND ($10::bool OR m.expires_at IS NOT NULL)
                THEN held.due_at + least(held.expires, 1152921504606846976)
            ELSE m.expires_at
        END
    FROM held
    WHERE m.id = held.id AND m.namespace = held.namespace
    RETURNING held.n
)
SELECT done.n::int FROM /* durable */ done
