-- Version 1 of the outbox: tables in a database of the application, which may have no queue in it.
--
-- Times are microseconds since the Unix epoch, as integers.

CREATE TABLE asynctasq_outbox_meta (
    version INTEGER NOT NULL,
    store TEXT NOT NULL                    -- identifies the database
);
INSERT INTO asynctasq_outbox_meta (version, store) VALUES (1, lower(hex(randomblob(16))));

CREATE TABLE asynctasq_outbox (
    n INTEGER PRIMARY KEY,
    namespace TEXT NOT NULL,
    id BLOB NOT NULL,                      -- of the message, 16 bytes
    target TEXT NOT NULL,                  -- the store that the message is for; '' is the app's own
    message BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    not_before INTEGER NOT NULL DEFAULT 0, -- 0: never refused; 4611686018427387904: set aside
    attempts INTEGER NOT NULL DEFAULT 0,
    error TEXT NOT NULL DEFAULT '',
    UNIQUE (namespace, id)
);
CREATE INDEX asynctasq_outbox_next ON asynctasq_outbox (namespace, target, not_before, id);

-- One relay at a time sends the messages of a target.
CREATE TABLE asynctasq_outbox_relays (
    namespace TEXT NOT NULL,
    target TEXT NOT NULL,
    holder BLOB NOT NULL,
    held_until INTEGER NOT NULL,
    PRIMARY KEY (namespace, target)
) WITHOUT ROWID;
