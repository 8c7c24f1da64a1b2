-- Pages of listings. Each `walk_` statement gives the place and the number of messages in the order of an
-- index, behind the place (:after, :after_id); the others are made around it.

-- name: page
-- Messages of a walk that a filter lets through. The walk is a co-routine, which stops when :limit is reached.
SELECT {columns}, walked.place, walked.place_id
FROM (
{walk}
) AS walked CROSS JOIN messages
WHERE messages.n = walked.n AND {filter}
LIMIT :limit

-- name: walked
-- The number of messages of a walk, at most :budget.
SELECT count(*)
FROM (
{walk}
)

-- name: end_of_walk
-- The place at which a walk has used up its :budget.
SELECT place, place_id
FROM (
{walk}
)
LIMIT 1 OFFSET :budget - 1

-- name: walk_ready
-- Messages of one queue and rank that are due: promoted or not, they keep their place.
SELECT due_at AS place, id AS place_id, n
FROM messages INDEXED BY messages_ready
WHERE state = 3 AND queue = :major AND rank = :minor AND (due_at, id) > (:after, :after_id)
UNION ALL
SELECT due_at, id, n
FROM messages INDEXED BY messages_scheduled_by_queue
WHERE state = 2 AND queue = :major AND rank = :minor AND due_at <= :now
    AND (due_at, id) > (:after, :after_id)
ORDER BY 1, 2
LIMIT :budget

-- name: walk_scheduled
SELECT due_at AS place, id AS place_id, n
FROM messages INDEXED BY messages_scheduled
WHERE namespace = :namespace AND state = 2 AND (due_at, id) > (max(:after, :now), :after_id)
    AND due_at > :now
ORDER BY due_at, id
LIMIT :budget

-- name: walk_scheduled_of_queue
SELECT due_at AS place, id AS place_id, n
FROM messages INDEXED BY messages_scheduled_by_queue
WHERE state = 2 AND queue = :major AND rank = :minor
    AND (due_at, id) > (max(:after, :now), :after_id) AND due_at > :now
ORDER BY due_at, id
LIMIT :budget

-- name: walk_leased
-- Leases of one owner in one queue.
SELECT queue AS place, n AS place_id, n
FROM messages INDEXED BY messages_leased
WHERE state = 5 AND owner = :major AND queue = :minor AND n > :after_id
ORDER BY n
LIMIT :budget

-- name: walk_dead
SELECT finished_at AS place, id AS place_id, n
FROM messages INDEXED BY messages_dead
WHERE namespace = :namespace AND reason IS NOT NULL AND (finished_at, id) {beyond} (:after, :after_id)
ORDER BY finished_at {direction}, id {direction}
LIMIT :budget

-- name: walk_dead_of_queue
SELECT finished_at AS place, id AS place_id, n
FROM messages INDEXED BY messages_dead_by_queue
WHERE queue = :major AND reason IS NOT NULL AND (finished_at, id) {beyond} (:after, :after_id)
ORDER BY finished_at {direction}, id {direction}
LIMIT :budget

-- name: used_queues
-- The queues of this namespace that have messages which are ready or scheduled.
SELECT json_group_array(key)
FROM queues
WHERE namespace = :namespace AND (
    EXISTS (SELECT 1 FROM messages INDEXED BY messages_ready WHERE state = 3 AND queue = key)
    OR EXISTS (
        SELECT 1 FROM messages INDEXED BY messages_scheduled_by_queue WHERE state = 2 AND queue = key
    )
)

-- name: next_rank
SELECT min(rank)
FROM (
    SELECT min(rank) AS rank FROM messages INDEXED BY messages_ready
    WHERE state = 3 AND queue = :major AND rank > :minor
    UNION ALL
    SELECT min(rank) FROM messages INDEXED BY messages_scheduled_by_queue
    WHERE state = 2 AND queue = :major AND rank > :minor
)

-- name: holders
-- The owners of leases, as `inspect.holders`, without those of other namespaces.
SELECT json_group_array(owner)
FROM ({holders})
WHERE typeof(owner) = 'integer'
    AND NOT EXISTS (SELECT 1 FROM owners WHERE key = owner AND namespace <> :namespace)

-- name: next_queue_of_owner
SELECT min(queue) FROM messages INDEXED BY messages_leased
WHERE state = 5 AND owner = :major AND queue > :minor

-- name: filter
-- A profile begins with the head of an array and the name of the task, as msgpack writes them: the head of a
-- text says its length in one byte up to 31 bytes, in two up to 255, otherwise in three.
(:since IS NULL OR enqueued_at >= :since) AND (:until IS NULL OR enqueued_at < :until)
AND (:task IS NULL OR substr(profile, 2, length(:task)) = :task)
AND (
    :task_prefix IS NULL
    OR substr(
        profile,
        CASE WHEN substr(profile, 2, 1) < x'C0' THEN 3 WHEN substr(profile, 2, 1) = x'D9' THEN 4 ELSE 5 END,
        length(:task_prefix)
    ) = :task_prefix
)
AND messages.namespace = :namespace

-- name: filter_of_dead
-- An error begins with the head of an array and its type, as a profile does with the task. The length of a
-- type is looked up in the 256 :bytes.
(:reason IS NULL OR reason = :reason)
AND (
    :error IS NULL
    OR substr(error, 2, length(:error)) = :error
    OR substr(
        error,
        CASE
            WHEN substr(error, 2, 1) < x'C0' THEN 2 + instr(:bytes, substr(error, 2, 1)) - 160
            WHEN substr(error, 2, 1) = x'DA'
            THEN 4 + (instr(:bytes, substr(error, 3, 1)) - 1) * 256 + instr(:bytes, substr(error, 4, 1))
            ELSE 3 + instr(:bytes, substr(error, 3, 1))
        END - length(:error_ending) + 0,
        length(:error_ending)
    ) = :error_ending
)
