-- Version 1 of the outbox: tables in a database of the application, which may have no queue in it.
--
-- The name `asynctasq.` stands for the schema and the prefix of the settings. Times are microseconds since the
-- Unix epoch.

CREATE TABLE asynctasq.outbox_meta (
    version int NOT NULL,
    store uuid NOT NULL                    -- tells this database from its copies
);

INSERT INTO asynctasq.outbox_meta (version, store) VALUES (1, gen_random_uuid());

-- Rows stay for a moment: vacuum must not wait for a share of a table that is mostly empty.
CREATE TABLE asynctasq.outbox (
    created_at bigint NOT NULL,
    not_before bigint NOT NULL DEFAULT 0,  -- 0: never refused; 4611686018427387904: set aside
    id uuid NOT NULL,                      -- of the message
    attempts int NOT NULL DEFAULT 0,
    namespace text COLLATE "C" NOT NULL,
    target text COLLATE "C" NOT NULL,      -- the store that the message is for; '' is the app's own
    error text NOT NULL DEFAULT '',
    message bytea NOT NULL,
    PRIMARY KEY (namespace, id)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0);

CREATE INDEX asynctasq_outbox_next ON asynctasq.outbox (namespace, target, not_before, id);
-- A look at the rows that wait does not read those that are set aside, of which there may be many; nor the other way round.
CREATE INDEX asynctasq_outbox_waiting ON asynctasq.outbox (namespace, id) INCLUDE (created_at)
    WHERE not_before < 4611686018427387904;
CREATE INDEX asynctasq_outbox_set_aside ON asynctasq.outbox (namespace, id) WHERE not_before >= 4611686018427387904;

-- One relay at a time sends the messages of a target.
CREATE TABLE asynctasq.outbox_relays (
    namespace text COLLATE "C" NOT NULL,
    target text COLLATE "C" NOT NULL,
    holder bytea NOT NULL,
    held_until bigint NOT NULL,
    PRIMARY KEY (namespace, target)
) WITH (fillfactor = 50);
