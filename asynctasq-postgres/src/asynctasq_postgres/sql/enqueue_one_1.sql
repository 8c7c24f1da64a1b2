-- The function that adds one message, by which a process dispatches one after the other.

-- Add a message without a unique key that is due now.
--
-- Returns NULL if it was not added: its ID is known, or the queue has no number yet. The caller then calls `enqueue`,
-- which tells the two apart. Otherwise, returns the number of the queue if a process sleeps until a message comes there,
-- or else 0.
CREATE FUNCTION asynctasq.enqueue_one_1(
    ns int, newcomer bytea, payload_ bytea, queue_name text, rank_ int, span bigint, ttl bigint, losses int,
    profile_ bytea, shift bigint
) RETURNS int LANGUAGE plpgsql
SET enable_seqscan = off AS $$
DECLARE
    -- As in `clock`, but without decimal numbers. A double holds microseconds of this size exactly.
    now bigint := (date_part('epoch', clock_timestamp()) * 1000000)::bigint + shift;
    new_id uuid := encode(newcomer, 'hex')::uuid;
    queue_ int;
    answer int;
BEGIN
    INSERT INTO asynctasq.messages (
        due_at, enqueued_at, expires_at, expires, result_ttl, id, namespace, queue, max_lost, state,
        rank, profile, payload
    )
    SELECT now, now, now + span, span, ttl, new_id, ns, q.key, losses, 3, rank_, profile_, payload_
    FROM asynctasq.queues AS q WHERE q.namespace = ns AND q.name = queue_name COLLATE "C"
    ON CONFLICT DO NOTHING
    RETURNING queue INTO queue_;
    IF queue_ IS NULL THEN
        RETURN NULL;
    END IF;
    -- In a statement of its own: it sees the end of a message for which the insertion has waited.
    SELECT CASE
        WHEN EXISTS (
            SELECT 1 FROM asynctasq.outcomes AS o
            WHERE o.id = new_id AND o.namespace + 0 = ns AND o.forget_at > now OFFSET 0
        ) OR EXISTS (SELECT 1 FROM asynctasq.dead AS d WHERE d.id = new_id AND d.namespace + 0 = ns OFFSET 0) THEN -1
        WHEN EXISTS (SELECT 1 FROM asynctasq.sleepers AS s WHERE s.queue = queue_ AND s.until > now OFFSET 0) THEN queue_
        ELSE 0
    END INTO answer;
    IF answer < 0 THEN
        DELETE FROM asynctasq.messages WHERE id = new_id AND namespace + 0 = ns;
        RETURN NULL;
    END IF;
    RETURN answer;
END
$$;
