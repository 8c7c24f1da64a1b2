-- Functions that lease messages and keep leases.

-- Lease messages of some queues, after a piece of the upkeep.
--
-- names, most: the queues in order, and how many messages of each may be taken.
-- room: the most bytes of payloads; a single message may have more.
-- hint_ranks, hint_times: where to begin in each queue; NULL for the beginning.
-- sleeper: the process that no longer sleeps; NULL if it did not.
-- hurried: true to leave out the upkeep.
--
-- Rows with `place` >= 1 are leased messages, in no order, of the queue with that number. A row with -1 is a
-- message that the upkeep has moved: `token` is its state, `payload` the name of its queue and its owner. A row with
-- -2 says that the search in the queue `token` was slow.
CREATE FUNCTION asynctasq.reserve_1(
    space text, names text[], most int[], wanted int, holder text, lease bigint, shift bigint,
    dead_ttl bigint, dead_limit int, prunes bool, room bigint,
    hint_ranks int[], hint_times bigint[], sleeper uuid, hurried bool
) RETURNS TABLE (
    place int, rank int, due_at bigint, id bytea, token bigint, attempt int, lost int, leases int,
    enqueued_at bigint, mismatched_at bigint, profile bytea, payload bytea
) LANGUAGE plpgsql
SET search_path = pg_catalog SET enable_seqscan = off SET enable_hashjoin = off
SET enable_mergejoin = off SET enable_bitmapscan = off SET enable_material = off
SET plan_cache_mode = force_generic_plan SET jit = off AS $$
#variable_conflict use_column
DECLARE
    now bigint := asynctasq.clock_1(shift);
    ns int;
    marked_at bigint;
    marked_until bigint;
    own int;
    ends bigint;
    paused bool;
    ignored text;
    n int;
    queue_ int;
    begun timestamptz;
    entries bigint := 0;
    places tid[];
    sizes bigint[];
    size bigint;
    total bigint := 0;
    fitting int;
    keyed uuid[];
    hashes bytea[];
    precious bool := false;
    any_precious bool;
