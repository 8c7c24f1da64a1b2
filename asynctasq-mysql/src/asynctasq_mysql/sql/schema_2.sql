-- Version 2: what is known of messages that a broker holds.

-- name: brokered
-- Facts: 1 flagged, 2 ended (with a value: moved into this store), 4 running, 5 progress.
CREATE TABLE {brokered} (
    id BINARY(16) NOT NULL,
    namespace INT NOT NULL,
    fact TINYINT NOT NULL,
    ends_at BIGINT NOT NULL,
    value LONGBLOB NULL,
    PRIMARY KEY (id, namespace, fact),
    KEY by_end (namespace, ends_at)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC
