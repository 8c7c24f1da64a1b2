-- Functions that end leases.

-- Complete messages. Most settlements are completions, so that they have a function of their own.
--
-- keeps: for how long each outcome is kept.
--
-- Returns the numbers of messages whose lease was current, or NULL if all were, and whether a process waits for
-- results.
CREATE FUNCTION asynctasq.complete_1(
    space text, ids bytea, tokens bigint[], results bytea[], abouts bytea[], keeps bigint[], shift bigint,
    OUT held int[], OUT heard bool
) LANGUAGE plpgsql
SET search_path = pg_catalog SET enable_seqscan = off SET enable_hashjoin = off
SET enable_mergejoin = off SET enable_bitmapscan = off SET enable_material = off
SET plan_cache_mode = force_generic_plan SET jit = off AS $$
DECLARE
    now bigint := asynctasq.clock_1(shift);
    ns int;
    keyed uuid[];
    hashes bytea[];
BEGIN
    SELECT key INTO ns FROM asynctasq.namespaces WHERE name = space;
    WITH gone AS (
        DELETE FROM asynctasq.messages AS m
        USING unnest(asynctasq.ids_1(ids), tokens, results, abouts, keeps) WITH ORDINALITY
            AS given (id, token, result, about, keep, n)
        -- Not `state = 5`: the index of leases must not lead.
        WHERE m.id = given.id AND m.namespace + 0 = ns AND m.state + 0 = 5 AND m.token = given.token
        RETURNING m.id, m.workflow, m.unique_hash, given.result, given.about, given.keep, given.n
    ), kept AS (
        INSERT INTO asynctasq.outcomes (forget_at, finished_at, id, namespace, state, workflow, result, about)
        SELECT now + keep, now, id, ns, 7, workflow, result, about FROM gone
        ON CONFLICT (id, namespace) DO UPDATE
        SET forget_at = excluded.forget_at, finished_at = excluded.finished_at, state = 7,
            workflow = excluded.workflow, result = excluded.result, about = excluded.about
    )
    SELECT array_agg(n), array_agg(id) FILTER (WHERE unique_hash IS NOT NULL),
        array_agg(unique_hash) FILTER (WHERE unique_hash IS NOT NULL)
    INTO held, keyed, hashes
    FROM gone;
    IF keyed IS NOT NULL THEN
        PERFORM asynctasq.free_keys_1(ns, hashes, keyed, 2);
    END IF;
    IF cardinality(held) = cardinality(tokens) THEN
        held := NULL;
    ELSIF held IS NULL THEN
        held := '{}';
    END IF;
    heard := EXISTS (SELECT 1 FROM asynctasq.listeners WHERE namespace = ns AND until > now);
END
$$;

-- End leases in every way. A message is named once at most.
--
-- kinds: 1 complete, 2 retry, 3 fail, 4 release, 5 cancelled.
-- spans: how long an outcome is kept, or the delay of a retry or a release.
-- flags: of a failure, whether it counts as an attempt; of a release, whether it is a mismatch.
--
-- A flagged message that would be retried or released is cancelled. Returns as complete_1 does, how many messages are
-- dead now, and the numbers of queues where a process sleeps and a message is due before that process looks again.
CREATE FUNCTION asynctasq.settle_1(
    space text, ids bytea, tokens bigint[], kinds int[], spans bigint[], flags bool[], reasons text[],
    errors bytea[], results bytea[], abouts bytea[], shift bigint,
    OUT held int[], OUT heard bool, OUT died int, OUT wakes int[]
) LANGUAGE plpgsql
SET search_path = pg_catalog SET enable_seqscan = off SET enable_hashjoin = off
SET enable_mergejoin = off SET enable_bitmapscan = off SET enable_material = off
SET plan_cache_mode = force_generic_plan SET jit = off AS $$
DECLARE
    now bigint := asynctasq.clock_1(shift);
    ns int;
    all_ids uuid[] := asynctasq.ids_1(ids);
    flagged uuid[];
    ends uuid[];
    doomed int[];
    others int[];
    keyed uuid[];
    hashes bytea[];
