-- Version 1 of the outbox: tables in a database of the application, which may have no queue in it. Each
-- statement is executed only if its table is missing, because a server commits every such statement by itself.
--
-- Times are microseconds since the Unix epoch. Names are bytes, which compare exactly.

-- name: meta
-- One row: the version of the tables, the oldest version that a release must know to use them, and the
-- identity of this database.
CREATE TABLE {meta} (
    one TINYINT NOT NULL PRIMARY KEY,
    version INT NOT NULL,
    usable_from INT NOT NULL,
    store BINARY(16) NOT NULL
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC

-- name: outbox
-- `target` is the store that the message is for; an empty one is the app's own. `not_before` is 0 for rows that
-- were never refused, and 4611686018427387904 for those that are set aside. `mark` is the number of the call
-- that added the row.
CREATE TABLE {outbox} (
    namespace VARBINARY(1000) NOT NULL,
    id BINARY(16) NOT NULL,
    target VARBINARY(1000) NOT NULL,
    created_at BIGINT NOT NULL,
    not_before BIGINT NOT NULL DEFAULT 0,
    mark BIGINT NOT NULL,
    attempts INT NOT NULL DEFAULT 0,
    size INT NOT NULL,
    error BLOB NULL,
    message LONGBLOB NOT NULL,
    PRIMARY KEY (namespace, id),
    KEY next_rows (namespace, target, not_before, id, size)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC

-- name: relays
-- One relay at a time sends the messages of a target.
CREATE TABLE {relays} (
    namespace VARBINARY(1000) NOT NULL,
    target VARBINARY(1000) NOT NULL,
    holder VARBINARY(100) NOT NULL,
    held_until BIGINT NOT NULL,
    PRIMARY KEY (namespace, target)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC
