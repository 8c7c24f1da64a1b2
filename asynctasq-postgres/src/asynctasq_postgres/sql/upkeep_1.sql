-- Functions of the upkeep, which each reserve does in pieces of at most 5,000 messages. Two of them are called by each
-- reserve and set nothing: the plans are pinned by the functions that call them.

-- Whether the mark of the last call shows no outage, and need not be written again.
CREATE FUNCTION asynctasq.is_recent_1(marked_at bigint, marked_until bigint, now bigint, lease bigint) RETURNS bool
LANGUAGE sql IMMUTABLE AS $$
    SELECT now - marked_at BETWEEN -1000000 AND least(lease / 2, 15000000) / 4 - 1
        AND NOT (marked_at <= marked_until AND marked_until <= now)
$$;

-- Record that a worker called; return whether ended leases must be left alone because of an outage. The rule is
-- `next_mark` of asynctasq.driverkit.outages.
CREATE FUNCTION asynctasq.note_call_1(ns int, now bigint, lease bigint) RETURNS bool LANGUAGE plpgsql AS $$
DECLARE
    mark record;
    gap bigint := least(lease / 2, 15000000);
    age bigint;
    first_after_pause bool;
    latest bigint;
    any_ended bool;
    pause bigint := 0;
BEGIN
    SELECT at, paused_until INTO mark FROM asynctasq.upkeep WHERE namespace = ns;
    IF FOUND AND asynctasq.is_recent_1(mark.at, mark.paused_until, now, lease) THEN
        RETURN now < mark.paused_until;
    END IF;
    SELECT at, paused_until INTO mark FROM asynctasq.upkeep WHERE namespace = ns FOR UPDATE;
    IF NOT FOUND THEN
        IF EXISTS (
            SELECT 1 FROM asynctasq.owners AS o
            JOIN asynctasq.messages AS m ON m.state = 5 AND m.owner = o.key
            WHERE o.namespace = ns OFFSET 0
        ) THEN
            pause := now + lease / 2;
        END IF;
        INSERT INTO asynctasq.upkeep (namespace, at, paused_until) VALUES (ns, now, pause)
        ON CONFLICT DO NOTHING;
        RETURN now < pause;
    END IF;
    IF mark.at > now + 1000000 THEN  -- the clock was set back
        UPDATE asynctasq.owners SET deadline = deadline - (mark.at - now)
        WHERE namespace = ns AND deadline > now;
        UPDATE asynctasq.workers SET ends_at = ends_at - (mark.at - now)
        WHERE namespace = ns AND ends_at > now;
        pause := least(mark.paused_until, now + lease / 2);
        IF mark.at - now > gap THEN
            pause := greatest(pause, now + CASE WHEN mark.at - now > lease / 2 THEN lease / 2 ELSE gap END);
        END IF;
        UPDATE asynctasq.upkeep SET at = now, paused_until = pause WHERE namespace = ns;
        RETURN now < pause;
    END IF;
    age := now - mark.at;
    first_after_pause := mark.at <= mark.paused_until AND mark.paused_until <= now;
    IF age > gap THEN
        SELECT max(deadline), bool_or(deadline <= now) INTO latest, any_ended
        FROM asynctasq.owners
        WHERE namespace = ns AND deadline > mark.at AND deadline < least(now + age, mark.at + 3600000000);
        IF NOT first_after_pause OR any_ended THEN
            pause := CASE WHEN age > lease / 2 THEN lease / 2 ELSE gap END;
            IF lease >= 1000000 THEN  -- shorter ones are for tests that want no pause
                pause := greatest(pause, (coalesce(latest, mark.at) - mark.at) * 4 / 9);
            END IF;
            UPDATE asynctasq.upkeep SET at = now, paused_until = greatest(mark.paused_until, now + pause)
            WHERE namespace = ns;
            PERFORM asynctasq.end_strays_1(ns, now);
            RETURN now < greatest(mark.paused_until, now + pause);
        END IF;
    END IF;
    IF first_after_pause OR age >= gap / 4 THEN
        UPDATE asynctasq.upkeep SET at = greatest(at, now) WHERE namespace = ns;
        PERFORM asynctasq.end_strays_1(ns, now);
    END IF;
    RETURN now < mark.paused_until;
END
$$;

-- Release messages whose lease belongs to no owner, as after a damage. The query steps from one owner to the
-- next, not from lease to lease.
CREATE FUNCTION asynctasq.end_strays_1(ns int, now bigint) RETURNS void LANGUAGE plpgsql
SET search_path = pg_catalog SET enable_seqscan = off SET enable_hashjoin = off
SET enable_mergejoin = off SET enable_bitmapscan = off SET enable_material = off
SET plan_cache_mode = force_generic_plan SET jit = off AS $$
DECLARE
    strays uuid[];
