-- Version 1: create all tables.
--
-- A message is one row from its enqueue until its outcome is forgotten, so that it is always in
-- exactly one state, and so that one unique index tells whether an id is known. Each state has
-- partial indexes of its own: a row moves between them when its state changes, and the cost of
-- finding the next message does not depend on how many have been run.
--
-- Times are microseconds since the Unix epoch, durations microseconds, both as integers.
-- States: 2 scheduled, 3 ready, 4 blocked, 5 leased, 6 dead, 7 completed, 8 cancelled.
--
-- To lease a message must not change the size of its row, or SQLite moves it, splitting one page of
-- the table for each page of rows. So the states are numbers that take one byte (0 and 1 take
-- none), and the columns of the lease have values of the right size before the first lease; they
-- mean something only in state 5.

CREATE TABLE namespaces (
    key INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
);

CREATE TABLE queues (
    key INTEGER PRIMARY KEY,
    namespace INTEGER NOT NULL,
    name TEXT NOT NULL,
    paused INTEGER NOT NULL DEFAULT 0,
    UNIQUE (namespace, name)
);

CREATE TABLE messages (
    n INTEGER PRIMARY KEY,
    id BLOB NOT NULL,
    namespace INTEGER NOT NULL,
    queue INTEGER NOT NULL,
    state INTEGER NOT NULL,
    rank INTEGER NOT NULL,                 -- 9 - priority: the lowest comes first
    due_at INTEGER NOT NULL,
    enqueued_at INTEGER NOT NULL,
    expires INTEGER,
    expires_at INTEGER,                    -- NULL from the first lease on
    result_ttl INTEGER NOT NULL,
    max_lost INTEGER NOT NULL,
    token INTEGER NOT NULL DEFAULT 0,
    attempt INTEGER NOT NULL DEFAULT 0,
    lost INTEGER NOT NULL DEFAULT 0,
    owner INTEGER NOT NULL DEFAULT 2,
    leased_at INTEGER NOT NULL,
    cancelling INTEGER NOT NULL DEFAULT 0,
    mismatched_at INTEGER,
    unique_key TEXT,
    reason TEXT,                           -- of dead letters
    finished_at INTEGER,                   -- of those and of outcomes
    forget_at INTEGER,                     -- of outcomes
    progress BLOB,
    error BLOB,
    profile BLOB,                          -- what the messages of one task have in common
    payload BLOB,                          -- the body; once completed, the result
    UNIQUE (id, namespace)
);

-- An index whose condition names `state` is written whenever the state changes, even if the row stays
-- in it; so only those do that have to. Indexes by which messages are counted contain the column of
-- the condition, so that counting reads the index alone.
CREATE INDEX messages_ready ON messages (queue, rank, due_at, id, state) WHERE state = 3;
CREATE INDEX messages_scheduled ON messages (namespace, due_at, queue, state) WHERE state = 2;
CREATE INDEX messages_expiring ON messages (namespace, expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX messages_leased ON messages (owner, queue, state) WHERE state = 5;
CREATE INDEX messages_flagged ON messages (owner) WHERE cancelling = 1;
CREATE INDEX messages_dead ON messages (namespace, finished_at, id) WHERE reason IS NOT NULL;
CREATE INDEX messages_dead_by_queue ON messages (queue, finished_at, id, reason)
    WHERE reason IS NOT NULL;
CREATE INDEX messages_ended ON messages (namespace, forget_at) WHERE forget_at IS NOT NULL;
CREATE INDEX messages_by_enqueue ON messages (namespace, enqueued_at, id) WHERE forget_at IS NULL;

-- Leases belong to owners: renewing them is one update, however many there are.
CREATE TABLE owners (
    key INTEGER PRIMARY KEY,
    namespace INTEGER NOT NULL,
    name TEXT NOT NULL,
    deadline INTEGER NOT NULL,
    UNIQUE (namespace, name)
);
CREATE INDEX owners_by_deadline ON owners (namespace, deadline);
INSERT INTO owners (key, namespace, name, deadline) VALUES (1, 0, '', 0);  -- so that real keys take a byte

CREATE TABLE unique_keys (
    namespace INTEGER NOT NULL,
    key TEXT NOT NULL,
    holder BLOB NOT NULL,
    until TEXT NOT NULL,
    period INTEGER,
    ends_at INTEGER,                       -- of keys held for a period
    PRIMARY KEY (namespace, key)
) WITHOUT ROWID;
CREATE INDEX unique_keys_by_end ON unique_keys (namespace, ends_at) WHERE ends_at IS NOT NULL;

-- Frees the key of a message that starts (state 5) or has ended, in the same step.
CREATE TRIGGER unique_key AFTER UPDATE OF state ON messages
WHEN OLD.unique_key IS NOT NULL AND NEW.state >= 5
BEGIN
    DELETE FROM unique_keys
    WHERE namespace = OLD.namespace AND key = OLD.unique_key AND holder = OLD.id
        AND (until = 'started' OR (until = 'settled' AND NEW.state >= 6));
END;

CREATE TABLE workers (
    namespace INTEGER NOT NULL,
    id TEXT NOT NULL,
    description TEXT NOT NULL,
    ends_at INTEGER NOT NULL,
    PRIMARY KEY (namespace, id)
) WITHOUT ROWID;
CREATE INDEX workers_by_end ON workers (namespace, ends_at);
