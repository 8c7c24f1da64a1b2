-- Functions for operators: dead letters, purges, pauses; and the registry of workers.

-- Make dead letters ready again. Returns the numbers of those that are.
CREATE FUNCTION asynctasq.requeue_1(space text, ids bytea, shift bigint) RETURNS int[] LANGUAGE plpgsql
SET search_path = pg_catalog SET enable_seqscan = off SET enable_hashjoin = off
SET enable_mergejoin = off SET enable_bitmapscan = off SET enable_material = off
SET plan_cache_mode = force_generic_plan SET jit = off AS $$
DECLARE
    now bigint := asynctasq.clock_1(shift);
    ns int;
    letter record;
    standing uuid;
    done int[] := '{}';
BEGIN
    SELECT key INTO ns FROM asynctasq.namespaces WHERE name = space;
    FOR letter IN
        SELECT given.n, d.id, d.unique_hash, d.unique_until
        FROM unnest(asynctasq.ids_1(ids)) WITH ORDINALITY AS given (id, n)
        JOIN asynctasq.dead AS d ON d.id = given.id AND d.namespace + 0 = ns
        ORDER BY d.unique_hash, d.id
        FOR UPDATE OF d
    LOOP
        INSERT INTO asynctasq.messages (
            due_at, enqueued_at, token, expires_at, expires, result_ttl, id, namespace, queue, max_lost, leases,
            pending, lane, state, rank, unique_until, children, workflow, unique_hash, group_key, profile, payload
        )
        SELECT now, enqueued_at, token, now + least(expires, 1152921504606846976), expires, result_ttl, id, namespace, queue, max_lost,
            leases, pending, lane, 3, rank, unique_until, children, workflow, unique_hash, group_key, profile,
            payload
        FROM asynctasq.dead WHERE id = letter.id AND namespace + 0 = ns
        ON CONFLICT DO NOTHING;
        CONTINUE WHEN NOT FOUND;
        IF letter.unique_until < 3 THEN
            standing := asynctasq.key_holder_1(ns, letter.unique_hash, now);
            IF standing <> letter.id
                OR NOT asynctasq.hold_key_1(ns, letter.unique_hash, letter.id, letter.unique_until, NULL, now)
            THEN
                DELETE FROM asynctasq.messages WHERE id = letter.id AND namespace + 0 = ns;
                CONTINUE;
            END IF;
        END IF;
        DELETE FROM asynctasq.dead WHERE id = letter.id AND namespace + 0 = ns;
        done := done || letter.n::int;
    END LOOP;
    RETURN done;
END
$$;

-- Make a dead letter ready again with other fields.
CREATE FUNCTION asynctasq.requeue_edited_1(
    space text, wanted bytea, name_ text, rank_ int, span bigint, ttl bigint, losses int, hash_ bytea,
    until_ int, profile_ bytea, payload_ bytea, shift bigint
) RETURNS bool LANGUAGE plpgsql
SET search_path = pg_catalog SET enable_seqscan = off SET enable_hashjoin = off
SET enable_mergejoin = off SET enable_bitmapscan = off SET enable_material = off
SET plan_cache_mode = force_generic_plan SET jit = off AS $$
DECLARE
    ns int := asynctasq.namespace_1(space);
    k int := (asynctasq.queues_1(ns, ARRAY[name_]))[1];
    letter asynctasq.dead;
BEGIN
    SELECT * INTO letter FROM asynctasq.dead
    WHERE id = encode(wanted, 'hex')::uuid AND namespace + 0 = ns FOR UPDATE;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    UPDATE asynctasq.dead
    SET queue = k, rank = rank_, expires = span, result_ttl = ttl, max_lost = losses,
        unique_hash = hash_, unique_until = until_, profile = profile_, payload = payload_
    WHERE id = letter.id AND namespace + 0 = ns;
    IF cardinality(asynctasq.requeue_1(space, wanted, shift)) > 0 THEN
        RETURN true;
    END IF;
    UPDATE asynctasq.dead
    SET queue = letter.queue, rank = letter.rank, expires = letter.expires, result_ttl = letter.result_ttl,
        max_lost = letter.max_lost, unique_hash = letter.unique_hash, unique_until = letter.unique_until,
        profile = letter.profile, payload = letter.payload
    WHERE id = letter.id AND namespace + 0 = ns;
    RETURN false;
END
$$;

-- Delete dead letters. Returns the numbers of those that were deleted.
CREATE FUNCTION asynctasq.delete_dead_1(space text, ids bytea) RETURNS int[] LANGUAGE plpgsql
SET search_path = pg_catalog SET enable_seqscan = off SET enable_hashjoin = off
SET enable_mergejoin = off SET enable_bitmapscan = off SET enable_material = off
SET plan_cache_mode = force_generic_plan SET jit = off AS $$
DECLARE
    deleted int[];
BEGIN
    WITH gone AS (
        DELETE FROM asynctasq.dead AS d
        USING unnest(asynctasq.ids_1(ids)) WITH ORDINALITY AS given (id, n)
        WHERE d.id = given.id AND d.namespace + 0 = (SELECT key FROM asynctasq.namespaces WHERE name = space)
        RETURNING given.n::int AS n
    )
    SELECT coalesce(array_agg(n), '{}') INTO deleted FROM gone;
    RETURN deleted;
END
$$;

-- Delete at most 5,000 messages of a queue in one state, 2, 3 or 6, and free their keys. Returns how many.
CREATE FUNCTION asynctasq.purge_1(space text, name_ text, state_ int, shift bigint) RETURNS int
LANGUAGE plpgsql
SET search_path = pg_catalog SET enable_seqscan = off SET enable_hashjoin = off
SET enable_mergejoin = off SET enable_bitmapscan = off SET enable_material = off
SET plan_cache_mode = force_generic_plan SET jit = off AS $$
DECLARE
    now bigint := asynctasq.clock_1(shift);
    bound int := 5000;
    ns int;
    k int;
    doomed tid[];
    keyed uuid[];
    hashes bytea[];
    purged int;
BEGIN
    SELECT n.key, q.key INTO ns, k
    FROM asynctasq.namespaces AS n JOIN asynctasq.queues AS q ON q.namespace = n.key
    WHERE n.name = space AND q.name = name_;
    IF state_ = 6 THEN
        WITH gone AS (
            DELETE FROM asynctasq.dead
            WHERE ctid = ANY(ARRAY(
                SELECT ctid FROM asynctasq.dead WHERE queue = k ORDER BY died_at, id
                LIMIT bound FOR UPDATE SKIP LOCKED
            ))
            RETURNING id, unique_hash
        )
        SELECT count(*), array_agg(id) FILTER (WHERE unique_hash IS NOT NULL),
            array_agg(unique_hash) FILTER (WHERE unique_hash IS NOT NULL)
        INTO purged, keyed, hashes
        FROM gone;
    ELSE
        IF state_ = 3 THEN
            doomed := ARRAY(
                SELECT ctid FROM asynctasq.messages
                WHERE state = 3 AND lane IS NULL AND queue = k
                LIMIT bound FOR UPDATE SKIP LOCKED
            );
        END IF;
        IF coalesce(cardinality(doomed), 0) < bound THEN
            doomed := coalesce(doomed, '{}') || ARRAY(
                SELECT m.ctid
                FROM generate_series(0, 9) AS nth
                JOIN asynctasq.messages AS m ON m.state = 2 AND m.queue = k AND m.rank = nth
                WHERE CASE state_ WHEN 3 THEN m.due_at <= now ELSE m.due_at > now END
                LIMIT bound FOR UPDATE OF m SKIP LOCKED
            );
        END IF;
        WITH gone AS (
            DELETE FROM asynctasq.messages WHERE ctid = ANY(doomed) RETURNING id, unique_hash
        )
        SELECT count(*), array_agg(id) FILTER (WHERE unique_hash IS NOT NULL),
            array_agg(unique_hash) FILTER (WHERE unique_hash IS NOT NULL)
        INTO purged, keyed, hashes
        FROM gone;
    END IF;
    IF keyed IS NOT NULL THEN
        PERFORM asynctasq.free_keys_1(ns, hashes, keyed, 3);
    END IF;
    RETURN purged;