BEGIN
    WITH RECURSIVE holders (owner) AS (
        (SELECT owner FROM asynctasq.messages WHERE state = 5 ORDER BY owner LIMIT 1)
        UNION ALL
        SELECT (
            SELECT m.owner FROM asynctasq.messages AS m
            WHERE m.state = 5 AND m.owner > holders.owner ORDER BY m.owner LIMIT 1
        )
        FROM holders WHERE holders.owner IS NOT NULL
    )
    SELECT array_agg(found.id) INTO strays
    FROM holders CROSS JOIN LATERAL (
        SELECT m.id FROM asynctasq.messages AS m
        WHERE m.state = 5 AND m.owner = holders.owner AND m.namespace = ns
        LIMIT 1000 FOR UPDATE SKIP LOCKED
    ) AS found
    WHERE NOT EXISTS (SELECT 1 FROM asynctasq.owners AS o WHERE o.key = holders.owner AND o.namespace = ns OFFSET 0);
    IF strays IS NOT NULL THEN
        PERFORM asynctasq.take_back_1(ns, strays, true, now);
    END IF;
END
$$;

-- Take back leased messages, which the caller has locked. They are ready again, at their old place; those that
-- were flagged are cancelled, and those that were lost too often are dead. Returns what became of them.
CREATE FUNCTION asynctasq.take_back_1(ns int, ids uuid[], counted bool, now bigint)
RETURNS TABLE (
    id uuid, queue int, state int, attempt int, lost int, owner int, profile bytea
) LANGUAGE plpgsql
SET search_path = pg_catalog SET enable_seqscan = off SET enable_hashjoin = off
SET enable_mergejoin = off SET enable_bitmapscan = off SET enable_material = off
SET plan_cache_mode = force_generic_plan SET jit = off AS $$
#variable_conflict use_column
DECLARE
    flagged uuid[];
    doomed uuid[];
BEGIN
    SELECT array_agg(m.id) FILTER (WHERE m.cancelling), array_agg(m.id) FILTER (WHERE NOT m.cancelling)
    INTO flagged, doomed
    FROM asynctasq.messages AS m
    WHERE m.id = ANY(ids) AND m.namespace + 0 = ns AND m.state + 0 = 5
        AND (m.cancelling OR (counted AND m.lost >= m.max_lost));
    RETURN QUERY
    SELECT m.id, m.queue, CASE WHEN m.cancelling THEN 8 ELSE 6 END, m.attempt,
        least(m.lost, 2147483646) + counted::int, m.owner,
        m.profile
    FROM asynctasq.messages AS m
    WHERE m.id = ANY(flagged || doomed) AND m.namespace + 0 = ns;
    IF flagged IS NOT NULL THEN
        PERFORM asynctasq.finish_cancelled_1(ns, flagged, now);
    END IF;
    IF doomed IS NOT NULL THEN
        PERFORM asynctasq.bury_1(
            ns, doomed, array_fill('lost'::text, ARRAY[cardinality(doomed)]), 1, NULL, NULL, NULL, now
        );
    END IF;
    RETURN QUERY
    UPDATE asynctasq.messages AS m SET state = 3, lost = least(m.lost, 2147483646) + counted::int
    WHERE m.id = ANY(ids) AND m.namespace + 0 = ns AND m.state + 0 = 5
    RETURNING m.id, m.queue, m.state::int, m.attempt, m.lost, m.owner, m.profile;
END
$$;

-- Whether any upkeep is due; without that of leases.
CREATE FUNCTION asynctasq.is_due_1(ns int, now bigint, dead_since bigint) RETURNS bool LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN
        EXISTS (SELECT 1 FROM asynctasq.messages WHERE namespace = ns AND state = 2 AND due_at <= now)
        OR EXISTS (SELECT 1 FROM asynctasq.messages WHERE namespace = ns AND expires_at <= now)
        OR EXISTS (SELECT 1 FROM asynctasq.outcomes WHERE namespace = ns AND forget_at <= now)
        OR EXISTS (SELECT 1 FROM asynctasq.dead WHERE namespace = ns AND died_at <= dead_since)
        OR EXISTS (SELECT 1 FROM asynctasq.unique_keys WHERE namespace = ns AND ends_at <= now)
        OR EXISTS (SELECT 1 FROM asynctasq.workers WHERE namespace = ns AND ends_at <= now);
END
$$;

