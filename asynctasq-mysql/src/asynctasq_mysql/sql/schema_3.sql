-- Version 3: counts of workers.

-- name: task_counts
-- By the minute (span 1) and by the hour (span 60); `starts_at` is in minutes. `hash` is that of queue, task and
-- worker, so no two workers write one row. Hours have no worker. Core packs the counts.
CREATE TABLE {task_counts} (
    namespace INT NOT NULL,
    span TINYINT NOT NULL,
    starts_at INT NOT NULL,
    hash BINARY(32) NOT NULL,
    queue BLOB NOT NULL,
    task BLOB NOT NULL,
    counts BLOB NOT NULL,
    PRIMARY KEY (namespace, span, starts_at, hash)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC

-- name: metric_sources
-- The last flush of each worker, by the hash of its name.
CREATE TABLE {metric_sources} (
    namespace INT NOT NULL,
    hash BINARY(32) NOT NULL,
    number BIGINT NOT NULL,
    seen_at BIGINT NOT NULL,
    PRIMARY KEY (namespace, hash),
    KEY by_time (namespace, seen_at)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC

-- name: recent_outcomes
-- The latest outcomes of each worker by queue, packed by core. `hash` is that of queue and worker.
CREATE TABLE {recent_outcomes} (
    namespace INT NOT NULL,
    hash BINARY(32) NOT NULL,
    queue_hash BINARY(32) NOT NULL,
    queue BLOB NOT NULL,
    source BLOB NOT NULL,
    data LONGBLOB NOT NULL,
    seen_at BIGINT NOT NULL,
    PRIMARY KEY (namespace, hash),
    KEY by_queue (namespace, queue_hash, hash),
    KEY by_time (namespace, seen_at)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC
