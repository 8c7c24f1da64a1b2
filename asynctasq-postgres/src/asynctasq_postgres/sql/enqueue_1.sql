-- Functions that add messages. Names of functions end with the version that brought them; a release calls
-- those that it knows, so that two releases can share the tables.
--
-- Each function pins its plans: the tables change faster than their statistics. One that pins them is in PL/pgSQL, which
-- keeps them; those of a SQL function that cannot be inlined are made in each call. `OFFSET 0` in a look-up keeps the planner
-- from turning it into a search of the whole table, which it does while a table is empty or was never analyzed.

CREATE FUNCTION asynctasq.clock_1(shift bigint) RETURNS bigint LANGUAGE sql VOLATILE AS $$
    SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint + shift
$$;

-- IDs, 16 bytes each, in order.
CREATE FUNCTION asynctasq.ids_1(joined bytea) RETURNS uuid[] LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog AS $$
BEGIN
    IF length(joined) = 16 THEN
        RETURN ARRAY[encode(joined, 'hex')::uuid];
    END IF;
    RETURN ARRAY(
        SELECT encode(substr(joined, place, 16), 'hex')::uuid
        FROM generate_series(1, length(joined), 16) AS place
    );
END
$$;

-- Free the unique keys of messages that have started (ends_after = 1), ended (2) or were purged (3). A key
-- that another message has taken meanwhile stays.
CREATE FUNCTION asynctasq.free_keys_1(ns int, hashes bytea[], holders uuid[], ends_after int)
RETURNS void LANGUAGE plpgsql
SET search_path = pg_catalog SET enable_seqscan = off SET enable_hashjoin = off
SET enable_mergejoin = off SET enable_bitmapscan = off SET enable_material = off
SET plan_cache_mode = force_generic_plan SET jit = off AS $$
BEGIN
    -- In the order of the hashes, as an enqueue takes them, so that the two do not wait for each other.
    PERFORM 1 FROM asynctasq.unique_keys
    WHERE hash = ANY(hashes) AND namespace + 0 = ns AND until <= ends_after AND holder = ANY(holders)
    ORDER BY hash FOR UPDATE;
    DELETE FROM asynctasq.unique_keys
    WHERE hash = ANY(hashes) AND namespace + 0 = ns AND until <= ends_after AND holder = ANY(holders);
END
$$;

-- The holder of a unique key; NULL if the key is free. A key that is held for no period is free once its
-- message has started or ended, whether or not the row was deleted.
CREATE FUNCTION asynctasq.key_holder_1(ns int, wanted bytea, now bigint) RETURNS uuid LANGUAGE plpgsql STABLE
SET search_path = pg_catalog SET enable_seqscan = off SET enable_hashjoin = off
SET enable_mergejoin = off SET enable_bitmapscan = off SET enable_material = off
SET plan_cache_mode = force_generic_plan SET jit = off AS $$
BEGIN
    RETURN (
        SELECT k.holder
        FROM asynctasq.unique_keys AS k
        WHERE k.hash = wanted AND k.namespace = ns
            AND CASE
                WHEN k.until = 3 THEN k.ends_at > now
                ELSE EXISTS (
                    SELECT 1 FROM asynctasq.messages AS m
                    WHERE m.id = k.holder AND m.namespace + 0 = ns AND (k.until = 2 OR m.leased_at = 0) OFFSET 0
                )
            END
    );
END
$$;

-- Let a message have a key that is free. Return false if another message was quicker.
CREATE FUNCTION asynctasq.hold_key_1(
    ns int, wanted bytea, newcomer uuid, until_ int, period_ bigint, now bigint
) RETURNS bool LANGUAGE plpgsql
SET search_path = pg_catalog SET enable_seqscan = off SET enable_hashjoin = off
SET enable_mergejoin = off SET enable_bitmapscan = off SET enable_material = off
SET plan_cache_mode = force_generic_plan SET jit = off AS $$
DECLARE
    ends bigint := CASE WHEN until_ = 3 THEN now + period_ END;
    free_of uuid;
BEGIN
    INSERT INTO asynctasq.unique_keys (hash, namespace, holder, until, since, period, ends_at)
    VALUES (wanted, ns, newcomer, until_, now, period_, ends)
    ON CONFLICT DO NOTHING;
    IF FOUND THEN
        RETURN true;
    END IF;
    -- There is a row: a stale one, or that of a message that was committed just now.
    SELECT holder INTO free_of FROM asynctasq.unique_keys WHERE hash = wanted AND namespace = ns;
    IF free_of <> newcomer AND asynctasq.key_holder_1(ns, wanted, now) IS NOT NULL THEN
        RETURN false;
    END IF;
    UPDATE asynctasq.unique_keys
    SET holder = newcomer, until = until_, since = now, period = period_, ends_at = ends
    WHERE hash = wanted AND namespace = ns AND holder = free_of;
    RETURN FOUND;
END
$$;

-- Finish messages as cancelled; the caller has locked them.
CREATE FUNCTION asynctasq.finish_cancelled_1(ns int, ids uuid[], now bigint) RETURNS void LANGUAGE plpgsql
SET search_path = pg_catalog SET enable_seqscan = off SET enable_hashjoin = off
SET enable_mergejoin = off SET enable_bitmapscan = off SET enable_material = off
SET plan_cache_mode = force_generic_plan SET jit = off AS $$
DECLARE
    keyed uuid[];
    hashes bytea[];
BEGIN
    WITH gone AS (
        DELETE FROM asynctasq.messages WHERE id = ANY(ids) AND namespace + 0 = ns
        RETURNING id, workflow, result_ttl, unique_hash
    ), kept AS (
        INSERT INTO asynctasq.outcomes (id, namespace, state, finished_at, forget_at, workflow)
        SELECT id, ns, 8, now, now + least(greatest(result_ttl, {outcome_ttl_least}), 1152921504606846976), workflow
        FROM gone
        ON CONFLICT (id, namespace) DO UPDATE
        SET state = 8, finished_at = excluded.finished_at, forget_at = excluded.forget_at,
            result = NULL, about = NULL
    )
    SELECT array_agg(id), array_agg(unique_hash) INTO keyed, hashes
    FROM gone WHERE unique_hash IS NOT NULL;
    IF keyed IS NOT NULL THEN
        PERFORM asynctasq.free_keys_1(ns, hashes, keyed, 2);
    END IF;
END
$$;

-- Make dead letters of messages; the caller has locked them.
--
-- attempted: how many attempts to add to each; NULL for none.
-- errors: the error of each; NULL to keep those of the messages.
-- abouts: what is known of the end of each; NULL for nothing.
CREATE FUNCTION asynctasq.bury_1(
    ns int, ids uuid[], reasons text[], lost_more int, attempted int[], errors bytea[], abouts bytea[], now bigint
) RETURNS void LANGUAGE plpgsql
SET search_path = pg_catalog SET enable_seqscan = off SET enable_hashjoin = off
SET enable_mergejoin = off SET enable_bitmapscan = off SET enable_material = off
SET plan_cache_mode = force_generic_plan SET jit = off AS $$
DECLARE
    keyed uuid[];
    hashes bytea[];
BEGIN
    WITH gone AS (
        DELETE FROM asynctasq.messages AS m
        USING unnest(ids, reasons, attempted, errors, abouts)
            AS given (id, reason, more, new_error, known)
        WHERE m.id = given.id AND m.namespace + 0 = ns
        RETURNING m.*, given.reason, given.more, given.new_error, given.known
    ), died AS (
        INSERT INTO asynctasq.dead (
            due_at, enqueued_at, token, leased_at, expires, result_ttl, id, namespace, queue, attempt, lost,
            max_lost, leases, pending, lane, state, rank, unique_until, children, workflow, unique_hash,
            group_key, profile, payload, error, died_at, reason, about
        )
        SELECT
            due_at, enqueued_at, token, leased_at, expires, result_ttl, id, namespace, queue,
            least(attempt, 2147483646) + coalesce(more, 0), least(lost, 2147483646) + lost_more, max_lost,
            leases, pending, lane, 6, rank, unique_until, children, workflow, unique_hash, group_key, profile, payload,
            CASE WHEN errors IS NULL THEN error ELSE new_error END, now, reason, known
        FROM gone
        ON CONFLICT DO NOTHING
    )
    SELECT array_agg(id), array_agg(unique_hash) INTO keyed, hashes
    FROM gone WHERE unique_hash IS NOT NULL;
    IF keyed IS NOT NULL THEN
        PERFORM asynctasq.free_keys_1(ns, hashes, keyed, 2);
    END IF;
