-- Version 2: what is known of messages that a broker holds.

-- Facts: 1 flagged, 2 ended (with a value: moved into this store), 4 running, 5 progress.
CREATE TABLE asynctasq.brokered (
    ends_at bigint NOT NULL,
    id uuid NOT NULL,
    namespace int NOT NULL,
    fact smallint NOT NULL,
    value bytea,
    PRIMARY KEY (id, namespace, fact)
) WITH (autovacuum_vacuum_scale_factor = 0.02);
CREATE INDEX asynctasq_brokered_by_end ON asynctasq.brokered (namespace, ends_at);

-- Delete facts whose time is over: more than the caller adds.
CREATE FUNCTION asynctasq.forget_facts_2(ns int, now bigint, bound int) RETURNS void LANGUAGE plpgsql
SET search_path = pg_catalog SET enable_seqscan = off SET enable_hashjoin = off
SET enable_mergejoin = off SET enable_bitmapscan = off SET enable_material = off
SET plan_cache_mode = force_generic_plan SET jit = off AS $$
BEGIN
    DELETE FROM asynctasq.brokered
    WHERE ctid = ANY(ARRAY(
        SELECT ctid FROM asynctasq.brokered WHERE namespace = ns AND ends_at <= now
        ORDER BY ends_at LIMIT bound FOR UPDATE SKIP LOCKED
    ));
END
$$;

-- Mark that a message ends or moves here. The row decides between calls that do it at the same time. Returns
-- false if it has a past.
CREATE FUNCTION asynctasq.claim_end_2(ns int, wanted uuid, mark bigint, moved bytea, now bigint) RETURNS bool
LANGUAGE plpgsql
SET search_path = pg_catalog SET enable_seqscan = off SET plan_cache_mode = force_generic_plan AS $$
BEGIN
    IF asynctasq.is_known_1(ns, wanted, now) THEN
        RETURN false;
    END IF;
    INSERT INTO asynctasq.brokered AS b (ends_at, id, namespace, fact, value)
    VALUES (now + mark, wanted, ns, 2, moved)
    ON CONFLICT (id, namespace, fact) DO UPDATE SET ends_at = excluded.ends_at, value = excluded.value
    WHERE b.ends_at <= now;
    RETURN FOUND;
END
$$;

-- Keep the ends of messages that a broker holds, each named once.
--
-- kinds: 6 dead, 7 completed, 8 cancelled. keeps, marks: for how long the outcome and its mark are kept.
-- names to payloads: of dead letters only.
--
-- Returns the numbers of the ends that were kept, and whether a process waits for results.
CREATE FUNCTION asynctasq.finish_2(
    space text, ids bytea, kinds int[], keeps bigint[], marks bigint[], results bytea[], abouts bytea[],
    enqueued bigint[], attempts int[], losts int[], reasons text[], errors bytea[], names text[], ranks int[],
    expires bigint[], ttls bigint[], losses int[], hashes bytea[], untils int[], profiles bytea[],
    payloads bytea[], shift bigint, OUT kept int[], OUT heard bool
) LANGUAGE plpgsql
SET search_path = pg_catalog SET enable_seqscan = off SET enable_hashjoin = off
SET enable_mergejoin = off SET enable_bitmapscan = off SET enable_material = off
SET plan_cache_mode = force_generic_plan SET jit = off AS $$
DECLARE
    now bigint := asynctasq.clock_1(shift);
    ns int := asynctasq.namespace_1(space);
    all_ids uuid[] := asynctasq.ids_1(ids);
    queues int[] := asynctasq.queues_1(ns, names);
    n int;
BEGIN
    kept := '{}';
    FOR n IN SELECT given.n FROM unnest(all_ids) WITH ORDINALITY AS given (id, n) ORDER BY given.id LOOP
        CONTINUE WHEN NOT asynctasq.claim_end_2(ns, all_ids[n], marks[n], NULL, now);
        DELETE FROM asynctasq.brokered WHERE id = all_ids[n] AND namespace = ns AND fact <> 2;
        IF kinds[n] = 6 THEN
            INSERT INTO asynctasq.dead (
                due_at, enqueued_at, token, leased_at, expires, result_ttl, id, namespace, queue, attempt,
                lost, max_lost, leases, state, rank, unique_until, unique_hash, profile, payload, error,
                died_at, reason, about
            )
            VALUES (
                now, enqueued[n], 0, now, expires[n], ttls[n], all_ids[n], ns, queues[n], attempts[n],
                losts[n], losses[n], 1, 6, ranks[n], untils[n], hashes[n], profiles[n], payloads[n], errors[n],
                now, reasons[n], abouts[n]
            );
        ELSE
            INSERT INTO asynctasq.outcomes (forget_at, finished_at, id, namespace, state, result, about)
            VALUES (now + keeps[n], now, all_ids[n], ns, kinds[n], results[n], abouts[n])
            ON CONFLICT (id, namespace) DO UPDATE
            SET forget_at = excluded.forget_at, finished_at = excluded.finished_at, state = excluded.state,
                workflow = NULL, result = excluded.result, about = excluded.about;
        END IF;
        kept := kept || n;
    END LOOP;
    PERFORM asynctasq.forget_facts_2(ns, now, 2 * cardinality(all_ids) + 100);
    heard := EXISTS (SELECT 1 FROM asynctasq.listeners WHERE namespace = ns AND until > now);
