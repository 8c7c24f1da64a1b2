-- Tables that came after version 1. Each is created where it is missing, without a new version: the
-- release before ignores them, so that both releases use one file during an upgrade.

-- When a worker last called, and until when no lease is taken back after an outage.
CREATE TABLE IF NOT EXISTS upkeep (
    namespace INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    paused_until INTEGER NOT NULL
);

-- What is known of messages that a broker holds. The numbers of facts are those of `driverkit.marks`.
CREATE TABLE IF NOT EXISTS brokered (
    namespace INTEGER NOT NULL,
    id BLOB NOT NULL,
    fact INTEGER NOT NULL,
    value BLOB,
    ends_at INTEGER NOT NULL,
    PRIMARY KEY (namespace, id, fact)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS brokered_by_end ON brokered (namespace, ends_at);

-- Rules that dispatch messages at given times. `claimable_at` is the time at which a schedule is due, at which a
-- claim of it ends, or, after its last time, at which it is deleted. It is NULL while the schedule is paused or
-- orphaned.
CREATE TABLE IF NOT EXISTS schedules (
    n INTEGER PRIMARY KEY,
    namespace INTEGER NOT NULL,
    id TEXT NOT NULL,
    definition BLOB NOT NULL,
    rhythm TEXT NOT NULL,
    next_at INTEGER,
    claimable_at INTEGER,
    revision INTEGER NOT NULL,
    paused INTEGER NOT NULL DEFAULT 0,
    orphaned INTEGER NOT NULL DEFAULT 0,
    declared_by TEXT,
    seen_at INTEGER NOT NULL,
    fired_at INTEGER,
    UNIQUE (namespace, id)
);
CREATE INDEX IF NOT EXISTS schedules_claimable ON schedules (namespace, claimable_at)
    WHERE claimable_at IS NOT NULL;

-- What workers have counted, by the minute (span 1) and by the hour (span 60); `start` is in minutes. The
-- counts are packed by core. All workers are added up at once, because only one of them writes at a time.
CREATE TABLE IF NOT EXISTS task_counts (
    namespace INTEGER NOT NULL,
    span INTEGER NOT NULL,
    start INTEGER NOT NULL,
    queue BLOB NOT NULL,
    task BLOB NOT NULL,
    counts BLOB,
    PRIMARY KEY (namespace, span, start, queue, task)
) WITHOUT ROWID;

-- The last flush of each worker.
CREATE TABLE IF NOT EXISTS metric_sources (
    namespace INTEGER NOT NULL,
    source BLOB NOT NULL,
    number INTEGER NOT NULL,
    seen_at INTEGER NOT NULL,
    PRIMARY KEY (namespace, source)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS metric_sources_by_time ON metric_sources (namespace, seen_at);

-- The latest outcomes of each worker, packed by core.
CREATE TABLE IF NOT EXISTS recent_outcomes (
    namespace INTEGER NOT NULL,
    queue BLOB NOT NULL,
    source BLOB NOT NULL,
    data BLOB,
    seen_at INTEGER NOT NULL,
    PRIMARY KEY (namespace, queue, source)
);
CREATE INDEX IF NOT EXISTS recent_outcomes_by_time ON recent_outcomes (namespace, seen_at);

-- The last request of operators about each owner of leases, that is, about one run of a worker. The numbers are those
-- of `driverkit.worker_requests`.
CREATE TABLE IF NOT EXISTS worker_requests (
    namespace INTEGER NOT NULL,
    owner TEXT NOT NULL,
    request INTEGER NOT NULL,
    requested_at INTEGER NOT NULL,
    PRIMARY KEY (namespace, owner)
) WITHOUT ROWID;

-- Until when there is a listener to events, since when, and the last batch of them.
CREATE TABLE IF NOT EXISTS event_streams (
    namespace INTEGER PRIMARY KEY,
    until INTEGER NOT NULL,
    since INTEGER NOT NULL,
    last INTEGER NOT NULL,
    size INTEGER NOT NULL
);

-- Events, packed by core. `size` is the number of bytes of all batches up to this one.
CREATE TABLE IF NOT EXISTS event_batches (
    namespace INTEGER NOT NULL,
    n INTEGER NOT NULL,
    at INTEGER NOT NULL,
    size INTEGER NOT NULL,
    data BLOB,
    PRIMARY KEY (namespace, n)
);