END
$$;

CREATE FUNCTION asynctasq.pause_1(space text, name_ text, pauses bool, shift bigint) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog SET enable_seqscan = off SET enable_hashjoin = off
SET enable_mergejoin = off SET enable_bitmapscan = off SET enable_material = off
SET plan_cache_mode = force_generic_plan SET jit = off AS $$
DECLARE
    now bigint := asynctasq.clock_1(shift);
    ns int := asynctasq.namespace_1(space);
BEGIN
    IF pauses THEN
        PERFORM asynctasq.queues_1(ns, ARRAY[name_]);
    END IF;
    UPDATE asynctasq.queues SET paused = pauses, paused_at = CASE WHEN pauses THEN now END
    WHERE namespace = ns AND name = name_ AND paused <> pauses;
END
$$;

CREATE FUNCTION asynctasq.paused_1(space text) RETURNS text[] LANGUAGE plpgsql STABLE
SET search_path = pg_catalog SET enable_seqscan = off SET enable_hashjoin = off
SET enable_mergejoin = off SET enable_bitmapscan = off SET enable_material = off
SET plan_cache_mode = force_generic_plan SET jit = off AS $$
BEGIN
    RETURN ARRAY(
        SELECT q.name FROM asynctasq.namespaces AS n JOIN asynctasq.queues AS q ON q.namespace = n.key
        WHERE n.name = space AND q.paused
    );
END
$$;

CREATE FUNCTION asynctasq.record_worker_1(space text, worker text, words bytea, ttl bigint, shift bigint)
RETURNS void LANGUAGE plpgsql
SET search_path = pg_catalog SET enable_seqscan = off SET enable_hashjoin = off
SET enable_mergejoin = off SET enable_bitmapscan = off SET enable_material = off
SET plan_cache_mode = force_generic_plan SET jit = off AS $$
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    INSERT INTO asynctasq.workers (namespace, id, description, ends_at)
    VALUES (asynctasq.namespace_1(space), worker, words, asynctasq.clock_1(shift) + ttl)
    ON CONFLICT (namespace, id) DO UPDATE
    SET description = excluded.description, ends_at = excluded.ends_at;
END
$$;

CREATE FUNCTION asynctasq.forget_worker_1(space text, worker text) RETURNS void LANGUAGE plpgsql
SET search_path = pg_catalog SET enable_seqscan = off SET enable_hashjoin = off
SET enable_mergejoin = off SET enable_bitmapscan = off SET enable_material = off
SET plan_cache_mode = force_generic_plan SET jit = off AS $$
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    DELETE FROM asynctasq.workers
    WHERE namespace = (SELECT key FROM asynctasq.namespaces WHERE name = space) AND id = worker;
END
$$;

CREATE FUNCTION asynctasq.workers_1(space text, shift bigint) RETURNS TABLE (description bytea)
LANGUAGE plpgsql
SET search_path = pg_catalog SET enable_seqscan = off SET enable_hashjoin = off
SET enable_mergejoin = off SET enable_bitmapscan = off SET enable_material = off
SET plan_cache_mode = force_generic_plan SET jit = off AS $$
#variable_conflict use_column
DECLARE
    now bigint := asynctasq.clock_1(shift);
BEGIN
    RETURN QUERY
    SELECT w.description FROM asynctasq.workers AS w
    WHERE w.namespace = (SELECT key FROM asynctasq.namespaces WHERE name = space) AND w.ends_at > now
    ORDER BY w.id;
END
$$;
