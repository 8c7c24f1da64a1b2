-- Statements about the store itself: its server, its tables, its namespaces and the names of its queues.

-- name: server
SELECT @@version, @@max_allowed_packet, @@global.read_only,
    (SELECT COUNT(*) FROM information_schema.engines WHERE engine = 'InnoDB' AND support IN ('YES', 'DEFAULT'))

-- name: session
SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED;
SET SESSION innodb_lock_wait_timeout = 2, sql_mode = 'STRICT_ALL_TABLES', autocommit = 1, wait_timeout = 120

-- name: tables
SELECT table_name FROM information_schema.tables
WHERE table_schema = DATABASE() AND table_name IN (:tables)

-- name: version
SELECT version, usable_from FROM {meta} WHERE one = 1

-- name: set_version
INSERT INTO {meta} (one, version, usable_from, store) VALUES (1, :version, :usable_from, :store)
ON DUPLICATE KEY UPDATE version = GREATEST(version, :version), usable_from = GREATEST(usable_from, :usable_from)

-- name: identity
SELECT store FROM {meta} WHERE one = 1

-- name: lock
SELECT GET_LOCK(CONCAT('asynctasq ', LEFT(SHA2(CONCAT(DATABASE(), :prefix), 256), 40)), :seconds)

-- name: unlock
SELECT RELEASE_LOCK(CONCAT('asynctasq ', LEFT(SHA2(CONCAT(DATABASE(), :prefix), 256), 40)))

-- name: add_namespace
INSERT INTO {namespaces} (name) VALUES (:name) ON DUPLICATE KEY UPDATE n = n

-- name: namespace
SELECT n FROM {namespaces} WHERE name = :name

-- name: add_queues
INSERT INTO {queues} (namespace, name) VALUES :rows ON DUPLICATE KEY UPDATE n = n

-- name: queues_by_name
SELECT n, name FROM {queues} WHERE namespace = :namespace AND name IN (:names)

-- name: added_queues
-- Queues that this transaction has locked. The lock is named again, because a transaction of the application may look
-- at an old snapshot otherwise.
SELECT n, name FROM {queues} WHERE namespace = :namespace AND name IN (:names) FOR UPDATE

-- name: queues_by_number
SELECT n, name FROM {queues} WHERE n IN (:numbers)
