-- Statements about messages that a broker holds.

-- name: lock_ends
-- Locks the fact 2 of each message, in the order of their IDs: one call at a time decides about a message. Rows
-- that are new have a time that is over.
INSERT INTO {brokered} (id, namespace, fact, ends_at) VALUES :rows
ON DUPLICATE KEY UPDATE id = {brokered}.id

-- name: facts
-- The current facts about the messages named.
SELECT named.n, brokered.fact, brokered.value
FROM JSON_TABLE(:ids, '$[*]' COLUMNS (n FOR ORDINALITY, id CHAR(32) PATH '$')) AS named
STRAIGHT_JOIN {brokered} AS brokered FORCE INDEX (PRIMARY)
    ON brokered.id = UNHEX(named.id) AND brokered.namespace = :namespace
WHERE brokered.ends_at > :now

-- name: current_facts
SELECT named.n, brokered.fact, brokered.value
FROM JSON_TABLE(:ids, '$[*]' COLUMNS (n FOR ORDINALITY, id CHAR(32) PATH '$')) AS named
STRAIGHT_JOIN {brokered} AS brokered FORCE INDEX (PRIMARY)
    ON brokered.id = UNHEX(named.id) AND brokered.namespace = :namespace
WHERE brokered.ends_at > {now}

-- name: known
-- The messages named that are in the store; outcomes whose time is over, too.
SELECT named.n, messages.state, messages.alarm_at, {now}
FROM JSON_TABLE(:ids, '$[*]' COLUMNS (n FOR ORDINALITY, id CHAR(32) PATH '$')) AS named
STRAIGHT_JOIN {messages} AS messages FORCE INDEX (PRIMARY)
    ON messages.id = UNHEX(named.id) AND messages.namespace = :namespace

-- name: drop_facts
DELETE brokered
FROM JSON_TABLE(:ids, '$[*]' COLUMNS (id CHAR(32) PATH '$')) AS named
STRAIGHT_JOIN {brokered} AS brokered FORCE INDEX (PRIMARY)
    ON brokered.id = UNHEX(named.id) AND brokered.namespace = :namespace
WHERE brokered.fact <> 2

-- name: keep_facts
INSERT INTO {brokered} (id, namespace, fact, ends_at, value) VALUES :rows {as_new}
ON DUPLICATE KEY UPDATE ends_at = {new.ends_at}, value = {new.value}

-- name: forget_facts
DELETE FROM {brokered} WHERE namespace = :namespace AND ends_at <= {now} ORDER BY ends_at LIMIT 2000

-- name: add
INSERT INTO {messages} (
    id, namespace, queue, state, priority_rank, alarm, alarm_at, sort_at, due_at, enqueued_at, expires,
    result_ttl, token, leased_at, attempt, lost, max_lost, started, finished_at, unique_hash, reason, size, about,
    profile, progress, error, payload
) VALUES :rows
