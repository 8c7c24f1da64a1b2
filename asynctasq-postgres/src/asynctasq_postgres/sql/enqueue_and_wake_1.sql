-- The procedure that adds one message and then wakes a process that sleeps.

-- Do what `enqueue_one_1` does, commit, and then notify the processes that sleep until a message comes to the queue.
--
-- The notification is a separate transaction, because PostgreSQL commits transactions that notify one after the other.
-- It waits for no disk. A failure of its commit would look as if the message had not been added: it ignores
-- `lock_timeout`, and is left out if the queue of notifications is almost full.
--
-- durability: the `synchronous_commit` of the message; NULL to leave it to the server.
-- answer: as that of the function.
CREATE PROCEDURE asynctasq.enqueue_and_wake_1(
    ns int, newcomer bytea, payload bytea, queue_name text, rank_ int, span bigint, ttl bigint, losses int,
    profile bytea, shift bigint, durability text, channel text, INOUT answer int
) LANGUAGE plpgsql AS $$
DECLARE
    ignored text;
BEGIN
    IF durability IS NOT NULL THEN
        ignored := pg_catalog.set_config('synchronous_commit', durability, true);
    END IF;
    answer := asynctasq.enqueue_one_1(
        ns, newcomer, payload, queue_name, rank_, span, ttl, losses, profile, shift
    );
    IF answer IS NULL OR answer = 0 THEN
        RETURN;
    END IF;
    COMMIT;
    BEGIN
        IF pg_catalog.pg_notification_queue_usage() < 0.9 THEN
            -- Expressions are quicker than PERFORM, which is a query.
            ignored := pg_catalog.set_config('synchronous_commit', 'off', true)
                || pg_catalog.set_config('lock_timeout', '0', true);
            ignored := pg_catalog.pg_notify(channel, 'q' || answer)::text;
        END IF;
    EXCEPTION WHEN OTHERS THEN
        NULL;  -- sleepers look once a second
    END;
END
$$;
