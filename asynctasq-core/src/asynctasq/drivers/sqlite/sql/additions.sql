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
