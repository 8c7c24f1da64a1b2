-- Tables that came after version 1. Each is created where it is missing, without a new version: the
-- release before ignores them, so that both releases use one file during an upgrade.

-- When a worker last called, and until when no lease is taken back after an outage.
CREATE TABLE IF NOT EXISTS upkeep (
    namespace INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    paused_until INTEGER NOT NULL
);
