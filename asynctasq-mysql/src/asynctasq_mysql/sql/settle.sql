-- Statements that end leases.

-- name: complete_all
-- Completions of current leases: an UPDATE with values for each row, written as an INSERT because servers keep a
-- file for an UPDATE of a join. It must find every row: if it does not, it is undone. `state` comes last, because
-- the assignments are made in order.
INSERT INTO {messages} (
    id, namespace, token, about, payload, size, queue, state, priority_rank, sort_at, due_at, enqueued_at, result_ttl,
    max_lost
) VALUES :rows {as_new}
ON DUPLICATE KEY UPDATE
    finished_at = IF({messages}.state = 5 AND {messages}.token = {new.token}, {now}, {messages}.finished_at),
    alarm = IF({messages}.state = 5 AND {messages}.token = {new.token}, 7, {messages}.alarm),
    alarm_at = IF({messages}.state = 5 AND {messages}.token = {new.token}, {now} + :keep, {messages}.alarm_at),
    owner = IF({messages}.state = 5 AND {messages}.token = {new.token}, 0, {messages}.owner),
    cancelling = IF({messages}.state = 5 AND {messages}.token = {new.token}, 0, {messages}.cancelling),
    mismatched_at = IF({messages}.state = 5 AND {messages}.token = {new.token}, NULL, {messages}.mismatched_at),
    progress = IF({messages}.state = 5 AND {messages}.token = {new.token}, NULL, {messages}.progress),
    error = IF({messages}.state = 5 AND {messages}.token = {new.token}, NULL, {messages}.error),
    profile = IF({messages}.state = 5 AND {messages}.token = {new.token}, NULL, {messages}.profile),
    about = IF({messages}.state = 5 AND {messages}.token = {new.token}, {new.about}, {messages}.about),
    payload = IF({messages}.state = 5 AND {messages}.token = {new.token}, {new.payload}, {messages}.payload),
    size = IF({messages}.state = 5 AND {messages}.token = {new.token}, {new.size}, {messages}.size),
    state = IF({messages}.state = 5 AND {messages}.token = {new.token}, 7, {messages}.state)

-- name: leases
-- Those named that are leased, locked.
SELECT named.n, messages.token, messages.cancelling, {now}
FROM JSON_TABLE(:ids, '$[*]' COLUMNS (n FOR ORDINALITY, id CHAR(32) PATH '$')) AS named
STRAIGHT_JOIN {messages} AS messages FORCE INDEX (PRIMARY)
    ON messages.id = UNHEX(named.id) AND messages.namespace = :namespace
WHERE messages.state + 0 = 5
FOR UPDATE

-- name: complete
UPDATE JSON_TABLE(
    :rows, '$[*]' COLUMNS (
        id CHAR(32) PATH '$[0]', keep BIGINT PATH '$[1]', about LONGTEXT PATH '$[2]',
        result LONGTEXT PATH '$[3]'
    )
) AS named
STRAIGHT_JOIN {messages} AS messages FORCE INDEX (PRIMARY)
    ON messages.id = UNHEX(named.id) AND messages.namespace = :namespace
SET messages.state = 7, messages.finished_at = :now, messages.alarm = 7, messages.alarm_at = :now + named.keep,
    messages.owner = 0, messages.cancelling = 0, messages.mismatched_at = NULL, messages.progress = NULL,
    messages.error = NULL, messages.profile = NULL, messages.about = UNHEX(named.about),
    messages.payload = UNHEX(named.result), messages.size = COALESCE(LENGTH(named.result) DIV 2, 0)
WHERE messages.state = 5

-- name: cancelled
UPDATE JSON_TABLE(
    :rows, '$[*]' COLUMNS (id CHAR(32) PATH '$[0]', keep BIGINT PATH '$[1]', about LONGTEXT PATH '$[2]')
) AS named
STRAIGHT_JOIN {messages} AS messages FORCE INDEX (PRIMARY)
    ON messages.id = UNHEX(named.id) AND messages.namespace = :namespace
SET messages.state = 8, messages.finished_at = :now, messages.alarm = 7,
    messages.alarm_at = :now + COALESCE(named.keep, LEAST(GREATEST(messages.result_ttl, :least), 1152921504606846976)),
    messages.owner = 0, messages.cancelling = 0, messages.mismatched_at = NULL, messages.progress = NULL,
    messages.error = NULL, messages.profile = NULL, messages.about = UNHEX(named.about), messages.payload = NULL,
    messages.size = 0
WHERE messages.state = 5

