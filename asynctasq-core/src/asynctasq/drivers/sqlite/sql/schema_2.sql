-- Version 2: what is known of outcomes, and listings whose cost does not depend on the number of messages.
--
-- The column `leased_at` is also the token of a lease in state 5: it grows even if a power failure undoes the
-- last leases. The column `token` counts the leases of a message. Processes of the release before take it for
-- the token, and so see that a lease is not theirs.
--
-- Processes of the release before that have the file open go on working: no column that they use has
-- changed. Only their listings of tasks fail, which need `messages_by_enqueue`.
--
-- Later features need no table to be rebuilt: SQLite adds columns and tables without touching rows, and
-- the numbers 1 and 9 to 15 are reserved for states of messages, which are in no index of this version.
-- (Messages in a lane get one of those, so that the index of ready messages stays as it is.)

-- Bytes that core writes with an outcome or a dead letter, opaque here.
ALTER TABLE messages ADD COLUMN about BLOB;
-- The time of the last lease if its token is later, because the clock has been set back; otherwise NULL.
ALTER TABLE messages ADD COLUMN reserved_at INTEGER;

DROP INDEX messages_by_enqueue;
-- Pages go on behind a time and an id; counts need the queue first.
DROP INDEX messages_scheduled;
CREATE INDEX messages_scheduled ON messages (namespace, due_at, id, queue, state) WHERE state = 2;
CREATE INDEX messages_scheduled_by_queue ON messages (queue, rank, due_at, id, state) WHERE state = 2;

ALTER TABLE queues ADD COLUMN paused_at INTEGER;

-- The oldest version of which a release must know the schema to use the file as it is. A release that
-- changes the schema so that this one cannot go on with it raises the number.
CREATE TABLE compatibility (usable_from INTEGER NOT NULL);
INSERT INTO compatibility (usable_from) VALUES (1);