BEGIN
    SELECT key INTO ns FROM asynctasq.namespaces WHERE name = space;
    SELECT array_agg(l.n), array_agg(l.id) FILTER (WHERE l.cancelling AND l.kind IN (2, 4)),
        array_agg(l.n) FILTER (WHERE l.kind = 3),
        array_agg(l.n) FILTER (WHERE l.kind IN (2, 4) AND NOT l.cancelling)
    INTO held, flagged, doomed, others
    FROM (
        SELECT given.n, given.kind, m.id, m.cancelling
        FROM unnest(all_ids, tokens, kinds) WITH ORDINALITY AS given (id, token, kind, n)
        JOIN asynctasq.messages AS m ON m.id = given.id AND m.namespace + 0 = ns
        WHERE m.state + 0 = 5 AND m.token = given.token
        ORDER BY m.id
        FOR UPDATE OF m
    ) AS l;
    IF flagged IS NOT NULL THEN
        PERFORM asynctasq.finish_cancelled_1(ns, flagged, now);
    END IF;
    WITH gone AS (
        DELETE FROM asynctasq.messages AS m
        USING (SELECT each, kinds[each] AS kind FROM unnest(held) AS each WHERE kinds[each] IN (1, 5) OFFSET 0) AS given
        WHERE m.id = all_ids[given.each] AND m.namespace + 0 = ns
        RETURNING m.id, m.workflow, m.unique_hash, given.each AS n, given.kind
    ), kept AS (
        INSERT INTO asynctasq.outcomes (forget_at, finished_at, id, namespace, state, workflow, result, about)
        SELECT now + spans[n], now, id, ns, CASE kind WHEN 1 THEN 7 ELSE 8 END, workflow, results[n], abouts[n]
        FROM gone
        ON CONFLICT (id, namespace) DO UPDATE
        SET forget_at = excluded.forget_at, finished_at = excluded.finished_at, state = excluded.state,
            workflow = excluded.workflow, result = excluded.result, about = excluded.about
    )
    SELECT array_agg(id), array_agg(unique_hash) INTO keyed, hashes
    FROM gone WHERE unique_hash IS NOT NULL;
    IF keyed IS NOT NULL THEN
        PERFORM asynctasq.free_keys_1(ns, hashes, keyed, 2);
    END IF;
    IF doomed IS NOT NULL THEN
        PERFORM asynctasq.bury_1(
            ns, array_agg(all_ids[each]), array_agg(reasons[each]), 0, array_agg(flags[each]::int),
            array_agg(errors[each]), array_agg(abouts[each]), now
        )
        FROM unnest(doomed) AS each;
    END IF;
    IF others IS NOT NULL THEN
        WITH back AS (
            UPDATE asynctasq.messages AS m
            SET state = CASE WHEN given.span > 0 THEN 2 ELSE 3 END,
                due_at = CASE WHEN given.kind = 2 OR given.span > 0 THEN now + given.span ELSE m.due_at END,
                attempt = least(m.attempt, 2147483646) + CASE given.kind WHEN 2 THEN 1 ELSE 0 END,
                error = CASE given.kind WHEN 2 THEN given.error ELSE coalesce(given.error, m.error) END,
                mismatched_at = CASE
                    WHEN given.kind = 2 THEN NULL
                    WHEN given.flag THEN coalesce(m.mismatched_at, now)
                    ELSE m.mismatched_at
                END
            FROM (
                SELECT all_ids[each] AS id, kinds[each] AS kind, spans[each] AS span, flags[each] AS flag,
                    errors[each] AS error
                FROM unnest(others) AS each
                OFFSET 0
            ) AS given
            WHERE m.id = given.id AND m.namespace + 0 = ns
            RETURNING m.queue, given.span
        )
        SELECT array_agg(DISTINCT queue) INTO wakes
        FROM back
        WHERE span < 1000000
            AND EXISTS (SELECT 1 FROM asynctasq.sleepers AS s WHERE s.queue = back.queue AND s.until > now OFFSET 0);
    END IF;
    died := coalesce(cardinality(doomed), 0);
    IF cardinality(held) = cardinality(tokens) THEN
        held := NULL;
    ELSIF held IS NULL THEN
        held := '{}';
    END IF;
    heard := EXISTS (SELECT 1 FROM asynctasq.listeners WHERE namespace = ns AND until > now);