BEGIN
    SELECT s.key, u.at, u.paused_until INTO ns, marked_at, marked_until
    FROM asynctasq.namespaces AS s LEFT JOIN asynctasq.upkeep AS u ON u.namespace = s.key
    WHERE s.name = space;
    IF ns IS NULL THEN
        ns := asynctasq.namespace_1(space);
    END IF;
    IF sleeper IS NOT NULL THEN
        UPDATE asynctasq.sleepers AS s SET until = 0
        FROM asynctasq.queues AS q
        WHERE q.namespace = ns AND q.name = ANY(names) AND s.queue = q.key AND s.process = sleeper
            AND s.until > 0;
    END IF;
    -- First, because leases of this owner may reveal an outage, too.
    IF asynctasq.is_recent_1(marked_at, marked_until, now, lease) THEN
        paused := now < marked_until;
    ELSE
        paused := asynctasq.note_call_1(ns, now, lease);
    END IF;
    -- Before the upkeep, so that its own leases are not taken back. The lock keeps the owner from being deleted. A busy
    -- owner is not written each time: the versions of its row are a burden while a transaction is open for long.
    SELECT key, deadline INTO own, ends FROM asynctasq.owners WHERE namespace = ns AND name = holder FOR KEY SHARE;
    IF ends < now + lease - lease / 128 THEN
        UPDATE asynctasq.owners SET deadline = greatest(deadline, now + lease) WHERE key = own;
    END IF;
    IF NOT hurried THEN  -- on its own, because the next condition is a query
        IF (
            asynctasq.is_due_1(ns, now, now - dead_ttl) OR prunes
            OR (NOT paused AND EXISTS (SELECT 1 FROM asynctasq.owners WHERE namespace = ns AND deadline <= now))
        ) AND pg_try_advisory_xact_lock(hashtext('asynctasq upkeep'), ns) THEN
            RETURN QUERY
            SELECT -1, 0, 0::bigint, uuid_send(u.id), u.state::bigint, u.attempt, u.lost, 0, 0::bigint, 0::bigint,
                u.profile,
                convert_to(
                    jsonb_build_array((SELECT name FROM asynctasq.queues WHERE key = u.queue), u.owner)::text, 'UTF8'
                )
            FROM asynctasq.upkeep_1(ns, now, NOT paused, now - dead_ttl, dead_limit, prunes) AS u;
        END IF;
    END IF;
    FOR n IN 1..cardinality(names) LOOP
        EXIT WHEN wanted <= 0 OR room <= 0;
        SELECT q.key INTO queue_ FROM asynctasq.queues AS q
        WHERE q.namespace = ns AND q.name = names[n] COLLATE "C" AND NOT q.paused;
        CONTINUE WHEN queue_ IS NULL;
        begun := clock_timestamp();
        IF hint_ranks[n] IS NULL THEN
            SELECT array_agg(c.place), sum(c.size), bool_or(c.max_lost = 0),
                array_agg(c.id) FILTER (WHERE c.unique_hash IS NOT NULL),
                array_agg(c.unique_hash) FILTER (WHERE c.unique_hash IS NOT NULL)
            INTO places, size, any_precious, keyed, hashes
            FROM (
                SELECT ctid AS place, octet_length(payload) AS size, max_lost, id, unique_hash
                FROM asynctasq.messages
                WHERE state = 3 AND lane IS NULL AND queue = queue_
                    AND (expires_at IS NULL OR expires_at > now)
                ORDER BY rank, due_at, id
                LIMIT least(most[n], wanted) FOR UPDATE SKIP LOCKED
            ) AS c;
        ELSE
            SELECT array_agg(c.place), sum(c.size), bool_or(c.max_lost = 0),
                array_agg(c.id) FILTER (WHERE c.unique_hash IS NOT NULL),
                array_agg(c.unique_hash) FILTER (WHERE c.unique_hash IS NOT NULL)
            INTO places, size, any_precious, keyed, hashes
            FROM (
                SELECT ctid AS place, octet_length(payload) AS size, max_lost, id, unique_hash
                FROM asynctasq.messages
                WHERE state = 3 AND lane IS NULL AND queue = queue_
                    AND (rank, due_at) >= (hint_ranks[n], hint_times[n])
                    AND (expires_at IS NULL OR expires_at > now)
                ORDER BY rank, due_at, id
                LIMIT least(most[n], wanted) FOR UPDATE SKIP LOCKED
            ) AS c;
        END IF;
        -- Slow, and because of index entries of messages that were taken before: see hints.py.
        IF clock_timestamp() - begun >= '5 ms'
            AND pg_stat_get_xact_tuples_returned('asynctasq.messages_ready'::regclass) - entries >= 5000
        THEN
            RETURN QUERY SELECT -2, 0, 0::bigint, NULL::bytea, n::bigint, 0, 0, 0, 0::bigint, 0::bigint, NULL::bytea,
                NULL::bytea;
        END IF;
        entries := entries + coalesce(cardinality(places), 0);
        CONTINUE WHEN places IS NULL;
        IF size > room THEN  -- take as many as there is room for; a single one may be larger
            sizes := ARRAY(
                SELECT octet_length(m.payload) FROM unnest(places) WITH ORDINALITY AS p (at, n)
                JOIN asynctasq.messages AS m ON m.ctid = p.at ORDER BY p.n
            );
            fitting := 0;
            size := 0;
            WHILE fitting < cardinality(sizes)
                AND (size + sizes[fitting + 1] <= room OR (fitting = 0 AND total = 0))
            LOOP
                fitting := fitting + 1;
                size := size + sizes[fitting];
            END LOOP;
            places := places[1:fitting];
            room := 0;
            EXIT WHEN fitting = 0;
        END IF;
        room := room - size;
        total := total + size;
        precious := precious OR any_precious;
        wanted := wanted - cardinality(places);
        IF own IS NULL THEN
            INSERT INTO asynctasq.owners AS o (namespace, name, deadline) VALUES (ns, holder, now + lease)
            ON CONFLICT (namespace, name) DO UPDATE SET deadline = greatest(o.deadline, excluded.deadline)
            RETURNING key INTO own;
        END IF;
        RETURN QUERY
        UPDATE asynctasq.messages AS m
        SET state = 5, token = greatest(least(m.token, 4611686018427387904) + 1, now), owner = own,
            leased_at = now, expires_at = NULL, leases = least(m.leases, 2147483646) + 1
        WHERE m.ctid = ANY(places)
        RETURNING n, m.rank::int, m.due_at, uuid_send(m.id), m.token, m.attempt, m.lost, m.leases,
            m.enqueued_at, m.mismatched_at, m.profile, m.payload;
        IF keyed IS NOT NULL THEN
            SELECT array_agg(m.id), array_agg(m.unique_hash) INTO keyed, hashes
            FROM asynctasq.messages AS m
            WHERE m.id = ANY(keyed) AND m.namespace + 0 = ns AND m.state + 0 = 5 AND m.unique_hash IS NOT NULL;
            IF keyed IS NOT NULL THEN
                PERFORM asynctasq.free_keys_1(ns, hashes, keyed, 1);
            END IF;
        END IF;
    END LOOP;
    -- If a crash of the server undoes the leases, the messages are ready again, as when leases end. Messages that
    -- must not run twice are the exception.
    IF NOT precious THEN
        ignored := set_config('synchronous_commit', 'off', true);  -- quicker than PERFORM, which is a query
    END IF;
