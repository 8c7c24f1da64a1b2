-- Pages of listings. A page walks stretches: messages that the index has side by side, those of one state, queue
-- and rank. It reads a bounded number of rows behind a place, and chooses among them by what a row says of itself.

-- name: queues
-- The queues of this namespace that have messages in a state, with their ranks, from a queue on.
SELECT used.n, ranks.place
FROM (
    SELECT queues.n FROM {queues} AS queues
    WHERE queues.namespace = :namespace AND queues.n >= :from AND (:queue IS NULL OR queues.n = :queue) AND (
        SELECT 1 FROM {messages} FORCE INDEX (in_queue) WHERE state = :state AND queue = queues.n LIMIT 1
    ) IS NOT NULL
    ORDER BY queues.n
    LIMIT :bound
) AS used
STRAIGHT_JOIN JSON_TABLE('[0,1,2,3,4,5,6,7,8,9]', '$[*]' COLUMNS (place TINYINT PATH '$')) AS ranks
WHERE (
    SELECT 1 FROM {messages} FORCE INDEX (in_queue)
    WHERE state = :state AND queue = used.n AND priority_rank = ranks.place LIMIT 1
) IS NOT NULL
ORDER BY used.n, ranks.place

-- name: walk
SELECT sort_at, id, profile, enqueued_at, owner, reason, SUBSTRING(error, 1, :head)
FROM {messages} FORCE INDEX (in_queue)
WHERE state = :state AND queue = :queue AND priority_rank = :rank
    AND (sort_at > :after OR (sort_at = :after AND id > :after_id)) AND sort_at > :least AND sort_at <= :most
ORDER BY sort_at, id
LIMIT :budget

-- name: walk_back
SELECT sort_at, id, profile, enqueued_at, owner, reason, SUBSTRING(error, 1, :head)
FROM {messages} FORCE INDEX (in_queue)
WHERE state = :state AND queue = :queue AND priority_rank = :rank
    AND (sort_at < :after OR (sort_at = :after AND id < :after_id))
ORDER BY sort_at DESC, id DESC
LIMIT :budget

-- name: walk_dead
SELECT alarm_at, id, profile, enqueued_at, owner, reason, SUBSTRING(error, 1, :head)
FROM {messages} FORCE INDEX (alarms)
WHERE namespace = :namespace AND alarm = 6 AND (alarm_at > :after OR (alarm_at = :after AND id > :after_id))
ORDER BY alarm_at, id
LIMIT :budget

-- name: walk_dead_back
SELECT alarm_at, id, profile, enqueued_at, owner, reason, SUBSTRING(error, 1, :head)
FROM {messages} FORCE INDEX (alarms)
WHERE namespace = :namespace AND alarm = 6 AND (alarm_at < :after OR (alarm_at = :after AND id < :after_id))
ORDER BY alarm_at DESC, id DESC
LIMIT :budget

-- name: sizes
SELECT named.n, messages.size
FROM JSON_TABLE(:ids, '$[*]' COLUMNS (n FOR ORDINALITY, id CHAR(32) PATH '$')) AS named
STRAIGHT_JOIN {messages} AS messages FORCE INDEX (PRIMARY)
    ON messages.id = UNHEX(named.id) AND messages.namespace = :namespace