END
$$;

-- The number of a namespace, which gets one if it has none.
CREATE FUNCTION asynctasq.namespace_1(space text) RETURNS int LANGUAGE plpgsql
SET search_path = pg_catalog SET enable_seqscan = off AS $$
DECLARE
    found int;
BEGIN
    LOOP
        SELECT key INTO found FROM asynctasq.namespaces WHERE name = space;
        EXIT WHEN found IS NOT NULL;
        INSERT INTO asynctasq.namespaces (name) VALUES (space) ON CONFLICT DO NOTHING;
    END LOOP;
    RETURN found;
END
$$;

-- The numbers of queues, which get one if they have none.
CREATE FUNCTION asynctasq.queues_1(ns int, names text[]) RETURNS int[] LANGUAGE plpgsql
SET search_path = pg_catalog SET enable_seqscan = off SET enable_hashjoin = off
SET enable_mergejoin = off SET enable_bitmapscan = off SET enable_material = off
SET plan_cache_mode = force_generic_plan SET jit = off AS $$
DECLARE
    keys int[];
BEGIN
    LOOP
        SELECT array_agg(q.key ORDER BY named.n) INTO keys
        FROM unnest(names) WITH ORDINALITY AS named (name, n)
        LEFT JOIN asynctasq.queues AS q ON q.namespace = ns AND q.name = named.name COLLATE "C";
        EXIT WHEN array_position(keys, NULL) IS NULL;
        INSERT INTO asynctasq.queues (namespace, name)
        SELECT ns, each FROM (SELECT DISTINCT each COLLATE "C" AS each FROM unnest(names) AS each) AS named
        ORDER BY each
        ON CONFLICT DO NOTHING;
    END LOOP;
    RETURN coalesce(keys, '{}');
END
$$;

-- Add messages. Their kinds have in common what is in the arrays from `names` to `profiles`.
--
-- kind: the number of the kind of each message; NULL if there is only one kind.
-- due: when each message is due, as a time, or as a delay with a minus sign; NULL if all are due now.
-- hashes to periods: the unique key of each message; NULL if none has one.
--
-- Returns the numbers of messages that were not added, the holders of their keys (or their own IDs), and whether a
-- process sleeps until a message comes.
CREATE FUNCTION asynctasq.enqueue_1(
    space text, ids bytea, payloads bytea[], kind int[], due bigint[],
    names text[], ranks int[], spans bigint[], ttls bigint[], losses int[], profiles bytea[],
    hashes bytea[], untils int[], conflicts int[], periods bigint[], shift bigint,
    OUT known int[], OUT holders bytea, OUT asleep bool
) LANGUAGE plpgsql
SET search_path = pg_catalog SET enable_seqscan = off SET enable_hashjoin = off
SET enable_mergejoin = off SET enable_bitmapscan = off SET enable_material = off
SET plan_cache_mode = force_generic_plan SET jit = off AS $$
DECLARE
    now bigint := asynctasq.clock_1(shift);
    ns int;
    queues int[];
    all_ids uuid[] := asynctasq.ids_1(ids);
    refused uuid[];
    standing uuid[];
    numbers int[];
    added uuid[];
    in_turn bool := false;
    taken uuid;
    n int;