END
$$;

-- Calls that flag messages and calls that let them move here come one after the other, so that no flag is lost.
CREATE FUNCTION asynctasq.await_turn_2(ns int) RETURNS void LANGUAGE sql VOLATILE AS $$
    SELECT pg_advisory_xact_lock(hashtext('asynctasq flag'), ns)
$$;

-- Enqueue messages that a broker held, each named once. `kept` are the numbers of those that were added or, if
-- they were flagged, cancelled.
CREATE FUNCTION asynctasq.adopt_2(
    space text, ids bytea, due bigint[], enqueued bigint[], attempts int[], losts int[], errors bytea[],
    marks bigint[], names text[], ranks int[], expires bigint[], ttls bigint[], losses int[], hashes bytea[],
    untils int[], profiles bytea[], payloads bytea[], shift bigint, OUT kept int[], OUT heard bool
) LANGUAGE plpgsql
SET search_path = pg_catalog SET enable_seqscan = off SET enable_hashjoin = off
SET enable_mergejoin = off SET enable_bitmapscan = off SET enable_material = off
SET plan_cache_mode = force_generic_plan SET jit = off AS $$
DECLARE
    now bigint := asynctasq.clock_1(shift);
    ns int := asynctasq.namespace_1(space);
    all_ids uuid[] := asynctasq.ids_1(ids);
    queues int[] := asynctasq.queues_1(ns, names);
    flagged bool;
    report bytea;
    n int;
BEGIN
    PERFORM asynctasq.await_turn_2(ns);
    kept := '{}';
    FOR n IN SELECT given.n FROM unnest(all_ids) WITH ORDINALITY AS given (id, n) ORDER BY given.id LOOP
        CONTINUE WHEN NOT asynctasq.claim_end_2(ns, all_ids[n], marks[n], '\x6d', now);
        SELECT bool_or(b.fact = 1), max(b.value::text) FILTER (WHERE b.fact = 5)::bytea INTO flagged, report
        FROM asynctasq.brokered AS b
        WHERE b.id = all_ids[n] AND b.namespace = ns AND b.fact IN (1, 5) AND b.ends_at > now;
        DELETE FROM asynctasq.brokered WHERE id = all_ids[n] AND namespace = ns AND fact <> 2;
        DELETE FROM asynctasq.outcomes WHERE id = all_ids[n] AND namespace + 0 = ns;  -- its time is over
        INSERT INTO asynctasq.messages (
            due_at, enqueued_at, leased_at, expires, result_ttl, id, namespace, queue, attempt, lost, max_lost,
            leases, state, rank, unique_until, unique_hash, profile, payload, progress, error
        )
        VALUES (
            due[n], enqueued[n], now, expires[n], ttls[n], all_ids[n], ns, queues[n], attempts[n], losts[n],
            losses[n], 1, CASE WHEN due[n] <= now THEN 3 ELSE 2 END, ranks[n], untils[n], hashes[n],
            profiles[n], payloads[n], report, errors[n]
        );
        IF flagged THEN
            PERFORM asynctasq.finish_cancelled_1(ns, ARRAY[all_ids[n]], now);
        END IF;
        kept := kept || n;
    END LOOP;
    PERFORM asynctasq.forget_facts_2(ns, now, 2 * cardinality(all_ids) + 100);
    heard := EXISTS (SELECT 1 FROM asynctasq.listeners WHERE namespace = ns AND until > now);
END
$$;

-- Cancel messages as cancel_1 does, each named once, and flag those that are unknown for some microseconds.
CREATE FUNCTION asynctasq.flag_2(space text, ids bytea, span bigint, shift bigint, OUT answers int[], OUT heard bool)
LANGUAGE plpgsql
SET search_path = pg_catalog SET enable_seqscan = off SET enable_hashjoin = off
SET enable_mergejoin = off SET enable_bitmapscan = off SET enable_material = off
SET plan_cache_mode = force_generic_plan SET jit = off AS $$
DECLARE
    now bigint := asynctasq.clock_1(shift);
    ns int := asynctasq.namespace_1(space);
    all_ids uuid[] := asynctasq.ids_1(ids);
    n int;
