-- Searches of IDs by their digits. Each statement looks at :budget messages of all namespaces behind a place, in the
-- order of an index. It returns the places of those that match, with 1, and that of the last one, with 0.

-- name: beginning
-- The primary key has the messages that begin with the digits side by side.
SELECT walked.id, walked.namespace, 1
FROM (
    SELECT id, namespace, state
    FROM {messages} FORCE INDEX (PRIMARY)
    WHERE id >= :after AND id <= :last AND (id > :after OR namespace > :after_namespace)
    ORDER BY id, namespace
    LIMIT :budget
) AS walked
WHERE walked.namespace = :namespace AND walked.state <= 6
UNION ALL
(
    SELECT id, namespace, 0
    FROM {messages} FORCE INDEX (PRIMARY)
    WHERE id >= :after AND id <= :last AND (id > :after OR namespace > :after_namespace)
    ORDER BY id, namespace
    LIMIT 1 OFFSET :but_last
)

-- name: ending
-- The index of queues is read alone. It has messages that have ended behind all others.
SELECT walked.state, walked.queue, walked.priority_rank, walked.sort_at, walked.id, 1
FROM (
    SELECT state, queue, priority_rank, sort_at, id, namespace
    FROM {messages} FORCE INDEX (in_queue)
    WHERE state <= 6 AND (
        state > :after_state
        OR (state = :after_state AND queue > :after_queue)
        OR (state = :after_state AND queue = :after_queue AND priority_rank > :after_rank)
        OR (
            state = :after_state AND queue = :after_queue AND priority_rank = :after_rank
            AND (sort_at > :after_sort OR (sort_at = :after_sort AND id > :after_id))
        )
    )
    ORDER BY state, queue, priority_rank, sort_at, id
    LIMIT :budget
) AS walked
WHERE walked.namespace = :namespace AND RIGHT(walked.id, :bytes) = :tail
UNION ALL
(
    SELECT state, queue, priority_rank, sort_at, id, 0
    FROM {messages} FORCE INDEX (in_queue)
    WHERE state <= 6 AND (
        state > :after_state
        OR (state = :after_state AND queue > :after_queue)
        OR (state = :after_state AND queue = :after_queue AND priority_rank > :after_rank)
        OR (
            state = :after_state AND queue = :after_queue AND priority_rank = :after_rank
            AND (sort_at > :after_sort OR (sort_at = :after_sort AND id > :after_id))
        )
    )
    ORDER BY state, queue, priority_rank, sort_at, id
    LIMIT 1 OFFSET :but_last
)
