-- Statements that lease messages and keep leases.

-- name: look
-- The first time of each kind of upkeep that is due, from :since on, and what the store knows of the owner. The last
-- column is the time that this has taken.
SELECT
    {now},
    (
        SELECT alarm_at FROM {messages} FORCE INDEX (alarms)
        WHERE namespace = :namespace AND alarm = 2 AND alarm_at BETWEEN :since AND {now} ORDER BY alarm_at LIMIT 1
    ),
    (
        SELECT alarm_at FROM {messages} FORCE INDEX (alarms)
        WHERE namespace = :namespace AND alarm = 3 AND alarm_at BETWEEN :since AND {now} ORDER BY alarm_at LIMIT 1
    ),
    (
        SELECT deadline FROM {owners} FORCE INDEX (by_deadline)
        WHERE namespace = :namespace AND deadline BETWEEN :since AND {now} AND name <> :owner
        ORDER BY deadline LIMIT 1
    ),
    COALESCE(
        (
            SELECT alarm_at FROM {messages} FORCE INDEX (alarms)
            WHERE namespace = :namespace AND alarm = 7 AND alarm_at BETWEEN :since AND {now}
            ORDER BY alarm_at LIMIT 1
        ),
        (
            SELECT alarm_at + :dead_letter_ttl FROM {messages} FORCE INDEX (alarms)
            WHERE namespace = :namespace AND alarm = 6
                AND alarm_at BETWEEN :since - :dead_letter_ttl AND {now} - :dead_letter_ttl
            ORDER BY alarm_at LIMIT 1
        ),
        (
            SELECT ends_at FROM {unique_keys} FORCE INDEX (by_end)
            WHERE namespace = :namespace AND ends_at BETWEEN :since AND {now} ORDER BY ends_at LIMIT 1
        ),
        (
            SELECT ends_at FROM {workers} FORCE INDEX (by_end)
            WHERE namespace = :namespace AND ends_at BETWEEN :since AND {now} ORDER BY ends_at LIMIT 1
        )
    ),
    (SELECT at FROM {upkeep} WHERE namespace = :namespace),
    (SELECT paused_until FROM {upkeep} WHERE namespace = :namespace),
    TIMESTAMPDIFF(MICROSECOND, NOW(6), SYSDATE(6))

-- name: paused_queues
SELECT n FROM {queues} WHERE n IN (:queues) AND paused

-- name: lock_owner
SELECT n, deadline FROM {owners} FORCE INDEX (by_name) WHERE namespace = :namespace AND name = :owner FOR UPDATE

-- name: claim
-- The next messages of a queue from some place on, locked. Payloads that are larger than :large follow one by one. The
-- last column of the first row is the time until it was found.
SELECT id, namespace, token, attempt, lost, enqueued_at, due_at, mismatched_at, size, profile,
    IF(size <= :large, payload, NULL), priority_rank, sort_at, TIMESTAMPDIFF(MICROSECOND, NOW(6), SYSDATE(6))
FROM {messages} FORCE INDEX (in_queue)
WHERE state = 3 AND queue = :queue AND :place AND (alarm IS NULL OR alarm_at > {now})
ORDER BY priority_rank, sort_at, id
LIMIT :limit
FOR UPDATE SKIP LOCKED

-- name: payload
SELECT payload FROM {messages} FORCE INDEX (PRIMARY) WHERE id = :id AND namespace = :namespace

-- name: renew_locked
UPDATE {owners} SET deadline = GREATEST(deadline, :deadline) WHERE n = :owner

-- name: add_owner
INSERT INTO {owners} (namespace, name, deadline) VALUES (:namespace, :owner, :deadline)
ON DUPLICATE KEY UPDATE deadline = GREATEST(deadline, :deadline), n = LAST_INSERT_ID(n)

-- name: lease
-- Rows that this transaction has locked. The token is a time, so that it grows even if a crash of the server has
-- undone the last leases.
UPDATE {messages} FORCE INDEX (PRIMARY)
SET state = 5, owner = :owner, token = GREATEST(token + 1, :now), leased_at = :now, started = 1, alarm = NULL,
    alarm_at = NULL
WHERE id IN (:ids) AND namespace = :namespace

-- name: lock_mark
SELECT 1 FROM {upkeep} WHERE namespace = :namespace FOR UPDATE SKIP LOCKED

-- name: mark
SELECT {now}, at, paused_until FROM {upkeep} WHERE namespace = :namespace

-- name: set_mark
UPDATE {upkeep} SET at = :at, paused_until = :paused_until WHERE namespace = :namespace

