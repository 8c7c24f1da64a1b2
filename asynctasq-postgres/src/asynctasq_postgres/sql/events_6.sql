-- Version 6: events.

-- Until when there is a listener, since when, the number of the last batch, and the bytes of all batches so far. Each
-- publisher locks the row of its namespace until it has committed. So the numbers of batches are those of their commits.
CREATE TABLE asynctasq.event_streams (
    namespace int PRIMARY KEY,
    until bigint NOT NULL,
    since bigint NOT NULL,
    last bigint NOT NULL,
    size bigint NOT NULL
) WITH (fillfactor = 50);
-- Events, packed by core. `size` is the number of bytes of all batches up to this one.
CREATE TABLE asynctasq.event_batches (
    namespace int NOT NULL,
    n bigint NOT NULL,
    at bigint NOT NULL,
    size bigint NOT NULL,
    data bytea NOT NULL,
    PRIMARY KEY (namespace, n)
) WITH (autovacuum_vacuum_scale_factor = 0.05);

UPDATE asynctasq.meta SET version = 6;
