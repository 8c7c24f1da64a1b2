-- Version 1: create all tables.
--
-- The name `asynctasq.` stands for the schema and the prefix of the settings, here and in the functions.
--
-- A message is in one of three tables: in `messages` while it waits or runs, in `dead` if it will not be
-- tried again, in `outcomes` once it has ended. So the table that workers search stays small, and history
-- costs them nothing. No step leaves a message in two tables.
--
-- Times are microseconds since the Unix epoch, durations microseconds. States: 1 arrived, 2 scheduled,
-- 3 ready, 4 blocked, 5 leased; outcomes: 7 completed, 8 cancelled.
--
-- Messages that wait for others, have limits or belong to a group need the columns `lane`, `pending`,
-- `workflow`, `children` and `group_key`, and the tables at the end. This version only carries them.

CREATE TABLE asynctasq.meta (
    version int NOT NULL,
    usable_from int NOT NULL,              -- the oldest version that a release must know to use these tables
    store uuid NOT NULL                    -- tells this database from its copies
);

CREATE TABLE asynctasq.namespaces (
    key int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text COLLATE "C" NOT NULL UNIQUE
);

CREATE TABLE asynctasq.queues (
    key int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    namespace int NOT NULL,
    name text COLLATE "C" NOT NULL,
    paused bool NOT NULL DEFAULT false,
    paused_at bigint,
    UNIQUE (namespace, name)
);

-- Columns of 8 bytes first, so that rows need no padding. No change of `state` can stay on its page without
-- new index entries, but with room on the page the log has only what changed.
CREATE TABLE asynctasq.messages (
    due_at bigint NOT NULL,
    enqueued_at bigint NOT NULL,
    token bigint NOT NULL DEFAULT 0,
    leased_at bigint NOT NULL DEFAULT 0,   -- of the last lease; 0 before the first one
    expires_at bigint,                     -- NULL from the first lease on
    expires bigint,
    result_ttl bigint NOT NULL,
    mismatched_at bigint,
    id uuid NOT NULL,
    namespace int NOT NULL,
    queue int NOT NULL,
    owner int NOT NULL DEFAULT 0,
    attempt int NOT NULL DEFAULT 0,
    lost int NOT NULL DEFAULT 0,
    max_lost int NOT NULL,
    leases int NOT NULL DEFAULT 0,
    pending int NOT NULL DEFAULT 0,
    lane int,
    state smallint NOT NULL,
    rank smallint NOT NULL,                -- 9 - priority: the lowest comes first
    unique_until smallint,                 -- 1 started, 2 settled, 3 period
    cancelling bool NOT NULL DEFAULT false,
    children bool NOT NULL DEFAULT false,
    workflow uuid,
    unique_hash bytea,                     -- SHA-256 of the unique key, which may be long
    group_key bytea,
    profile bytea NOT NULL,                -- what the messages of one task have in common
    payload bytea NOT NULL,
    progress bytea,
    error bytea,
    PRIMARY KEY (id, namespace)
) WITH (
    fillfactor = 70, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000,
    autovacuum_vacuum_cost_delay = 0
);

CREATE INDEX asynctasq_messages_ready ON asynctasq.messages (queue, rank, due_at, id)
    WHERE state = 3 AND lane IS NULL;
CREATE INDEX asynctasq_messages_in_lane ON asynctasq.messages (lane, rank, due_at, id)
    WHERE state = 3 AND lane IS NOT NULL;
CREATE INDEX asynctasq_messages_scheduled ON asynctasq.messages (namespace, due_at, id) WHERE state = 2;
CREATE INDEX asynctasq_messages_scheduled_by_queue ON asynctasq.messages (queue, rank, due_at, id)
    WHERE state = 2;
CREATE INDEX asynctasq_messages_leased ON asynctasq.messages (owner, id) WHERE state = 5;
CREATE INDEX asynctasq_messages_expiring ON asynctasq.messages (namespace, expires_at)
    WHERE expires_at IS NOT NULL;
CREATE INDEX asynctasq_messages_flagged ON asynctasq.messages (owner) WHERE cancelling;
CREATE INDEX asynctasq_messages_of_workflow ON asynctasq.messages (workflow, state)
    WHERE workflow IS NOT NULL;

CREATE TABLE asynctasq.dead (
    LIKE asynctasq.messages INCLUDING DEFAULTS,
    died_at bigint NOT NULL,
    reason text NOT NULL,
    about bytea,
    PRIMARY KEY (id, namespace)
);
CREATE INDEX asynctasq_dead_by_time ON asynctasq.dead (namespace, died_at, id);
CREATE INDEX asynctasq_dead_by_queue ON asynctasq.dead (queue, died_at, id);

CREATE TABLE asynctasq.outcomes (
    forget_at bigint NOT NULL,
    finished_at bigint NOT NULL,
    id uuid NOT NULL,
    namespace int NOT NULL,
    state smallint NOT NULL,
    workflow uuid,
    result bytea,
    about bytea,
    PRIMARY KEY (id, namespace)
) WITH (autovacuum_vacuum_scale_factor = 0.02);
CREATE INDEX asynctasq_outcomes_by_end ON asynctasq.outcomes (namespace, forget_at);

-- Leases belong to owners: renewing them is one update, however many there are.
CREATE TABLE asynctasq.owners (
    key int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    namespace int NOT NULL,
    name text COLLATE "C" NOT NULL,
    deadline bigint NOT NULL,
    UNIQUE (namespace, name)
) WITH (fillfactor = 50);
CREATE INDEX asynctasq_owners_by_deadline ON asynctasq.owners (namespace, deadline);

CREATE TABLE asynctasq.unique_keys (
    hash bytea NOT NULL,
    namespace int NOT NULL,
    holder uuid NOT NULL,
    successor uuid,
    until smallint NOT NULL,
    since bigint NOT NULL,
    period bigint,
    ends_at bigint,                        -- of keys that are held for a period
    PRIMARY KEY (hash, namespace)
);
CREATE INDEX asynctasq_unique_keys_by_end ON asynctasq.unique_keys (namespace, ends_at)
    WHERE ends_at IS NOT NULL;

CREATE TABLE asynctasq.workers (
    namespace int NOT NULL,
    id text COLLATE "C" NOT NULL,
    description bytea NOT NULL,
    ends_at bigint NOT NULL,
    PRIMARY KEY (namespace, id)
);
CREATE INDEX asynctasq_workers_by_end ON asynctasq.workers (namespace, ends_at);

-- When a worker last called, and until when no lease is taken back after an outage.
CREATE TABLE asynctasq.upkeep (
    namespace int PRIMARY KEY,
    at bigint NOT NULL,
    paused_until bigint NOT NULL
) WITH (fillfactor = 50);

-- Processes that sleep until a message comes to a queue, or until a message ends. Only for them does a
-- process send a notification.
CREATE TABLE asynctasq.sleepers (
    queue int NOT NULL,
    process uuid NOT NULL,
    until bigint NOT NULL,
    PRIMARY KEY (queue, process)
) WITH (fillfactor = 50);
CREATE TABLE asynctasq.listeners (
    namespace int NOT NULL,
    process uuid NOT NULL,
    until bigint NOT NULL,
    PRIMARY KEY (namespace, process)
) WITH (fillfactor = 50);

-- Tables of features to come, empty in this version.
CREATE TABLE asynctasq.edges (
    parent uuid NOT NULL,
    namespace int NOT NULL,
    child uuid NOT NULL,
    rule smallint NOT NULL,
    PRIMARY KEY (parent, namespace, child)
);
CREATE INDEX asynctasq_edges_by_child ON asynctasq.edges (child, namespace);
CREATE TABLE asynctasq.lanes (
    key int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    namespace int NOT NULL,
    queue int NOT NULL,
    name bytea NOT NULL,
    open bool NOT NULL DEFAULT true,
    rank smallint NOT NULL DEFAULT 0,
    due_at bigint NOT NULL DEFAULT 0,
    waiting int NOT NULL DEFAULT 0,
    parked_on int,
    UNIQUE (queue, name)
);
CREATE INDEX asynctasq_lanes_open ON asynctasq.lanes (queue, rank, due_at) WHERE open;
CREATE INDEX asynctasq_lanes_parked ON asynctasq.lanes (parked_on, rank, due_at) WHERE parked_on IS NOT NULL;
CREATE TABLE asynctasq.limits (
    key int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    namespace int NOT NULL,
    name bytea NOT NULL,
    definition bytea,
    most bigint,
    used bigint NOT NULL DEFAULT 0,
    arrives_at bigint NOT NULL DEFAULT 0,
    UNIQUE (namespace, name)
);
CREATE TABLE asynctasq.ended (
    n bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id uuid NOT NULL,
    namespace int NOT NULL,
    state smallint NOT NULL,
    lane int
);
CREATE TABLE asynctasq.schedules (
    namespace int NOT NULL,
    name text COLLATE "C" NOT NULL,
    revision bigint NOT NULL,
    next_at bigint,
    paused bool NOT NULL DEFAULT false,
    definition bytea NOT NULL,
    PRIMARY KEY (namespace, name)
);
CREATE INDEX asynctasq_schedules_by_time ON asynctasq.schedules (namespace, next_at)
    WHERE next_at IS NOT NULL AND NOT paused;
CREATE TABLE asynctasq.steps (
    id uuid NOT NULL,
    namespace int NOT NULL,
    name text COLLATE "C" NOT NULL,
    value bytea NOT NULL,
    PRIMARY KEY (id, namespace, name)
);
CREATE TABLE asynctasq.metrics (
    namespace int NOT NULL,
    minute int NOT NULL,
    span smallint NOT NULL,
    name bytea NOT NULL,
    source text COLLATE "C" NOT NULL,
    counts bytea NOT NULL,
    PRIMARY KEY (namespace, span, minute, name, source)
);

INSERT INTO asynctasq.meta (version, usable_from, store) VALUES (1, 1, gen_random_uuid());