END
$$;

-- Renew the leases of an owner, and return all of them, and whether they must be left alone because of an outage.
-- No row if the owner is not known.
CREATE FUNCTION asynctasq.extend_1(space text, holder text, lease bigint, shift bigint)
RETURNS TABLE (at bigint, ids bytea, tokens bigint[], leased bigint[], paused bool) LANGUAGE plpgsql
SET search_path = pg_catalog SET enable_seqscan = off SET enable_hashjoin = off
SET enable_mergejoin = off SET enable_bitmapscan = off SET enable_material = off
SET plan_cache_mode = force_generic_plan SET jit = off AS $$
#variable_conflict use_column
DECLARE
    now bigint := asynctasq.clock_1(shift);
    ns int := asynctasq.namespace_1(space);
    own int;
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    -- First, so that an outage is noticed by the leases of this owner, too.
    paused := asynctasq.note_call_1(ns, now, lease);
    UPDATE asynctasq.owners SET deadline = now + lease WHERE namespace = ns AND name = holder
    RETURNING key INTO own;
    IF own IS NULL THEN
        RETURN;
    END IF;
    RETURN QUERY
    SELECT now, coalesce(string_agg(uuid_send(m.id), '' ORDER BY m.id), ''), array_agg(m.token ORDER BY m.id),
        array_agg(m.leased_at ORDER BY m.id), paused
    FROM asynctasq.messages AS m
    WHERE m.state = 5 AND m.owner = own;
END
$$;

-- Release messages that were leased to an owner who does not know of them.
CREATE FUNCTION asynctasq.give_back_1(space text, holder text, ids bytea, tokens bigint[], shift bigint)
RETURNS void LANGUAGE plpgsql
SET search_path = pg_catalog SET enable_seqscan = off SET enable_hashjoin = off
SET enable_mergejoin = off SET enable_bitmapscan = off SET enable_material = off
SET plan_cache_mode = force_generic_plan SET jit = off AS $$
DECLARE
    now bigint := asynctasq.clock_1(shift);
    ns int;
    own int;
    strays uuid[];
BEGIN
    SELECT key INTO ns FROM asynctasq.namespaces WHERE name = space;
    SELECT key INTO own FROM asynctasq.owners WHERE namespace = ns AND name = holder;
    strays := ARRAY(
        SELECT m.id
        FROM unnest(asynctasq.ids_1(ids), tokens) AS given (id, token)
        JOIN asynctasq.messages AS m ON m.id = given.id AND m.namespace + 0 = ns
        WHERE m.state + 0 = 5 AND m.owner = own AND m.token = given.token
        ORDER BY m.id FOR UPDATE OF m
    );
    PERFORM asynctasq.take_back_1(ns, strays, false, now);
END
$$;

-- End a bounded number of the leases of an owner, and count them as lost. Return whether there are no more.
CREATE FUNCTION asynctasq.end_owner_1(space text, holder text, shift bigint) RETURNS bool LANGUAGE plpgsql
SET search_path = pg_catalog SET enable_seqscan = off SET enable_hashjoin = off
SET enable_mergejoin = off SET enable_bitmapscan = off SET enable_material = off
SET plan_cache_mode = force_generic_plan SET jit = off AS $$
DECLARE
    now bigint := asynctasq.clock_1(shift);
    ns int;
    own int;
    leased uuid[];
BEGIN
    SELECT key INTO ns FROM asynctasq.namespaces WHERE name = space;
    SELECT key INTO own FROM asynctasq.owners WHERE namespace = ns AND name = holder FOR UPDATE;
    IF own IS NULL THEN
        RETURN true;
    END IF;
    leased := ARRAY(
        SELECT m.id FROM asynctasq.messages AS m WHERE m.state = 5 AND m.owner = own
        ORDER BY m.id LIMIT 5000 FOR UPDATE
    );
    PERFORM asynctasq.take_back_1(ns, leased, true, now);
    IF cardinality(leased) = 5000 THEN
        RETURN false;
    END IF;
    DELETE FROM asynctasq.owners WHERE key = own;
    RETURN true;
END
$$;

-- Leases of an owner whose messages are flagged to be cancelled.
CREATE FUNCTION asynctasq.cancel_requests_1(space text, holder text)
RETURNS TABLE (id bytea, token bigint) LANGUAGE plpgsql STABLE
SET search_path = pg_catalog SET enable_seqscan = off SET enable_hashjoin = off
SET enable_mergejoin = off SET enable_bitmapscan = off SET enable_material = off
SET plan_cache_mode = force_generic_plan SET jit = off AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT uuid_send(m.id), m.token
    FROM asynctasq.namespaces AS n
    JOIN asynctasq.owners AS o ON o.namespace = n.key AND o.name = holder
    JOIN asynctasq.messages AS m ON m.owner = o.key
    WHERE n.name = space AND m.cancelling AND m.state + 0 = 5;
END
$$;

-- Announce that a process sleeps until a message comes to one of some queues, or renew that. Returns their numbers, and
-- what `look_1` does: enough for who renews in time, while others announce, commit, and then look.
CREATE FUNCTION asynctasq.sleep_1(
    space text, names text[], sleeper uuid, span bigint, shift bigint,
    OUT keys int[], OUT ready bool, OUT until bigint
) LANGUAGE plpgsql
SET search_path = pg_catalog SET enable_seqscan = off SET enable_hashjoin = off
SET enable_mergejoin = off SET enable_bitmapscan = off SET enable_material = off
SET lock_timeout = '200ms' SET plan_cache_mode = force_generic_plan SET jit = off AS $$
#variable_conflict use_column
DECLARE
    now bigint := asynctasq.clock_1(shift);
    ns int := asynctasq.namespace_1(space);
BEGIN
    BEGIN
        keys := asynctasq.queues_1(ns, names);
    EXCEPTION WHEN lock_not_available THEN
        -- A transaction that is still open makes one of the queues.
        keys := ARRAY(SELECT q.key FROM asynctasq.queues AS q WHERE q.namespace = ns AND q.name = ANY(names));
    END;
    PERFORM set_config('synchronous_commit', 'off', true);
    DELETE FROM asynctasq.sleepers WHERE queue = ANY(keys) AND until < now - 3600000000;
    INSERT INTO asynctasq.sleepers (queue, process, until)
    SELECT DISTINCT each, sleeper, now + span FROM unnest(keys) AS each ORDER BY each
    ON CONFLICT (queue, process) DO UPDATE SET until = excluded.until;
    SELECT f.ready, f.until INTO ready, until FROM asynctasq.look_1(space, names, shift) AS f;
END
$$;

-- Whether there is a message to reserve, and when a message falls due or a lease may end next.
CREATE FUNCTION asynctasq.look_1(space text, names text[], shift bigint, OUT ready bool, OUT until bigint)
LANGUAGE plpgsql
SET search_path = pg_catalog SET enable_seqscan = off SET enable_hashjoin = off
SET enable_mergejoin = off SET enable_bitmapscan = off SET enable_material = off
SET plan_cache_mode = force_generic_plan SET jit = off AS $$
DECLARE
    now bigint := asynctasq.clock_1(shift);
    ns int;
BEGIN
    SELECT key INTO ns FROM asynctasq.namespaces WHERE name = space;
    ready := EXISTS (
        SELECT 1
        FROM unnest(names) AS named (name)
        JOIN asynctasq.queues AS q ON q.namespace = ns AND q.name = named.name COLLATE "C"
        WHERE NOT q.paused AND EXISTS (
            SELECT 1 FROM asynctasq.messages AS m WHERE m.state = 3 AND m.lane IS NULL AND m.queue = q.key OFFSET 0
        )
    );
    until := least(
        (SELECT due_at FROM asynctasq.messages WHERE namespace = ns AND state = 2 ORDER BY due_at LIMIT 1),
        (
            SELECT greatest(deadline, (SELECT paused_until FROM asynctasq.upkeep WHERE namespace = ns))
            FROM asynctasq.owners WHERE namespace = ns ORDER BY deadline LIMIT 1
        )
    ) - now;
END
$$;

-- Notify processes that sleep until a message comes to one of some queues.
CREATE FUNCTION asynctasq.ring_1(space text, names text[], channel text, shift bigint) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog SET enable_seqscan = off SET enable_hashjoin = off
SET enable_mergejoin = off SET enable_bitmapscan = off SET enable_material = off
SET plan_cache_mode = force_generic_plan SET jit = off AS $$
DECLARE
    now bigint := asynctasq.clock_1(shift);
    keys int[];
BEGIN
    keys := ARRAY(
        SELECT q.key
        FROM asynctasq.namespaces AS n
        JOIN asynctasq.queues AS q ON q.namespace = n.key
        WHERE n.name = space AND q.name = ANY(names) AND EXISTS (
            SELECT 1 FROM asynctasq.sleepers AS s WHERE s.queue = q.key AND s.until > now OFFSET 0
        )
        LIMIT 500
    );
    IF cardinality(keys) > 0 THEN
        PERFORM set_config('synchronous_commit', 'off', true);  -- otherwise it waits for the disk
        PERFORM pg_notify(channel, 'q' || array_to_string(keys, ','));
    END IF;
END
$$;