END
$$;

-- Store reports of messages whose lease is current.
CREATE FUNCTION asynctasq.set_progress_1(space text, ids bytea, tokens bigint[], reports bytea[])
RETURNS void LANGUAGE plpgsql
SET search_path = pg_catalog SET enable_seqscan = off SET enable_hashjoin = off
SET enable_mergejoin = off SET enable_bitmapscan = off SET enable_material = off
SET plan_cache_mode = force_generic_plan SET jit = off AS $$
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    UPDATE asynctasq.messages AS m SET progress = given.report
    FROM unnest(asynctasq.ids_1(ids), tokens, reports) AS given (id, token, report)
    WHERE m.id = given.id AND m.state + 0 = 5 AND m.token = given.token
        AND m.namespace + 0 = (SELECT key FROM asynctasq.namespaces WHERE name = space);
END
$$;

-- Cancel messages, each named once. Waits a second at most for messages that are being settled in a transaction
-- of an application. Returns for each: 1 cancelled, 2 requested, 3 too late, 4 unknown.
CREATE FUNCTION asynctasq.cancel_1(space text, ids bytea, shift bigint, OUT answers int[], OUT heard bool)
LANGUAGE plpgsql
SET search_path = pg_catalog SET enable_seqscan = off SET enable_hashjoin = off
SET enable_mergejoin = off SET enable_bitmapscan = off SET enable_material = off
SET plan_cache_mode = force_generic_plan SET jit = off SET lock_timeout = '1s' AS $$
DECLARE
    now bigint := asynctasq.clock_1(shift);
    ns int;
    all_ids uuid[] := asynctasq.ids_1(ids);
    waiting uuid[];
    leased uuid[];
BEGIN
    SELECT key INTO ns FROM asynctasq.namespaces WHERE name = space;
    SELECT array_agg(l.id) FILTER (WHERE l.state <= 4), array_agg(l.id) FILTER (WHERE l.state >= 5)
    INTO waiting, leased
    FROM (
        SELECT m.id, m.state FROM asynctasq.messages AS m
        WHERE m.id = ANY(all_ids) AND m.namespace + 0 = ns
        ORDER BY m.id FOR UPDATE
    ) AS l;
    IF waiting IS NOT NULL THEN
        PERFORM asynctasq.finish_cancelled_1(ns, waiting, now);
    END IF;
    IF leased IS NOT NULL THEN
        UPDATE asynctasq.messages SET cancelling = true
        WHERE id = ANY(leased) AND namespace + 0 = ns AND NOT cancelling;
    END IF;
    SELECT array_agg(
        CASE
            WHEN given.id = ANY(waiting) THEN 1
            WHEN given.id = ANY(leased) THEN 2
            WHEN asynctasq.has_ended_1(ns, given.id, now) THEN 3
            ELSE 4
        END ORDER BY given.n
    )
    INTO answers
    FROM unnest(all_ids) WITH ORDINALITY AS given (id, n);
    heard := waiting IS NOT NULL
        AND EXISTS (SELECT 1 FROM asynctasq.listeners WHERE namespace = ns AND until > now);
END
$$;

-- Announce that a process waits for results.
CREATE FUNCTION asynctasq.listen_1(space text, listener uuid, span bigint, shift bigint) RETURNS int
LANGUAGE plpgsql
SET search_path = pg_catalog SET enable_seqscan = off AS $$
DECLARE
    now bigint := asynctasq.clock_1(shift);
    ns int := asynctasq.namespace_1(space);
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    DELETE FROM asynctasq.listeners WHERE namespace = ns AND until < now - 3600000000;
    INSERT INTO asynctasq.listeners (namespace, process, until) VALUES (ns, listener, now + span)
    ON CONFLICT (namespace, process) DO UPDATE SET until = excluded.until;
    RETURN ns;
END
$$;
