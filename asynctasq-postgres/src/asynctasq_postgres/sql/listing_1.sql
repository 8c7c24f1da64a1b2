-- Functions that list messages by page.

-- The text at the beginning of a packed array: the task of a profile, or the type of an error.
CREATE FUNCTION asynctasq.first_text_1(packed bytea) RETURNS bytea LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE
        WHEN packed IS NULL OR length(packed) < 5 THEN ''::bytea
        WHEN get_byte(packed, 1) BETWEEN 160 AND 191 THEN substr(packed, 3, get_byte(packed, 1) - 160)
        WHEN get_byte(packed, 1) = 217 THEN substr(packed, 4, get_byte(packed, 2))
        WHEN get_byte(packed, 1) = 218 THEN substr(packed, 5, get_byte(packed, 2) * 256 + get_byte(packed, 3))
        ELSE ''::bytea
    END
$$;

-- The stretches of a listing, each of which `page_1` walks: the messages of a queue (major) and rank (minor), or the
-- leases of an owner (major). From the given stretch on, at most 1,000.
CREATE FUNCTION asynctasq.stretches_1(
    space text, kind text, queue_ text, owner_ text, from_major int, from_minor int
) RETURNS TABLE (major int, minor int) LANGUAGE plpgsql STABLE
SET search_path = pg_catalog SET enable_seqscan = off SET enable_hashjoin = off
SET enable_mergejoin = off SET enable_bitmapscan = off SET enable_material = off
SET plan_cache_mode = force_generic_plan SET jit = off AS $$
#variable_conflict use_column
DECLARE
    ns int;
BEGIN
    SELECT key INTO ns FROM asynctasq.namespaces WHERE name = space;
    IF kind = 'running' THEN
        RETURN QUERY
        SELECT o.key, 0 FROM asynctasq.owners AS o
        WHERE o.namespace = ns AND o.key >= from_major AND (owner_ IS NULL OR o.name = owner_)
            AND EXISTS (SELECT 1 FROM asynctasq.messages AS m WHERE m.state = 5 AND m.owner = o.key OFFSET 0)
        ORDER BY o.key LIMIT 1000;
        RETURN;
    END IF;
    RETURN QUERY
    SELECT q.key, nth
    FROM (
        SELECT q.key FROM asynctasq.queues AS q
        WHERE q.namespace = ns AND q.key >= from_major AND (queue_ IS NULL OR q.name = queue_)
            AND (
                EXISTS (SELECT 1 FROM asynctasq.messages AS m WHERE m.state = 3 AND m.lane IS NULL AND m.queue = q.key OFFSET 0)
                OR EXISTS (SELECT 1 FROM asynctasq.messages AS m WHERE m.state = 2 AND m.queue = q.key OFFSET 0)
            )
        ORDER BY q.key LIMIT 1000
    ) AS q
    CROSS JOIN generate_series(0, 9) AS nth
    WHERE (q.key > from_major OR nth >= from_minor) AND (
        EXISTS (
            SELECT 1 FROM asynctasq.messages AS m
            WHERE m.state = 3 AND m.lane IS NULL AND m.queue = q.key AND m.rank = nth OFFSET 0
        )
        OR EXISTS (SELECT 1 FROM asynctasq.messages AS m WHERE m.state = 2 AND m.queue = q.key AND m.rank = nth OFFSET 0)
    )
    ORDER BY q.key, nth
    LIMIT 1000;
END
$$;

-- Walk `budget` messages of a stretch, behind a place, and return those that the filter lets through, up to `most`
-- of them and `room` bytes; of the others the place alone.
CREATE FUNCTION asynctasq.page_1(
    space text, kind text, major int, minor int, after bigint, after_id bytea, budget int, most int,
    room bigint, is_first bool, queue_ text, since bigint, until bigint, task bytea, prefix bytea,
    reason_ text, error_ bytea, ending bytea, shift bigint
) RETURNS SETOF asynctasq.snapshot_1 LANGUAGE plpgsql
SET search_path = pg_catalog SET enable_seqscan = off SET enable_hashjoin = off
SET enable_mergejoin = off SET enable_bitmapscan = off SET enable_material = off
SET plan_cache_mode = force_generic_plan SET jit = off AS $$
#variable_conflict use_column
DECLARE
    now bigint := asynctasq.clock_1(shift);
    ns int;
    k int;
    behind uuid := encode(after_id, 'hex')::uuid;
    places bigint[];
    ids uuid[];