BEGIN
    PERFORM asynctasq.await_turn_2(ns);
    SELECT f.answers, f.heard INTO answers, heard FROM asynctasq.cancel_1(space, ids, shift) AS f;
    FOR n IN SELECT given.n FROM unnest(all_ids) WITH ORDINALITY AS given (id, n) ORDER BY given.id LOOP
        CONTINUE WHEN answers[n] <> 4;
        IF EXISTS (
            SELECT 1 FROM asynctasq.brokered
            WHERE id = all_ids[n] AND namespace = ns AND fact = 2 AND ends_at > now
        ) THEN
            answers[n] := 3;
        ELSE
            answers[n] := 2;
            INSERT INTO asynctasq.brokered (ends_at, id, namespace, fact)
            VALUES (now + span, all_ids[n], ns, 1)
            ON CONFLICT (id, namespace, fact) DO UPDATE SET ends_at = excluded.ends_at;
        END IF;
    END LOOP;
    PERFORM asynctasq.forget_facts_2(ns, now, 2 * cardinality(all_ids) + 100);
END
$$;

-- What is known of messages. For each: whether it waits or runs here (1), has ended (2), or neither (0), and
-- the current facts: 1 flagged, 2 ended, 3 moved, 4 running.
CREATE FUNCTION asynctasq.facts_2(space text, ids bytea, shift bigint)
RETURNS TABLE (n int, place int, facts int[]) LANGUAGE plpgsql
SET search_path = pg_catalog SET enable_seqscan = off SET enable_hashjoin = off
SET enable_mergejoin = off SET enable_bitmapscan = off SET enable_material = off
SET plan_cache_mode = force_generic_plan SET jit = off AS $$
#variable_conflict use_column
DECLARE
    now bigint := asynctasq.clock_1(shift);
    ns int;
BEGIN
    SELECT key INTO ns FROM asynctasq.namespaces WHERE name = space;
    RETURN QUERY
    SELECT given.n::int,
        CASE
            WHEN EXISTS (SELECT 1 FROM asynctasq.messages AS m WHERE m.id = given.id AND m.namespace + 0 = ns OFFSET 0) THEN 1
            WHEN asynctasq.has_ended_1(ns, given.id, now) THEN 2
            ELSE 0
        END,
        ARRAY(
            SELECT CASE WHEN b.fact = 2 AND b.value IS NOT NULL THEN 3 ELSE b.fact::int END
            FROM asynctasq.brokered AS b
            WHERE b.id = given.id AND b.namespace = ns AND b.ends_at > now
        )
    FROM unnest(asynctasq.ids_1(ids)) WITH ORDINALITY AS given (id, n);
END
$$;

-- Keep notes about messages without a past; each message has one note of a kind at most.
CREATE FUNCTION asynctasq.note_2(space text, ids bytea, kinds int[], words bytea[], spans bigint[], shift bigint)
RETURNS void LANGUAGE plpgsql
SET search_path = pg_catalog SET enable_seqscan = off SET enable_hashjoin = off
SET enable_mergejoin = off SET enable_bitmapscan = off SET enable_material = off
SET plan_cache_mode = force_generic_plan SET jit = off AS $$
DECLARE
    now bigint := asynctasq.clock_1(shift);
    ns int := asynctasq.namespace_1(space);
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    INSERT INTO asynctasq.brokered (ends_at, id, namespace, fact, value)
    SELECT now + given.span, given.id, ns, given.kind, given.word
    FROM unnest(asynctasq.ids_1(ids), kinds, words, spans) AS given (id, kind, word, span)
    WHERE NOT asynctasq.is_known_1(ns, given.id, now)
        AND NOT EXISTS (
            SELECT 1 FROM asynctasq.brokered AS b
            WHERE b.id = given.id AND b.namespace = ns AND b.fact = 2 AND b.ends_at > now OFFSET 0
        )
    ORDER BY given.id, given.kind
    ON CONFLICT (id, namespace, fact) DO UPDATE SET ends_at = excluded.ends_at, value = excluded.value;
    PERFORM asynctasq.forget_facts_2(ns, now, 2 * cardinality(kinds) + 100);
END
$$;

-- The progress of messages that a broker holds.
CREATE FUNCTION asynctasq.noted_2(space text, ids bytea, shift bigint) RETURNS TABLE (n int, report bytea)
LANGUAGE plpgsql
SET search_path = pg_catalog SET enable_seqscan = off SET enable_hashjoin = off
SET enable_mergejoin = off SET enable_bitmapscan = off SET enable_material = off
SET plan_cache_mode = force_generic_plan SET jit = off AS $$
#variable_conflict use_column
DECLARE
    now bigint := asynctasq.clock_1(shift);
BEGIN
    RETURN QUERY
    SELECT given.n::int, b.value
    FROM unnest(asynctasq.ids_1(ids)) WITH ORDINALITY AS given (id, n)
    CROSS JOIN LATERAL (
        SELECT * FROM asynctasq.brokered AS t
        WHERE t.id = given.id AND t.fact = 5 AND t.ends_at > now
            AND t.namespace = (SELECT key FROM asynctasq.namespaces WHERE name = space)
        OFFSET 0
    ) AS b;
END
$$;

UPDATE asynctasq.meta SET version = 2;
