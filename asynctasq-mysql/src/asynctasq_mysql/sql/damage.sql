-- Statements for records that are damaged.

-- name: make_dead_letters
UPDATE JSON_TABLE(:rows, '$[*]' COLUMNS (id CHAR(32) PATH '$[0]', error LONGTEXT PATH '$[1]')) AS named
STRAIGHT_JOIN {messages} AS messages FORCE INDEX (PRIMARY)
    ON messages.id = UNHEX(named.id) AND messages.namespace = :namespace
SET messages.state = 6, messages.reason = :reason, messages.error = UNHEX(named.error),
    messages.priority_rank = 0, messages.sort_at = :now, messages.alarm = 6, messages.alarm_at = :now,
    messages.finished_at = :now, messages.owner = 0, messages.cancelling = 0, messages.progress = NULL,
    messages.attempt = GREATEST(messages.attempt, 0), messages.lost = GREATEST(messages.lost, 0)

-- name: strays
-- Leases of owners that are not known.
SELECT messages.id, messages.token
FROM {messages} AS messages FORCE INDEX (in_queue)
LEFT JOIN {owners} AS owners FORCE INDEX (PRIMARY) ON owners.n = messages.owner
WHERE messages.state = 5 AND messages.namespace = :namespace AND owners.n IS NULL
LIMIT :bound

-- name: in_no_state
-- Messages in a state that no release knows.
SELECT id, queue, profile, attempt, lost
FROM {messages} FORCE INDEX (in_queue)
WHERE (state < 1 OR state > 15) AND namespace = :namespace
LIMIT :bound