BEGIN
    -- Without the functions that also add them, which take as long as an insertion.
    SELECT s.key, ARRAY[q.key] INTO ns, queues
    FROM asynctasq.namespaces AS s JOIN asynctasq.queues AS q ON q.namespace = s.key AND q.name = names[1] COLLATE "C"
    WHERE s.name = space AND cardinality(names) = 1;
    IF ns IS NULL THEN
        ns := asynctasq.namespace_1(space);
        queues := asynctasq.queues_1(ns, names);
    END IF;
    -- Keys in the order of their hashes, so that two calls do not wait for each other. Messages that share an ID are
    -- the exception: a key may keep the first of them out, and the next one comes in.
    IF hashes IS NOT NULL THEN
        standing := '{}';
        numbers := '{}';
        in_turn := (SELECT count(DISTINCT id) < count(*) FROM unnest(all_ids) AS id);
        FOR n IN
            SELECT place FROM unnest(hashes) WITH ORDINALITY AS named (hash, place)
            WHERE in_turn OR hash IS NOT NULL ORDER BY CASE WHEN NOT in_turn THEN hash END, place
        LOOP
            taken := asynctasq.admit_1(
                ns, all_ids[n], payloads[n], coalesce(due[n], 0), queues[coalesce(kind[n], 1)],
                ranks[coalesce(kind[n], 1)], spans[coalesce(kind[n], 1)], ttls[coalesce(kind[n], 1)],
                losses[coalesce(kind[n], 1)], profiles[coalesce(kind[n], 1)],
                hashes[n], untils[n], conflicts[n], periods[n], now
            );
            IF taken IS NOT NULL THEN
                numbers := numbers || n;
                standing := standing || taken;
            END IF;
        END LOOP;
    END IF;
    WITH placed AS (
        INSERT INTO asynctasq.messages (
            due_at, enqueued_at, expires_at, expires, result_ttl, id, namespace, queue, max_lost, state,
            rank, profile, payload
        )
        SELECT
            due_at, now, due_at + spans[nth], spans[nth], ttls[nth], all_ids[place], ns, queues[nth],
            losses[nth], CASE WHEN due_at <= now THEN 3 ELSE 2 END, ranks[nth], profiles[nth], payload
        FROM (
            SELECT
                payload, place, coalesce(of_kind, 1) AS nth,
                CASE WHEN time IS NULL THEN now WHEN time < 0 THEN now - time ELSE greatest(time, now) END
                    AS due_at
            FROM unnest(payloads, kind, due, hashes) WITH ORDINALITY
                AS given (payload, of_kind, time, hash, place)
            WHERE hash IS NULL AND NOT in_turn
            OFFSET 0
        ) AS given
        ON CONFLICT DO NOTHING
        RETURNING id
    )
    SELECT array_agg(id) INTO added FROM placed;
    -- In a statement of its own: it sees the end of a message for which the insertion has waited.
    IF added IS NOT NULL THEN
        SELECT array_agg(each) INTO refused
        FROM unnest(added) AS each
        WHERE EXISTS (
            SELECT 1 FROM asynctasq.outcomes AS o
            WHERE o.id = each AND o.namespace + 0 = ns AND o.forget_at > now OFFSET 0
        ) OR EXISTS (SELECT 1 FROM asynctasq.dead AS d WHERE d.id = each AND d.namespace + 0 = ns OFFSET 0);
        IF refused IS NOT NULL THEN
            DELETE FROM asynctasq.messages WHERE id = ANY(refused) AND namespace + 0 = ns;
        END IF;
    END IF;
    IF refused IS NOT NULL OR (
        NOT in_turn
        AND coalesce(cardinality(added), 0) < cardinality(all_ids) - coalesce(cardinality(array_remove(hashes, NULL)), 0)
    ) THEN
        SELECT array_agg(place) INTO known
        FROM unnest(all_ids, hashes) WITH ORDINALITY AS given (id, hash, place)
        WHERE hash IS NULL AND (added IS NULL OR id <> ALL(added) OR id = ANY(refused));
        SELECT string_agg(uuid_send(all_ids[each]), '' ORDER BY place) INTO holders
        FROM unnest(known) WITH ORDINALITY AS given (each, place);
    END IF;
    IF numbers <> '{}' THEN
        known := known || numbers;
        SELECT coalesce(holders, '') || string_agg(uuid_send(each), '' ORDER BY place) INTO holders
        FROM unnest(standing) WITH ORDINALITY AS given (each, place);
    END IF;
    asleep := EXISTS (
        SELECT 1 FROM asynctasq.sleepers AS s WHERE s.queue = ANY(queues) AND s.until > now
    );
END
$$;

-- Add one message, with or without a unique key. Return NULL if it was added, otherwise the holder of the key, or
-- the message itself if its ID is known.
CREATE FUNCTION asynctasq.admit_1(
    ns int, newcomer uuid, payload_ bytea, due bigint, queue_ int, rank_ int, span bigint, ttl bigint,
    losses int, profile_ bytea, hash_ bytea, until_ int, conflict int, period_ bigint, now bigint
) RETURNS uuid LANGUAGE plpgsql
SET search_path = pg_catalog SET enable_seqscan = off SET enable_hashjoin = off
SET enable_mergejoin = off SET enable_bitmapscan = off SET enable_material = off
SET plan_cache_mode = force_generic_plan SET jit = off AS $$
DECLARE
    due_ bigint := CASE WHEN due < 0 THEN now - due ELSE greatest(due, now) END;
    standing uuid;
BEGIN
    IF asynctasq.is_known_1(ns, newcomer, now) THEN
        RETURN newcomer;
    END IF;
    FOR _ IN 1..100 LOOP
        standing := asynctasq.key_holder_1(ns, hash_, now);
        IF standing IS NOT NULL AND conflict = 2 THEN  -- replace: a holder that waits makes room
            -- One that another process works on counts as running.
            PERFORM 1 FROM asynctasq.messages
            WHERE id = standing AND namespace + 0 = ns AND state <= 4 FOR UPDATE SKIP LOCKED;
            IF FOUND THEN
                PERFORM asynctasq.finish_cancelled_1(ns, ARRAY[standing], now);
                DELETE FROM asynctasq.unique_keys WHERE hash = hash_ AND namespace = ns AND holder = standing;
                standing := NULL;
            END IF;
        ELSIF standing IS NOT NULL AND conflict = 3 THEN  -- extend: its time, and a period, start again
            UPDATE asynctasq.messages
            SET due_at = due_, expires_at = due_ + expires,
                state = CASE WHEN due_ <= now THEN 3 ELSE 2 END
            WHERE ctid = ANY(ARRAY(
                SELECT ctid FROM asynctasq.messages
                WHERE id = standing AND namespace + 0 = ns AND state = 2 AND due_at > now
                FOR UPDATE SKIP LOCKED
            ));
            UPDATE asynctasq.unique_keys
            SET ends_at = now + coalesce(period_, period), period = coalesce(period_, period)
            WHERE hash = hash_ AND namespace = ns AND until = 3 AND holder = standing;
        END IF;
        IF standing IS NOT NULL THEN
            RETURN standing;
        END IF;
        INSERT INTO asynctasq.messages (
            due_at, enqueued_at, expires_at, expires, result_ttl, id, namespace, queue, max_lost, state,
            rank, unique_until, unique_hash, profile, payload
        )
        VALUES (
            due_, now, due_ + span, span, ttl, newcomer, ns, queue_, losses,
            CASE WHEN due_ <= now THEN 3 ELSE 2 END, rank_, until_, hash_, profile_, payload_
        )
        ON CONFLICT DO NOTHING;
        IF NOT FOUND THEN
            RETURN newcomer;
        END IF;
        IF asynctasq.has_ended_1(ns, newcomer, now) THEN  -- while the insertion waited for it
            DELETE FROM asynctasq.messages WHERE id = newcomer AND namespace + 0 = ns;
            RETURN newcomer;
        END IF;
        IF hash_ IS NULL OR asynctasq.hold_key_1(ns, hash_, newcomer, until_, period_, now) THEN
            RETURN NULL;
        END IF;
        DELETE FROM asynctasq.messages WHERE id = newcomer AND namespace + 0 = ns;
    END LOOP;
    RAISE lock_not_available USING MESSAGE = 'A unique key changes its holder again and again.';
END
$$;

CREATE FUNCTION asynctasq.has_ended_1(ns int, wanted uuid, now bigint) RETURNS bool LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog SET enable_seqscan = off SET plan_cache_mode = force_generic_plan AS $$
BEGIN
    RETURN EXISTS (
        SELECT 1 FROM asynctasq.outcomes WHERE id = wanted AND namespace + 0 = ns AND forget_at > now
    ) OR EXISTS (SELECT 1 FROM asynctasq.dead WHERE id = wanted AND namespace + 0 = ns);
END
$$;

CREATE FUNCTION asynctasq.is_known_1(ns int, wanted uuid, now bigint) RETURNS bool LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog SET enable_seqscan = off SET plan_cache_mode = force_generic_plan AS $$
BEGIN
    RETURN EXISTS (SELECT 1 FROM asynctasq.messages WHERE id = wanted AND namespace + 0 = ns)
        OR asynctasq.has_ended_1(ns, wanted, now);
END
$$;
