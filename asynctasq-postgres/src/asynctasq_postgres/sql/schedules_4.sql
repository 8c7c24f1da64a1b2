-- Version 4: schedules. Version 1 had a table for them that no release has used.

DROP TABLE asynctasq.schedules;
-- Text is stored as bytes, so that all of it fits and is compared byte by byte. `claimable_at` is the time at which a
-- schedule is due, at which a claim of it ends, or, after its last time, at which it is deleted. It is NULL while the
-- schedule is paused or orphaned. A schedule that is not `whole` is damaged.
CREATE TABLE asynctasq.schedules (
    next_at bigint,
    claimable_at bigint,
    revision bigint NOT NULL,
    seen_at bigint NOT NULL,
    fired_at bigint,
    namespace int NOT NULL,
    paused bool NOT NULL DEFAULT false,
    orphaned bool NOT NULL DEFAULT false,
    whole bool NOT NULL GENERATED ALWAYS AS (
        length(definition) > 0 AND revision BETWEEN 1 AND {forever}
        AND (next_at IS NULL OR next_at BETWEEN -{forever} AND {forever})
    ) STORED,
    id bytea NOT NULL,
    rhythm bytea NOT NULL,
    declared_by bytea,
    definition bytea NOT NULL,
    PRIMARY KEY (namespace, id)
) WITH (autovacuum_vacuum_scale_factor = 0.05);
CREATE INDEX asynctasq_schedules_claimable ON asynctasq.schedules (namespace, claimable_at)
    WHERE claimable_at IS NOT NULL;

-- Store schedules, in the order of their ids, so that two calls do not wait for each other. Returns their revisions.
CREATE FUNCTION asynctasq.put_schedules_4(
    space text, ids bytea[], definitions bytea[], rhythms bytea[], next_ats bigint[], declarers bytea[], shift bigint
) RETURNS bigint[] LANGUAGE plpgsql
SET search_path = pg_catalog SET enable_seqscan = off SET enable_bitmapscan = off
SET plan_cache_mode = force_generic_plan SET jit = off AS $$
DECLARE
    now bigint := asynctasq.clock_1(shift);
    ends bigint := now + {finished_kept_for};
    ns int := asynctasq.namespace_1(space);
    revisions bigint[] := array_fill(1::bigint, ARRAY[cardinality(ids)]);
    given record;
    old asynctasq.schedules;
    same bool;
    next_ bigint;
BEGIN
    FOR given IN
        SELECT * FROM unnest(ids, definitions, rhythms, next_ats, declarers)
            WITH ORDINALITY AS each (id, definition, rhythm, next_at, declared_by, n)
        ORDER BY id, n
    LOOP
        LOOP
            INSERT INTO asynctasq.schedules (
                next_at, claimable_at, revision, seen_at, namespace, id, rhythm, declared_by, definition
            )
            VALUES (
                given.next_at, coalesce(given.next_at, ends), 1, now, ns, given.id, given.rhythm,
                given.declared_by, given.definition
            )
            ON CONFLICT DO NOTHING;
            EXIT WHEN FOUND;
            SELECT * INTO old FROM asynctasq.schedules WHERE namespace = ns AND id = given.id FOR UPDATE;
            CONTINUE WHEN NOT FOUND;  -- it was removed meanwhile
            same := old.whole AND old.definition = given.definition;
            next_ := CASE WHEN old.whole AND (same OR old.rhythm = given.rhythm) THEN old.next_at ELSE given.next_at END;
            revisions[given.n] := CASE
                WHEN same THEN old.revision WHEN old.revision BETWEEN 1 AND {forever} THEN old.revision + 1 ELSE 1
            END;
            UPDATE asynctasq.schedules
            SET next_at = next_, revision = revisions[given.n], seen_at = now, declared_by = given.declared_by,
                orphaned = false,
                claimable_at = CASE
                    WHEN paused THEN NULL WHEN same AND NOT orphaned THEN claimable_at ELSE coalesce(next_, ends)
                END,
                definition = CASE WHEN same THEN definition ELSE given.definition END,
                rhythm = CASE WHEN same THEN rhythm ELSE given.rhythm END
            WHERE namespace = ns AND id = given.id;
            EXIT;
        END LOOP;
    END LOOP;
    RETURN revisions;
END
$$;

-- Claim schedules. The last row has the time, and when the next schedule can be claimed, in place of a schedule.
CREATE FUNCTION asynctasq.claim_schedules_4(space text, most int, hold bigint, shift bigint)
RETURNS TABLE (at bigint, next bigint, claimed asynctasq.schedules) LANGUAGE plpgsql
SET search_path = pg_catalog SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off
SET plan_cache_mode = force_generic_plan SET jit = off AS $$
DECLARE
    now bigint := asynctasq.clock_1(shift);
    ns int := asynctasq.namespace_1(space);
    first bigint;
    due tid[];
BEGIN
    SELECT claimable_at INTO first FROM asynctasq.schedules
    WHERE namespace = ns AND claimable_at IS NOT NULL ORDER BY claimable_at LIMIT 1;
    IF most > 0 AND first <= now THEN
        due := ARRAY(
            SELECT ctid FROM asynctasq.schedules WHERE namespace = ns AND claimable_at <= now
            ORDER BY claimable_at LIMIT most FOR UPDATE SKIP LOCKED
        );
        RETURN QUERY
        SELECT now, NULL::bigint, s FROM asynctasq.schedules AS s
        WHERE ctid = ANY(due) AND NOT (whole AND next_at IS NULL) ORDER BY claimable_at;
        DELETE FROM asynctasq.schedules WHERE ctid = ANY(due) AND whole AND next_at IS NULL;
        UPDATE asynctasq.schedules SET claimable_at = CASE WHEN whole THEN now + hold END WHERE ctid = ANY(due);
        -- Fewer than wanted: those that are left and due are locked by another call, which claims or changes them.
        SELECT claimable_at INTO first FROM asynctasq.schedules
        WHERE namespace = ns AND claimable_at > CASE WHEN cardinality(due) < most THEN now ELSE first - 1 END
        ORDER BY claimable_at LIMIT 1;
    END IF;
    RETURN QUERY SELECT now, first, NULL::asynctasq.schedules;
END
$$;

-- Fire schedules, in the order of their ids, and add the messages of those that fire.
--
-- next_ats: the next times; NULL after the last one. counts: how many of the messages belong to each firing, in order.
-- The arguments from `message_ids` to `periods` are those of `enqueue_1`.
--
-- Returns which have fired, and whether a process sleeps until a message comes.
CREATE FUNCTION asynctasq.fire_4(
    space text, ids bytea[], revisions bigint[], planned bigint[], next_ats bigint[], counts int[],
    message_ids bytea, payloads bytea[], kind int[], due bigint[],
    names text[], ranks int[], spans bigint[], ttls bigint[], losses int[], profiles bytea[],
    hashes bytea[], untils int[], conflicts int[], periods bigint[], shift bigint,
    OUT fired bool[], OUT asleep bool
) LANGUAGE plpgsql
SET search_path = pg_catalog SET enable_seqscan = off SET enable_hashjoin = off
SET enable_mergejoin = off SET enable_bitmapscan = off SET enable_material = off
SET plan_cache_mode = force_generic_plan SET jit = off AS $$
DECLARE
    now bigint := asynctasq.clock_1(shift);
    ns int := asynctasq.namespace_1(space);
    done int[] := '{}';
    turn int;
BEGIN
    asleep := false;
    -- One turn, unless an id is named several times.
    FOR turn IN 1..(SELECT max(each.times) FROM (SELECT count(*) AS times FROM unnest(ids) AS id GROUP BY id) AS each)
    LOOP
        WITH changed AS (
            UPDATE asynctasq.schedules AS s
            SET next_at = given.next_at, claimable_at = coalesce(given.next_at, now + {finished_kept_for}),
                fired_at = CASE WHEN given.count > 0 THEN now ELSE s.fired_at END
            FROM (
                SELECT *, row_number() OVER (PARTITION BY id ORDER BY n) AS nth
                FROM unnest(ids, revisions, planned, next_ats, counts)
                    WITH ORDINALITY AS each (id, revision, planned, next_at, count, n)
                ORDER BY id
                OFFSET 0
            ) AS given
            WHERE given.nth = turn AND s.namespace = ns AND s.id = given.id AND s.revision = given.revision
                AND s.next_at = given.planned AND NOT s.paused AND NOT s.orphaned
            RETURNING given.n
        )
        SELECT done || coalesce(array_agg(n::int), '{}') INTO done FROM changed;
    END LOOP;
    fired := ARRAY(SELECT n = ANY(done) FROM generate_series(1, cardinality(ids)) AS n ORDER BY n);
    IF false = ANY(fired) THEN
        SELECT string_agg(substr(message_ids, 16 * n::int - 15, 16), '' ORDER BY n), array_agg(payload ORDER BY n),
            array_agg(of_kind ORDER BY n), array_agg(due_at ORDER BY n), array_agg(hash ORDER BY n),
            array_agg(until ORDER BY n), array_agg(conflict ORDER BY n), array_agg(period ORDER BY n)
        INTO message_ids, payloads, kind, due, hashes, untils, conflicts, periods
        FROM unnest(payloads, kind, due, hashes, untils, conflicts, periods, ARRAY(
            SELECT firing FROM unnest(counts) WITH ORDINALITY AS each (count, firing), generate_series(1, count)
            ORDER BY firing
        )) WITH ORDINALITY AS each (payload, of_kind, due_at, hash, until, conflict, period, firing, n)
        WHERE fired[firing];
    END IF;
    IF cardinality(payloads) > 0 THEN
        SELECT f.asleep INTO asleep
        FROM asynctasq.enqueue_1(
            space, message_ids, payloads, kind, due, names, ranks, spans, ttls, losses, profiles,
            hashes, untils, conflicts, periods, shift
        ) AS f;
    END IF;