BEGIN
    SELECT key INTO ns FROM asynctasq.namespaces WHERE name = space;
    IF queue_ IS NOT NULL THEN
        SELECT key INTO k FROM asynctasq.queues WHERE namespace = ns AND name = queue_;
    END IF;
    IF kind = 'ready' THEN
        -- Messages that are due keep their place when they are promoted.
        SELECT array_agg(w.due_at), array_agg(w.id) INTO places, ids
        FROM (
            SELECT m.due_at, m.id FROM asynctasq.messages AS m
            WHERE m.state = 3 AND m.lane IS NULL AND m.queue = major AND m.rank = minor
                AND (m.due_at, m.id) > (after, behind)
            UNION ALL
            SELECT m.due_at, m.id FROM asynctasq.messages AS m
            WHERE m.state = 2 AND m.queue = major AND m.rank = minor AND m.due_at <= now
                AND (m.due_at, m.id) > (after, behind)
            ORDER BY 1, 2 LIMIT budget
        ) AS w;
    ELSIF kind = 'scheduled' AND queue_ IS NULL THEN
        SELECT array_agg(w.due_at), array_agg(w.id) INTO places, ids
        FROM (
            SELECT m.due_at, m.id FROM asynctasq.messages AS m
            WHERE m.state = 2 AND m.namespace = ns AND m.due_at > now
                AND (m.due_at, m.id) > (greatest(after, now), behind)
            ORDER BY m.due_at, m.id LIMIT budget
        ) AS w;
    ELSIF kind = 'scheduled' THEN
        SELECT array_agg(w.due_at), array_agg(w.id) INTO places, ids
        FROM (
            SELECT m.due_at, m.id FROM asynctasq.messages AS m
            WHERE m.state = 2 AND m.queue = major AND m.rank = minor AND m.due_at > now
                AND (m.due_at, m.id) > (greatest(after, now), behind)
            ORDER BY m.due_at, m.id LIMIT budget
        ) AS w;
    ELSIF kind = 'running' THEN
        SELECT array_agg(0), array_agg(w.id) INTO places, ids
        FROM (
            SELECT m.id FROM asynctasq.messages AS m
            WHERE m.state = 5 AND m.owner = major AND m.id > behind
            ORDER BY m.id LIMIT budget
        ) AS w;
    ELSIF queue_ IS NULL THEN
        SELECT array_agg(w.died_at), array_agg(w.id) INTO places, ids
        FROM (
            SELECT d.died_at, d.id FROM asynctasq.dead AS d
            WHERE d.namespace = ns AND (d.died_at, d.id) < (after, behind)
            ORDER BY d.died_at DESC, d.id DESC LIMIT budget
        ) AS w;
    ELSE
        SELECT array_agg(w.died_at), array_agg(w.id) INTO places, ids
        FROM (
            SELECT d.died_at, d.id FROM asynctasq.dead AS d
            WHERE d.queue = k AND (d.died_at, d.id) < (after, behind)
            ORDER BY d.died_at DESC, d.id DESC LIMIT budget
        ) AS w;
    END IF;
    IF kind = 'dead' THEN
        RETURN QUERY
        SELECT CASE WHEN s.fits THEN s.nth END, s.place, uuid_send(s.id),
            uuid_send(s.id), q.name,
            s.profile, CASE WHEN s.nth <= most AND (s.total <= room OR (is_first AND s.nth = 1)) THEN s.payload END,
            6, s.attempt, s.lost, s.enqueued_at, s.due_at, NULL::text, s.leased_at, false, s.error,
            s.reason, s.died_at
        FROM (
            SELECT f.*,
                count(*) FILTER (WHERE f.fits) OVER walk AS nth,
                sum(CASE WHEN f.fits THEN octet_length(f.payload) + coalesce(octet_length(f.error), 0) ELSE 0 END)
                    OVER walk AS total
            FROM (
                SELECT d.*, w.n AS walked, w.place, (
                    (since IS NULL OR d.enqueued_at >= since) AND (until IS NULL OR d.enqueued_at < until)
                    AND (task IS NULL OR asynctasq.first_text_1(d.profile) = task)
                    AND (prefix IS NULL OR substr(asynctasq.first_text_1(d.profile), 1, length(prefix)) = prefix)
                    AND (reason_ IS NULL OR d.reason = reason_)
                    AND (
                        error_ IS NULL OR asynctasq.first_text_1(d.error) = error_
                        OR substr(
                            asynctasq.first_text_1(d.error),
                            length(asynctasq.first_text_1(d.error)) - length(ending) + 1
                        ) = ending
                    )
                ) AS fits
                FROM unnest(places, ids) WITH ORDINALITY AS w (place, id, n)
                CROSS JOIN LATERAL (
            SELECT * FROM asynctasq.dead AS t WHERE t.id = w.id AND t.namespace + 0 = ns OFFSET 0
        ) AS d
            ) AS f
            WINDOW walk AS (ORDER BY f.walked ROWS UNBOUNDED PRECEDING)
        ) AS s
        LEFT JOIN asynctasq.queues AS q ON q.key = s.queue
        ORDER BY s.walked;
        RETURN;
    END IF;
    RETURN QUERY
    SELECT CASE WHEN s.fits THEN s.nth END, s.place, uuid_send(s.id),
        uuid_send(s.id), q.name,
        s.profile, CASE WHEN s.nth <= most AND (s.total <= room OR (is_first AND s.nth = 1)) THEN s.payload END,
        CASE WHEN s.state = 2 AND s.due_at <= now THEN 3 ELSE s.state END, s.attempt, s.lost, s.enqueued_at, s.due_at, o.name, s.leased_at, s.cancelling, s.error,
        NULL::text, NULL::bigint
    FROM (
        SELECT f.*,
            count(*) FILTER (WHERE f.fits) OVER walk AS nth,
            sum(CASE WHEN f.fits THEN octet_length(f.payload) + coalesce(octet_length(f.error), 0) ELSE 0 END)
                OVER walk AS total
        FROM (
            SELECT m.*, w.n AS walked, w.place, (
                (since IS NULL OR m.enqueued_at >= since) AND (until IS NULL OR m.enqueued_at < until)
                AND (task IS NULL OR asynctasq.first_text_1(m.profile) = task)
                AND (prefix IS NULL OR substr(asynctasq.first_text_1(m.profile), 1, length(prefix)) = prefix)
                AND (queue_ IS NULL OR m.queue = k)
            ) AS fits
            FROM unnest(places, ids) WITH ORDINALITY AS w (place, id, n)
            CROSS JOIN LATERAL (
            SELECT * FROM asynctasq.messages AS t WHERE t.id = w.id AND t.namespace + 0 = ns OFFSET 0
        ) AS m
        ) AS f
        WINDOW walk AS (ORDER BY f.walked ROWS UNBOUNDED PRECEDING)
    ) AS s
    LEFT JOIN asynctasq.queues AS q ON q.key = s.queue
    LEFT JOIN asynctasq.owners AS o ON o.key = s.owner AND s.state = 5
    ORDER BY s.walked;
END
$$;
