-- Searches of ids. The index of `UNIQUE (id, namespace)` is read alone, but for the states of the ids found.

-- name: last
-- The last id at which one call looks.
SELECT id FROM messages WHERE id > :after ORDER BY id LIMIT 1 OFFSET :offset

-- name: all
SELECT id FROM messages
WHERE id > :after AND id <= :until AND namespace = :namespace AND state <= 6
ORDER BY id LIMIT :limit

-- name: ending
SELECT id FROM messages
WHERE id > :after AND id <= :until AND namespace = :namespace
    AND substr(id, :place) = :tail AND substr(hex(id), -length(:digits)) = :digits
    AND substr(hex(id), 1, length(:digits)) <> :digits AND state <= 6
ORDER BY id LIMIT :limit