END
$$;

-- Change schedules, in the order of their ids: pause, resume, remove, seen or orphan. Returns which were changed.
CREATE FUNCTION asynctasq.change_schedules_4(space text, ids bytea[], change text, shift bigint)
RETURNS bool[] LANGUAGE plpgsql
SET search_path = pg_catalog SET enable_seqscan = off SET enable_bitmapscan = off
SET plan_cache_mode = force_generic_plan SET jit = off AS $$
DECLARE
    now bigint := asynctasq.clock_1(shift);
    ns int := asynctasq.namespace_1(space);
    changed bool[] := array_fill(false, ARRAY[cardinality(ids)]);
    given record;
BEGIN
    FOR given IN SELECT * FROM unnest(ids) WITH ORDINALITY AS each (id, n) ORDER BY id, n LOOP
        IF change = 'remove' THEN
            DELETE FROM asynctasq.schedules WHERE namespace = ns AND id = given.id;
        ELSE
            UPDATE asynctasq.schedules
            SET paused = CASE change WHEN 'pause' THEN true WHEN 'resume' THEN false ELSE paused END,
                orphaned = CASE change WHEN 'orphan' THEN true WHEN 'seen' THEN false ELSE orphaned END,
                seen_at = CASE change WHEN 'seen' THEN now ELSE seen_at END,
                claimable_at = CASE
                    WHEN change IN ('pause', 'orphan') OR (paused AND change <> 'resume')
                        OR (orphaned AND change <> 'seen') THEN NULL
                    WHEN paused OR orphaned THEN coalesce(next_at, now + {finished_kept_for})
                    ELSE claimable_at
                END
            WHERE namespace = ns AND id = given.id AND (
                change <> 'orphan' OR (declared_by IS NOT NULL AND seen_at <= now - {orphaned_after})
            );
        END IF;
        changed[given.n] := FOUND;
    END LOOP;
    RETURN changed;
END
$$;

CREATE FUNCTION asynctasq.find_schedules_4(space text, wanted bytea[]) RETURNS SETOF asynctasq.schedules
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog SET enable_seqscan = off SET enable_bitmapscan = off
SET plan_cache_mode = force_generic_plan SET jit = off AS $$
DECLARE
    ns int := (SELECT key FROM asynctasq.namespaces WHERE name = space);
BEGIN
    RETURN QUERY
    SELECT s.* FROM unnest(wanted) AS each CROSS JOIN LATERAL (
        SELECT * FROM asynctasq.schedules WHERE namespace = ns AND id = each OFFSET 0
    ) AS s;
END
$$;

-- List schedules by id.
CREATE FUNCTION asynctasq.list_schedules_4(space text, after bytea, most int) RETURNS SETOF asynctasq.schedules
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off
SET plan_cache_mode = force_generic_plan SET jit = off AS $$
DECLARE
    ns int := (SELECT key FROM asynctasq.namespaces WHERE name = space);
BEGIN
    RETURN QUERY
    SELECT * FROM asynctasq.schedules WHERE namespace = ns AND id > after
    ORDER BY id LIMIT most;
END
$$;

UPDATE asynctasq.meta SET version = 4;