-- name: add_mark
INSERT INTO {upkeep} (namespace, at, paused_until) VALUES (:namespace, 0, 0)
ON DUPLICATE KEY UPDATE namespace = {upkeep}.namespace

-- name: any_leases
SELECT (
    SELECT 1 FROM {owners} AS owners STRAIGHT_JOIN {messages} AS messages FORCE INDEX (in_queue)
        ON messages.state = 5 AND messages.owner = owners.n
    WHERE owners.namespace = :namespace LIMIT 1
)

-- name: deadlines
SELECT deadline FROM {owners} WHERE namespace = :namespace

-- name: move_deadlines
-- The clock was set back by :back.
UPDATE {owners} SET deadline = deadline - :back WHERE namespace = :namespace AND deadline > :now

-- name: move_workers
UPDATE {workers} SET ends_at = ends_at - :back WHERE namespace = :namespace AND ends_at > :now

-- name: renew_by_extend
UPDATE {owners} SET deadline = {now} + :lease WHERE namespace = :namespace AND name = :owner

-- name: owner
SELECT n FROM {owners} FORCE INDEX (by_name) WHERE namespace = :namespace AND name = :owner

-- name: held
SELECT messages.id, messages.token, messages.leased_at, {now}
FROM {owners} AS owners FORCE INDEX (by_name)
STRAIGHT_JOIN {messages} AS messages FORCE INDEX (in_queue) ON messages.state = 5 AND messages.owner = owners.n
WHERE owners.namespace = :namespace AND owners.name = :owner

-- name: flagged
SELECT messages.id, messages.token
FROM {owners} AS owners FORCE INDEX (by_name)
STRAIGHT_JOIN {messages} AS messages FORCE INDEX (alarms)
    ON messages.namespace = owners.namespace AND messages.alarm = 5
WHERE owners.namespace = :namespace AND owners.name = :owner AND messages.owner = owners.n
    AND messages.state + 0 = 5

-- name: lock_leases
-- Leases that are still those named, locked.
SELECT messages.id, messages.queue, messages.profile, messages.attempt, messages.lost, messages.max_lost,
    messages.cancelling
FROM JSON_TABLE(:leases, '$[*]' COLUMNS (id CHAR(32) PATH '$[0]', token BIGINT PATH '$[1]')) AS named
STRAIGHT_JOIN {messages} AS messages FORCE INDEX (PRIMARY)
    ON messages.id = UNHEX(named.id) AND messages.namespace = :namespace
WHERE messages.state + 0 = 5 AND messages.token = named.token
FOR UPDATE SKIP LOCKED

-- name: leases_of_owner
SELECT messages.id, messages.token
FROM {owners} AS owners FORCE INDEX (by_name)
STRAIGHT_JOIN {messages} AS messages FORCE INDEX (in_queue) ON messages.state = 5 AND messages.owner = owners.n
WHERE owners.namespace = :namespace AND owners.name = :owner
LIMIT :bound

-- name: delete_owner
-- Unless one of its leases is being settled, or made, at this moment.
DELETE FROM {owners}
WHERE namespace = :namespace AND name = :owner AND (
    SELECT 1 FROM {messages} AS messages FORCE INDEX (in_queue)
    WHERE messages.state = 5 AND messages.owner = {owners}.n LIMIT 1
) IS NULL

-- name: watch
-- Whether a message is due, and whether a lease has ended that a reserve may reclaim.
SELECT
    (
        SELECT 1 FROM {messages} FORCE INDEX (alarms)
        WHERE namespace = :namespace AND alarm = 2 AND alarm_at BETWEEN :since AND {now} LIMIT 1
    ),
    (
        SELECT 1 FROM {owners} FORCE INDEX (by_deadline)
        WHERE namespace = :namespace AND deadline BETWEEN :since AND {now}
            AND COALESCE((SELECT paused_until FROM {upkeep} WHERE namespace = :namespace), 0) <= {now}
        LIMIT 1
    )

-- name: watch_queues
-- The queues that have messages to reserve.
SELECT queues.name FROM {queues} AS queues FORCE INDEX (by_name)
WHERE queues.namespace = :namespace AND queues.name IN (:names) AND NOT queues.paused AND (
    SELECT 1 FROM {messages} FORCE INDEX (in_queue) WHERE state = 3 AND queue = queues.n LIMIT 1
) IS NOT NULL

-- name: ended
SELECT named.n
FROM JSON_TABLE(:ids, '$[*]' COLUMNS (n FOR ORDINALITY, id CHAR(32) PATH '$')) AS named
STRAIGHT_JOIN {messages} AS messages FORCE INDEX (PRIMARY)
    ON messages.id = UNHEX(named.id) AND messages.namespace = :namespace
WHERE messages.state >= 6