-- Do a piece of the upkeep that is due. Returns messages whose lease was taken back or that have expired.
CREATE FUNCTION asynctasq.upkeep_1(
    ns int, now bigint, reclaims bool, dead_since bigint, dead_limit int, prunes bool
) RETURNS TABLE (
    id uuid, queue int, state int, attempt int, lost int, owner text, profile bytea
) LANGUAGE plpgsql
SET search_path = pg_catalog SET enable_seqscan = off SET enable_hashjoin = off
SET enable_mergejoin = off SET enable_bitmapscan = off SET enable_material = off
SET plan_cache_mode = force_generic_plan SET jit = off AS $$
#variable_conflict use_column
DECLARE
    bound int := 5000;
    left_over int := bound;
    gone record;
    leased uuid[];
    expired uuid[];
BEGIN
    UPDATE asynctasq.messages SET state = 3
    WHERE ctid = ANY(ARRAY(
        SELECT ctid FROM asynctasq.messages
        WHERE namespace = ns AND state = 2 AND due_at <= now
        ORDER BY due_at LIMIT bound FOR UPDATE SKIP LOCKED
    ));
    IF reclaims THEN
        FOR gone IN
            SELECT key, name FROM asynctasq.owners
            WHERE namespace = ns AND deadline <= now
            ORDER BY deadline LIMIT 100 FOR UPDATE SKIP LOCKED
        LOOP
            EXIT WHEN left_over <= 0;
            leased := ARRAY(
                SELECT m.id FROM asynctasq.messages AS m
                WHERE m.state = 5 AND m.owner = gone.key
                ORDER BY m.id LIMIT left_over FOR UPDATE SKIP LOCKED
            );
            left_over := left_over - cardinality(leased);
            IF cardinality(leased) > 0 THEN
                RETURN QUERY
                SELECT t.id, t.queue, t.state, t.attempt, t.lost, gone.name, t.profile
                FROM asynctasq.take_back_1(ns, leased, true, now) AS t;
            END IF;
            DELETE FROM asynctasq.owners
            WHERE key = gone.key AND NOT EXISTS (
                SELECT 1 FROM asynctasq.messages AS m WHERE m.state = 5 AND m.owner = gone.key OFFSET 0
            );
        END LOOP;
    END IF;
    expired := ARRAY(
        SELECT m.id FROM asynctasq.messages AS m
        WHERE m.namespace = ns AND m.expires_at <= now
        ORDER BY m.expires_at LIMIT bound FOR UPDATE SKIP LOCKED
    );
    IF cardinality(expired) > 0 THEN
        RETURN QUERY
        SELECT m.id, m.queue, 6, m.attempt, m.lost, NULL::text, m.profile
        FROM asynctasq.messages AS m WHERE m.id = ANY(expired) AND m.namespace + 0 = ns;
        PERFORM asynctasq.bury_1(
            ns, expired, array_fill('expired'::text, ARRAY[cardinality(expired)]), 0, NULL, NULL, NULL, now
        );
    END IF;
    DELETE FROM asynctasq.outcomes
    WHERE ctid = ANY(ARRAY(
        SELECT ctid FROM asynctasq.outcomes WHERE namespace = ns AND forget_at <= now
        ORDER BY forget_at LIMIT bound FOR UPDATE SKIP LOCKED
    ));
    DELETE FROM asynctasq.unique_keys
    WHERE ctid = ANY(ARRAY(
        SELECT ctid FROM asynctasq.unique_keys WHERE namespace = ns AND ends_at <= now
        ORDER BY ends_at LIMIT bound FOR UPDATE SKIP LOCKED
    ));
    DELETE FROM asynctasq.workers
    WHERE ctid = ANY(ARRAY(
        SELECT ctid FROM asynctasq.workers WHERE namespace = ns AND ends_at <= now
        ORDER BY ends_at LIMIT bound FOR UPDATE SKIP LOCKED
    ));
    DELETE FROM asynctasq.dead
    WHERE ctid = ANY(ARRAY(
        SELECT ctid FROM asynctasq.dead WHERE namespace = ns AND died_at <= dead_since
        ORDER BY died_at LIMIT bound FOR UPDATE SKIP LOCKED
    ));
    IF prunes THEN
        DELETE FROM asynctasq.dead AS d
        USING (
            SELECT id FROM asynctasq.dead WHERE namespace = ns
            ORDER BY died_at DESC, id DESC OFFSET dead_limit LIMIT bound
        ) AS surplus
        WHERE d.id = surplus.id AND d.namespace + 0 = ns;
    END IF;
END
$$;
