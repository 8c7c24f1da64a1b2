-- Version 6: events.

-- name: event_streams
-- Until when there is a listener, since when, the number of the last batch, and the bytes of all batches so far. Each
-- publisher locks the row of its namespace until it has committed. So the numbers of batches are those of their commits.
CREATE TABLE {event_streams} (
    namespace INT NOT NULL PRIMARY KEY,
    heard_until BIGINT NOT NULL,
    heard_since BIGINT NOT NULL,
    last_n BIGINT NOT NULL,
    total BIGINT NOT NULL
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC

-- name: event_batches
-- Events, packed by core. `total` is the number of bytes of all batches up to this one.
CREATE TABLE {event_batches} (
    namespace INT NOT NULL,
    n BIGINT NOT NULL,
    made_at BIGINT NOT NULL,
    total BIGINT NOT NULL,
    data LONGBLOB NOT NULL,
    PRIMARY KEY (namespace, n)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC
