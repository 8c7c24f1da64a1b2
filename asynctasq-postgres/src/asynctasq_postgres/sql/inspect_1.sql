-- Functions that count messages and find them.
--
-- Messages that are named are looked up one by one: `namespace + 0` keeps indexes by namespace and time out of it,
-- and OFFSET keeps the planner from turning the look-ups around, which it does while a table is empty.

-- Messages of one queue by state, none counted further than `bound`. Those that are due count as ready.
CREATE FUNCTION asynctasq.count_queue_1(
    k int, bound bigint, now bigint,
    OUT ready bigint, OUT scheduled bigint, OUT leased bigint, OUT dead bigint, OUT oldest bigint
) LANGUAGE plpgsql STABLE
SET search_path = pg_catalog SET enable_seqscan = off SET enable_hashjoin = off
SET enable_mergejoin = off SET enable_bitmapscan = off SET enable_material = off
SET plan_cache_mode = force_generic_plan SET jit = off AS $$
BEGIN
    SELECT
        least(bound, sum(due) + (
            SELECT count(*) FROM (
                SELECT 1 FROM asynctasq.messages WHERE state = 3 AND lane IS NULL AND queue = k LIMIT bound
            ) AS counted
        )),
        least(bound, sum(later)), least(min(oldest_ready), min(oldest_due))
    INTO ready, scheduled, oldest
    FROM (
        SELECT
            (
                SELECT count(*) FROM (
                    SELECT 1 FROM asynctasq.messages
                    WHERE state = 2 AND queue = k AND rank = nth AND due_at <= now LIMIT bound
                ) AS counted
            ) AS due,
            (
                SELECT count(*) FROM (
                    SELECT 1 FROM asynctasq.messages
                    WHERE state = 2 AND queue = k AND rank = nth AND due_at > now LIMIT bound
                ) AS counted
            ) AS later,
            (
                SELECT due_at FROM asynctasq.messages
                WHERE state = 3 AND lane IS NULL AND queue = k AND rank = nth ORDER BY due_at LIMIT 1
            ) AS oldest_ready,
            (
                SELECT due_at FROM asynctasq.messages
                WHERE state = 2 AND queue = k AND rank = nth AND due_at <= now ORDER BY due_at LIMIT 1
            ) AS oldest_due
        FROM generate_series(0, 9) AS nth
    ) AS ranks;
    leased := (
        SELECT count(*) FROM (
            SELECT 1 FROM asynctasq.messages WHERE state = 5 AND queue = k LIMIT bound
        ) AS counted
    );
    dead := (
        SELECT count(*) FROM (SELECT 1 FROM asynctasq.dead WHERE queue = k LIMIT bound) AS counted
    );
END
$$;

CREATE FUNCTION asynctasq.count_1(
    space text, name_ text, bound bigint, shift bigint,
    OUT ready bigint, OUT scheduled bigint, OUT leased bigint, OUT dead bigint
) LANGUAGE plpgsql
SET search_path = pg_catalog SET enable_seqscan = off SET enable_hashjoin = off
SET enable_mergejoin = off SET enable_bitmapscan = off SET enable_material = off
SET plan_cache_mode = force_generic_plan SET jit = off AS $$
BEGIN
    SELECT c.ready, c.scheduled, c.leased, c.dead INTO ready, scheduled, leased, dead
    FROM asynctasq.namespaces AS n
    JOIN asynctasq.queues AS q ON q.namespace = n.key AND q.name = name_ COLLATE "C"
    CROSS JOIN LATERAL asynctasq.count_queue_1(q.key, bound, asynctasq.clock_1(shift)) AS c
    WHERE n.name = space;
END
$$;

-- Queues that hold a message or are paused. Names are never deleted, and there may be many.
CREATE FUNCTION asynctasq.list_queues_1(space text, bound bigint, shift bigint)
RETURNS TABLE (
    name text, ready bigint, scheduled bigint, leased bigint, dead bigint, oldest bigint, paused bool,
    paused_at bigint
) LANGUAGE plpgsql
SET search_path = pg_catalog SET enable_seqscan = off SET enable_hashjoin = off
SET enable_mergejoin = off SET enable_bitmapscan = off SET enable_material = off
SET plan_cache_mode = force_generic_plan SET jit = off AS $$
#variable_conflict use_column
DECLARE
    now bigint := asynctasq.clock_1(shift);
    busy int[] := ARRAY(SELECT DISTINCT m.queue FROM asynctasq.messages AS m WHERE m.state = 5);
BEGIN
    RETURN QUERY
    SELECT q.name, c.ready, c.scheduled, c.leased, c.dead, c.oldest, q.paused, q.paused_at
    FROM asynctasq.namespaces AS n
    JOIN asynctasq.queues AS q ON q.namespace = n.key
    CROSS JOIN LATERAL asynctasq.count_queue_1(q.key, bound, now) AS c
    WHERE n.name = space AND (
        q.paused
        OR q.key = ANY(busy)
        OR EXISTS (SELECT 1 FROM asynctasq.messages AS m WHERE m.state = 3 AND m.lane IS NULL AND m.queue = q.key OFFSET 0)
        OR EXISTS (SELECT 1 FROM asynctasq.messages AS m WHERE m.state = 2 AND m.queue = q.key OFFSET 0)
        OR EXISTS (SELECT 1 FROM asynctasq.dead AS d WHERE d.queue = q.key OFFSET 0)
    )
    ORDER BY q.name;
END
$$;

-- A message that waits, runs or is dead, as listings show it. In listings, `place` and `place_id` are its place; it
-- has no payload where the page has no room for it, and no `n` where the filter does not let it through.
CREATE TYPE asynctasq.snapshot_1 AS (
    n bigint, place bigint, place_id bytea, id bytea, queue text, profile bytea, payload bytea, state int,
    attempt int, lost int, enqueued_at bigint, due_at bigint, owner text, leased_at bigint, cancelling bool,
    error bytea, reason text, died_at bigint
);

-- Find messages. Stops before the payloads need more than `room`, but not before the first; then the last row is the
-- number of the message that comes next.
CREATE FUNCTION asynctasq.find_1(space text, ids bytea, room bigint, shift bigint)
RETURNS SETOF asynctasq.snapshot_1 LANGUAGE plpgsql
SET search_path = pg_catalog SET enable_seqscan = off SET enable_hashjoin = off
SET enable_mergejoin = off SET enable_bitmapscan = off SET enable_material = off
SET plan_cache_mode = force_generic_plan SET jit = off AS $$
#variable_conflict use_column
DECLARE
    now bigint := asynctasq.clock_1(shift);
    ns int;
    found asynctasq.snapshot_1;
    size bigint := 0;
BEGIN
    SELECT key INTO ns FROM asynctasq.namespaces WHERE name = space;
    FOR found IN
        SELECT given.n, 0, NULL, uuid_send(m.id), q.name, m.profile, m.payload,
            CASE WHEN m.state = 2 AND m.due_at <= now THEN 3 ELSE m.state END, m.attempt, m.lost,
            m.enqueued_at, m.due_at, o.name, m.leased_at, m.cancelling, m.error, NULL, NULL
        FROM unnest(asynctasq.ids_1(ids)) WITH ORDINALITY AS given (id, n)
        CROSS JOIN LATERAL (
            SELECT * FROM asynctasq.messages AS t WHERE t.id = given.id AND t.namespace + 0 = ns OFFSET 0
        ) AS m
        LEFT JOIN asynctasq.queues AS q ON q.key = m.queue
        LEFT JOIN asynctasq.owners AS o ON o.key = m.owner
        UNION ALL
        SELECT given.n, 0, NULL, uuid_send(d.id), q.name, d.profile, d.payload, 6, d.attempt, d.lost,
            d.enqueued_at, d.due_at, NULL, d.leased_at, false, d.error, d.reason, d.died_at
        FROM unnest(asynctasq.ids_1(ids)) WITH ORDINALITY AS given (id, n)
        CROSS JOIN LATERAL (
            SELECT * FROM asynctasq.dead AS t WHERE t.id = given.id AND t.namespace + 0 = ns OFFSET 0
        ) AS d
        LEFT JOIN asynctasq.queues AS q ON q.key = d.queue
        ORDER BY 1
    LOOP
        size := size + octet_length(found.payload) + coalesce(octet_length(found.error), 0);
        IF size > room AND size > octet_length(found.payload) + coalesce(octet_length(found.error), 0) THEN
            found.payload := NULL;
            RETURN NEXT found;
            RETURN;
        END IF;
        RETURN NEXT found;
    END LOOP;
END
$$;

-- Outcomes, as `find_1` returns messages: a last row without a state stands for those that there is no room for.
CREATE FUNCTION asynctasq.results_1(space text, ids bytea, room bigint, shift bigint)
RETURNS TABLE (
    n bigint, state int, finished_at bigint, result bytea, reason text, error bytea, about bytea
) LANGUAGE plpgsql
SET search_path = pg_catalog SET enable_seqscan = off SET enable_hashjoin = off
SET enable_mergejoin = off SET enable_bitmapscan = off SET enable_material = off
SET plan_cache_mode = force_generic_plan SET jit = off AS $$
#variable_conflict use_column
DECLARE
    now bigint := asynctasq.clock_1(shift);
    ns int;
    found record;
    size bigint := 0;
BEGIN
    SELECT key INTO ns FROM asynctasq.namespaces WHERE name = space;
    FOR found IN
        SELECT given.n, o.state::int, o.finished_at, o.result, NULL::text AS reason, NULL::bytea AS error,
            o.about
        FROM unnest(asynctasq.ids_1(ids)) WITH ORDINALITY AS given (id, n)
        CROSS JOIN LATERAL (
            SELECT * FROM asynctasq.outcomes AS t WHERE t.id = given.id AND t.namespace + 0 = ns AND t.forget_at > now OFFSET 0
        ) AS o
        UNION ALL
        SELECT given.n, 6, d.died_at, NULL, d.reason, d.error, d.about
        FROM unnest(asynctasq.ids_1(ids)) WITH ORDINALITY AS given (id, n)
        CROSS JOIN LATERAL (
            SELECT * FROM asynctasq.dead AS t WHERE t.id = given.id AND t.namespace + 0 = ns OFFSET 0
        ) AS d
        ORDER BY 1
    LOOP
        n := found.n;
        size := size + coalesce(octet_length(found.result), 0) + coalesce(octet_length(found.error), 0);
        IF size > room
            AND size > coalesce(octet_length(found.result), 0) + coalesce(octet_length(found.error), 0)
        THEN
            state := NULL;
            RETURN NEXT;
            RETURN;
        END IF;
        state := found.state;
        finished_at := found.finished_at;
        result := found.result;
        reason := found.reason;
        error := found.error;
        about := found.about;
        RETURN NEXT;
    END LOOP;
END
$$;

-- Numbers of the messages that wait, run or are dead.
CREATE FUNCTION asynctasq.known_1(space text, ids bytea) RETURNS int[] LANGUAGE plpgsql STABLE
SET search_path = pg_catalog SET enable_seqscan = off SET enable_hashjoin = off
SET enable_mergejoin = off SET enable_bitmapscan = off SET enable_material = off
SET plan_cache_mode = force_generic_plan SET jit = off AS $$
DECLARE
    ns int;
BEGIN
    SELECT key INTO ns FROM asynctasq.namespaces WHERE name = space;
    RETURN ARRAY(
        SELECT given.n::int
        FROM unnest(asynctasq.ids_1(ids)) WITH ORDINALITY AS given (id, n)
        WHERE EXISTS (SELECT 1 FROM asynctasq.messages AS m WHERE m.id = given.id AND m.namespace + 0 = ns OFFSET 0)
            OR EXISTS (SELECT 1 FROM asynctasq.dead AS d WHERE d.id = given.id AND d.namespace + 0 = ns OFFSET 0)
    );
END
$$;

-- Whether any of some messages has ended.
CREATE FUNCTION asynctasq.any_ended_1(space text, ids bytea, shift bigint) RETURNS bool LANGUAGE plpgsql
SET search_path = pg_catalog SET enable_seqscan = off SET enable_hashjoin = off
SET enable_mergejoin = off SET enable_bitmapscan = off SET enable_material = off
SET plan_cache_mode = force_generic_plan SET jit = off AS $$
DECLARE
    now bigint := asynctasq.clock_1(shift);
    ns int;
BEGIN
    SELECT key INTO ns FROM asynctasq.namespaces WHERE name = space;
    RETURN EXISTS (
        SELECT 1 FROM unnest(asynctasq.ids_1(ids)) AS given (id)
        WHERE EXISTS (
            SELECT 1 FROM asynctasq.outcomes AS o
            WHERE o.id = given.id AND o.namespace + 0 = ns AND o.forget_at > now OFFSET 0
        ) OR EXISTS (SELECT 1 FROM asynctasq.dead AS d WHERE d.id = given.id AND d.namespace + 0 = ns OFFSET 0)
    );
END
$$;

CREATE FUNCTION asynctasq.progress_1(space text, ids bytea) RETURNS TABLE (n int, report bytea)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog SET enable_seqscan = off SET enable_hashjoin = off
SET enable_mergejoin = off SET enable_bitmapscan = off SET enable_material = off
SET plan_cache_mode = force_generic_plan SET jit = off AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT given.n::int, m.progress
    FROM unnest(asynctasq.ids_1(ids)) WITH ORDINALITY AS given (id, n)
    CROSS JOIN LATERAL (
        SELECT * FROM asynctasq.messages AS t
        WHERE t.id = given.id AND t.namespace + 0 = (SELECT key FROM asynctasq.namespaces WHERE name = space)
        OFFSET 0
    ) AS m
    WHERE m.progress IS NOT NULL;
END
$$;
