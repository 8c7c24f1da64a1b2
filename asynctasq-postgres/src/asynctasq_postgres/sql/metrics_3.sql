-- Version 3: counts of workers. Version 1 had a table for them that no release has used.

DROP TABLE asynctasq.metrics;
-- By the minute (span 1) and by the hour (span 60). `start` is in minutes, names are bytes, and core packs the
-- counts. Minutes have the number of the worker as their source, so no two workers write one row. Hours have 0.
CREATE TABLE asynctasq.metrics (
    namespace int NOT NULL,
    span smallint NOT NULL,
    start int NOT NULL,
    queue bytea NOT NULL,
    task bytea NOT NULL,
    source int NOT NULL,
    counts bytea NOT NULL,
    PRIMARY KEY (namespace, span, start, queue, task, source)
) WITH (autovacuum_vacuum_scale_factor = 0.05);
-- The last flush of each worker.
CREATE TABLE asynctasq.metric_sources (
    key int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    namespace int NOT NULL,
    name bytea NOT NULL,
    number bigint NOT NULL,
    seen_at bigint NOT NULL,
    UNIQUE (namespace, name)
) WITH (fillfactor = 70);
CREATE INDEX asynctasq_metric_sources_by_time ON asynctasq.metric_sources (namespace, seen_at);
-- The latest outcomes of each worker by queue, packed by core.
CREATE TABLE asynctasq.recent_outcomes (
    namespace int NOT NULL,
    queue bytea NOT NULL,
    source bytea NOT NULL,
    data bytea NOT NULL,
    seen_at bigint NOT NULL,
    PRIMARY KEY (namespace, queue, source)
);
CREATE INDEX asynctasq_recent_outcomes_by_time ON asynctasq.recent_outcomes (namespace, seen_at);

UPDATE asynctasq.meta SET version = 3;