-- name: retry
UPDATE JSON_TABLE(
    :rows, '$[*]' COLUMNS (id CHAR(32) PATH '$[0]', due_at BIGINT PATH '$[1]', error LONGTEXT PATH '$[2]')
) AS named
STRAIGHT_JOIN {messages} AS messages FORCE INDEX (PRIMARY)
    ON messages.id = UNHEX(named.id) AND messages.namespace = :namespace
SET messages.state = IF(named.due_at <= :now, 3, 2),
    messages.alarm = IF(named.due_at <= :now, NULL, 2),
    messages.alarm_at = IF(named.due_at <= :now, NULL, named.due_at),
    messages.sort_at = named.due_at, messages.due_at = named.due_at, messages.owner = 0,
    messages.attempt = LEAST(messages.attempt, 2147483646) + 1,
    messages.error = UNHEX(named.error), messages.mismatched_at = NULL
WHERE messages.state = 5

-- name: release
UPDATE JSON_TABLE(
    :rows, '$[*]' COLUMNS (
        id CHAR(32) PATH '$[0]', due_at BIGINT PATH '$[1]', mismatched TINYINT PATH '$[2]',
        error LONGTEXT PATH '$[3]'
    )
) AS named
STRAIGHT_JOIN {messages} AS messages FORCE INDEX (PRIMARY)
    ON messages.id = UNHEX(named.id) AND messages.namespace = :namespace
SET messages.state = IF(COALESCE(named.due_at, 0) <= :now, 3, 2),
    messages.alarm = IF(COALESCE(named.due_at, 0) <= :now, NULL, 2),
    messages.alarm_at = IF(COALESCE(named.due_at, 0) <= :now, NULL, named.due_at),
    messages.due_at = COALESCE(named.due_at, messages.due_at), messages.owner = 0,
    messages.sort_at = COALESCE(named.due_at, messages.sort_at),
    messages.mismatched_at = IF(named.mismatched, COALESCE(messages.mismatched_at, :now), messages.mismatched_at),
    messages.error = COALESCE(UNHEX(named.error), messages.error)
WHERE messages.state = 5

-- name: fail
UPDATE JSON_TABLE(
    :rows, '$[*]' COLUMNS (
        id CHAR(32) PATH '$[0]', reason VARCHAR(40) PATH '$[1]', error LONGTEXT PATH '$[2]',
        counted TINYINT PATH '$[3]', about LONGTEXT PATH '$[4]'
    )
) AS named
STRAIGHT_JOIN {messages} AS messages FORCE INDEX (PRIMARY)
    ON messages.id = UNHEX(named.id) AND messages.namespace = :namespace
SET messages.state = 6, messages.reason = UNHEX(named.reason), messages.error = UNHEX(named.error),
    messages.priority_rank = 0, messages.sort_at = :now, messages.alarm = 6, messages.alarm_at = :now,
    messages.finished_at = :now, messages.owner = 0,
    messages.attempt = LEAST(messages.attempt, 2147483646) + named.counted,
    messages.about = UNHEX(named.about), messages.progress = NULL, messages.cancelling = 0
WHERE messages.state = 5

-- name: set_progress
UPDATE JSON_TABLE(
    :rows, '$[*]' COLUMNS (id CHAR(32) PATH '$[0]', token BIGINT PATH '$[1]', progress LONGTEXT PATH '$[2]')
) AS named
STRAIGHT_JOIN {messages} AS messages FORCE INDEX (PRIMARY)
    ON messages.id = UNHEX(named.id) AND messages.namespace = :namespace
SET messages.progress = UNHEX(named.progress)
WHERE messages.state + 0 = 5 AND messages.token = named.token

-- name: states
-- Those named that are in the store, locked.
SELECT named.n, messages.state, messages.alarm_at, {now}
FROM JSON_TABLE(:ids, '$[*]' COLUMNS (n FOR ORDINALITY, id CHAR(32) PATH '$')) AS named
STRAIGHT_JOIN {messages} AS messages FORCE INDEX (PRIMARY)
    ON messages.id = UNHEX(named.id) AND messages.namespace = :namespace
FOR UPDATE

-- name: flag
UPDATE JSON_TABLE(:ids, '$[*]' COLUMNS (id CHAR(32) PATH '$')) AS named
STRAIGHT_JOIN {messages} AS messages FORCE INDEX (PRIMARY)
    ON messages.id = UNHEX(named.id) AND messages.namespace = :namespace
SET messages.cancelling = 1, messages.alarm = 5, messages.alarm_at = 0
WHERE messages.state = 5
