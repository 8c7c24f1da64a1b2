-- Version 1: create all tables. Each statement is executed only if its table is missing, because a server
-- commits every such statement by itself: a migration that was killed half-way goes on where it stopped.
--
-- A message is one row from its enqueue until its outcome is forgotten, so that it is always in exactly one
-- state, and so that the primary key tells whether an ID is known.
--
-- Times are microseconds since the Unix epoch, durations microseconds. IDs are UUIDv7 in 16 bytes, so that
-- rows are added at the end of the primary key. Names are bytes, which compare exactly.
-- States: 1 arrived (reserved), 2 scheduled, 3 ready, 4 blocked, 5 leased, 6 dead, 7 completed, 8 cancelled.

-- name: meta
-- One row: the version of the tables, the oldest version that a release must know to use them, and the
-- identity of this store.
CREATE TABLE {meta} (
    one TINYINT NOT NULL PRIMARY KEY,
    version INT NOT NULL,
    usable_from INT NOT NULL,
    store BINARY(16) NOT NULL
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC

-- name: namespaces
CREATE TABLE {namespaces} (
    n INT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    name VARBINARY(1000) NOT NULL,
    UNIQUE KEY by_name (name)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC

-- name: queues
CREATE TABLE {queues} (
    n INT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    namespace INT NOT NULL,
    name VARBINARY(1000) NOT NULL,
    paused TINYINT NOT NULL DEFAULT 0,
    paused_at BIGINT NULL,
    UNIQUE KEY by_name (namespace, name)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC

-- name: messages
-- `alarm` names the next thing that time does to a message (2: it is due, 3: it expires, 6: it is forgotten as
-- a dead letter, 7: its outcome is forgotten), and `alarm_at` says when; of a dead letter, when it died. 5 marks
-- leases that are to be cancelled. Plain messages have no alarm until they end, so that the index is not written
-- while they wait and run.
--
-- Leases are found by their state, and by the owner in the same index: an index of owners would have to be written
-- twice for each message.
--
-- `sort_at` is the place in the index of a queue: `due_at` of messages that wait or run, the time of death of
-- dead letters.
--
-- The columns from `lane` on are for features to come, so that no release has to rebuild this table.
CREATE TABLE {messages} (
    id BINARY(16) NOT NULL,
    namespace INT NOT NULL,
    queue INT NOT NULL,
    state TINYINT NOT NULL,
    priority_rank TINYINT NOT NULL,
    alarm TINYINT NULL,
    alarm_at BIGINT NULL,
    sort_at BIGINT NOT NULL,
    due_at BIGINT NOT NULL,
    enqueued_at BIGINT NOT NULL,
    expires BIGINT NULL,
    result_ttl BIGINT NOT NULL,
    token BIGINT NOT NULL DEFAULT 0,
    leased_at BIGINT NOT NULL DEFAULT 0,
    owner BIGINT NOT NULL DEFAULT 0,
    attempt INT NOT NULL DEFAULT 0,
    lost INT NOT NULL DEFAULT 0,
    max_lost BIGINT NOT NULL,
    started TINYINT NOT NULL DEFAULT 0,
    cancelling TINYINT NOT NULL DEFAULT 0,
    mismatched_at BIGINT NULL,
    finished_at BIGINT NULL,
    unique_hash BINARY(32) NULL,
    reason VARBINARY(20) NULL,
    size INT NOT NULL,
    lane BIGINT NULL,
    pending INT NOT NULL DEFAULT 0,
    workflow BINARY(16) NULL,
    children TINYINT NOT NULL DEFAULT 0,
    group_key BIGINT NULL,
    about LONGBLOB NULL,
    profile LONGBLOB NULL,
    progress LONGBLOB NULL,
    error LONGBLOB NULL,
    payload LONGBLOB NULL,
    PRIMARY KEY (id, namespace),
    KEY in_queue (state, queue, priority_rank, sort_at, id, owner),
    KEY alarms (namespace, alarm, alarm_at, id)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC

-- name: owners
-- Leases belong to owners: renewing them is one update, however many there are.
CREATE TABLE {owners} (
    n BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    namespace INT NOT NULL,
    name VARBINARY(1000) NOT NULL,
    deadline BIGINT NOT NULL,
    UNIQUE KEY by_name (namespace, name),
    KEY by_deadline (namespace, deadline)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC

-- name: unique_keys
-- A key is named by its SHA-256. `held`: 0 free, 1 until started, 2 until settled, 3 for a period. The first two
-- are free again as soon as the row of their holder says so; upkeep deletes them later.
CREATE TABLE {unique_keys} (
    hash BINARY(32) NOT NULL,
    namespace INT NOT NULL,
    holder BINARY(16) NOT NULL,
    held TINYINT NOT NULL,
    period BIGINT NULL,
    ends_at BIGINT NULL,
    since BIGINT NULL,
    successor BINARY(16) NULL,
    PRIMARY KEY (hash, namespace),
    KEY by_end (namespace, ends_at)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC

-- name: workers
CREATE TABLE {workers} (
    namespace INT NOT NULL,
    id VARBINARY(1000) NOT NULL,
    description LONGBLOB NOT NULL,
    ends_at BIGINT NOT NULL,
    PRIMARY KEY (namespace, id),
    KEY by_end (namespace, ends_at)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC

-- name: upkeep
-- When a worker last called, and until when no lease is reclaimed after an outage. Its row is also the lock of
-- the upkeep of a namespace.
CREATE TABLE {upkeep} (
    namespace INT NOT NULL PRIMARY KEY,
    at BIGINT NOT NULL,
    paused_until BIGINT NOT NULL
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC

-- name: edges
-- For dependencies: the messages that wait for a parent.
CREATE TABLE {edges} (
    parent BINARY(16) NOT NULL,
    child BINARY(16) NOT NULL,
    namespace INT NOT NULL,
    rule TINYINT NOT NULL,
    PRIMARY KEY (parent, child, namespace),
    KEY by_child (child, namespace)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC

-- name: lanes
-- For limits: messages of a queue that count against the same limits.
CREATE TABLE {lanes} (
    n BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    namespace INT NOT NULL,
    queue INT NOT NULL,
    hash BINARY(32) NOT NULL,
    is_open TINYINT NOT NULL DEFAULT 1,
    head_rank TINYINT NULL,
    head_due_at BIGINT NULL,
    parked_on BIGINT NULL,
    definition LONGBLOB NULL,
    UNIQUE KEY by_hash (hash, namespace),
    KEY by_queue (queue, is_open, head_rank, head_due_at),
    KEY by_limit (parked_on, is_open)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC

-- name: limits
CREATE TABLE {limits} (
    n BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    namespace INT NOT NULL,
    hash BINARY(32) NOT NULL,
    most BIGINT NULL,
    used BIGINT NOT NULL DEFAULT 0,
    next_at BIGINT NULL,
    definition LONGBLOB NULL,
    UNIQUE KEY by_hash (hash, namespace)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC

-- name: ended
-- For dependencies and limits: messages whose end is still to be worked off.
CREATE TABLE {ended} (
    n BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    namespace INT NOT NULL,
    id BINARY(16) NOT NULL,
    lane BIGINT NULL,
    KEY by_namespace (namespace, n)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC

-- name: steps
-- For steps: results that a task has kept between its runs.
CREATE TABLE {steps} (
    id BINARY(16) NOT NULL,
    namespace INT NOT NULL,
    hash BINARY(32) NOT NULL,
    result LONGBLOB NULL,
    PRIMARY KEY (id, namespace, hash)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC
