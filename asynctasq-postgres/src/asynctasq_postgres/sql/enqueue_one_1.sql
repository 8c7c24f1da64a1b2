-- The function that adds one message, by which a process dispatches one after the other.

-- Add a message without a unique key that is due now.
--
-- Returns the number of its queue if a process sleeps until a message comes there, otherwise 0; or -1 if its ID was
-- known, so that it was not added.
CREATE FUNCTION asynctasq.enqueue_one_1(
    space text, newcomer bytea, payload_ bytea, queue_name text, rank_ int, span bigint, ttl bigint, losses int,
    profile_ bytea, shift bigint
) RETURNS int LANGUAGE plpgsql
SET enable_seqscan = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    now bigint := asynctasq.clock_1(shift);
    new_id uuid := encode(newcomer, 'hex')::uuid;
    ns int;
    queue_ int;
    known bool;
    ended bool;
    wakes int;
BEGIN
    SELECT s.key, q.key INTO ns, queue_
    FROM asynctasq.namespaces AS s JOIN asynctasq.queues AS q ON q.namespace = s.key AND q.name = queue_name COLLATE "C"
    WHERE s.name = space;
    IF ns IS NULL THEN
        ns := asynctasq.namespace_1(space);
        queue_ := (asynctasq.queues_1(ns, ARRAY[queue_name]))[1];
    END IF;
    INSERT INTO asynctasq.messages (
        due_at, enqueued_at, expires_at, expires, result_ttl, id, namespace, queue, max_lost, state,
        rank, profile, payload
    )
    VALUES (now, now, now + span, span, ttl, new_id, ns, queue_, losses, 3, rank_, profile_, payload_)
    ON CONFLICT DO NOTHING;
    known := NOT FOUND;
    -- In a statement of its own: it sees the end of a message for which the insertion has waited.
    SELECT
        EXISTS (
            SELECT 1 FROM asynctasq.outcomes AS o
            WHERE o.id = new_id AND o.namespace + 0 = ns AND o.forget_at > now OFFSET 0
        ) OR EXISTS (SELECT 1 FROM asynctasq.dead AS d WHERE d.id = new_id AND d.namespace + 0 = ns OFFSET 0),
        CASE WHEN EXISTS (
            SELECT 1 FROM asynctasq.sleepers AS s WHERE s.queue = queue_ AND s.until > now OFFSET 0
        ) THEN queue_ ELSE 0 END
    INTO ended, wakes;
    IF known THEN
        RETURN -1;
    END IF;
    IF ended THEN
        DELETE FROM asynctasq.messages WHERE id = new_id AND namespace + 0 = ns;
        RETURN -1;
    END IF;
    RETURN wakes;
END
$$;
