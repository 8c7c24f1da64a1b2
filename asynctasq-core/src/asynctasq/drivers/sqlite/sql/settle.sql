-- Queries that end leases.

-- name: complete_all
-- Completions that share the time for which they are kept. :blob is each id followed by its result;
-- :index an object of one member a message: its name is the difference between its token and :first_token, and
-- its value the place of the id in :blob, shifted left by 37, plus the size of the result, shifted left by 10,
-- plus the size of `about`, which is before the result.
UPDATE messages
SET state = 7, finished_at = :now, forget_at = :now + :keep,
    cancelling = 0, mismatched_at = NULL, progress = NULL, error = NULL, profile = NULL,
    about = settled.about, payload = CASE WHEN :stored THEN settled.result END
FROM (
    SELECT
        substr(:blob, value >> 37, 16) AS id,
        :first_token + key AS token,
        CASE WHEN value & 1023 THEN substr(:blob, (value >> 37) + 16, value & 1023) END AS about,
        substr(:blob, (value >> 37) + 16 + (value & 1023), (value >> 10) & 134217727) AS result
    FROM json_each(:index)
) AS settled
WHERE messages.id = settled.id AND messages.namespace = :namespace
    AND messages.state = 5 AND messages.leased_at = settled.token

-- name: leases
-- Which of the messages named are leased. :ids are 16 bytes each, :index the place of each.
SELECT json_group_array(json_array(
    named.key, n, CASE typeof(leased_at) WHEN 'integer' THEN leased_at END, cancelling = 1
))
FROM json_each(:index) AS named CROSS JOIN messages
WHERE messages.id = substr(:ids, named.value, 16) AND namespace = :namespace AND state = 5

-- name: complete
UPDATE messages
SET state = 7, finished_at = :now, forget_at = :now + :keep,
    cancelling = 0, mismatched_at = NULL, progress = NULL, error = NULL, profile = NULL,
    about = :about, payload = :result
WHERE n = :n

-- name: cancelled
UPDATE messages
SET state = 8, finished_at = :now, forget_at = :now + coalesce(:keep, max(result_ttl, {outcome_ttl_least})),
    cancelling = 0, mismatched_at = NULL, progress = NULL,
    error = NULL, about = :about, profile = NULL, payload = NULL
WHERE n = :n

-- name: retry
UPDATE messages
SET state = 2 + (:due_at <= :now), due_at = :due_at, attempt = attempt + 1, error = :error,
    mismatched_at = NULL
WHERE n = :n

-- name: release
UPDATE messages
SET state = coalesce(2 + (:due_at <= :now), 3), due_at = coalesce(:due_at, due_at),
    mismatched_at = CASE WHEN :mismatched THEN coalesce(mismatched_at, :now) ELSE mismatched_at END,
    error = coalesce(:error, error)
WHERE n = :n

-- name: fail
UPDATE messages
SET state = 6, reason = :reason, error = :error, finished_at = :now, attempt = attempt + :counted,
    about = :about, progress = NULL, cancelling = 0
WHERE n = :n

-- name: set_progress
UPDATE messages SET progress = :progress
WHERE id = :id AND namespace = :namespace AND state = 5 AND leased_at = :token

-- name: flag
UPDATE messages SET cancelling = 1
WHERE id = :id AND namespace = :namespace AND state = 5
