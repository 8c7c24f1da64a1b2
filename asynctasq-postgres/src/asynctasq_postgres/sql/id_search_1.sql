-- The search for IDs by their digits. Indexes of primary keys are read alone.

-- Look at `budget` IDs of all namespaces from `first` to `last`, in their order. Returns those of this
-- namespace, at most `most`, and the last ID looked at, which is NULL if no other comes. With `ending`, only IDs that
-- end with these digits and do not begin with them. An ID that moves between the tables keeps its place.
CREATE FUNCTION asynctasq.match_ids_1(
    space text, first bytea, last bytea, ending text, budget int, most int, OUT matches bytea[], OUT until bytea
) LANGUAGE plpgsql STABLE
SET search_path = pg_catalog SET enable_seqscan = off SET enable_sort = off SET enable_hashjoin = off
SET enable_mergejoin = off SET enable_bitmapscan = off SET enable_material = off
SET plan_cache_mode = force_generic_plan SET jit = off AS $$
DECLARE
    ns int := (SELECT n.key FROM asynctasq.namespaces AS n WHERE n.name = space);
    low uuid := encode(first, 'hex')::uuid;
    high uuid := encode(last, 'hex')::uuid;
    ids uuid[];
    looked_at uuid[];
BEGIN
    SELECT
        array_agg(walked.id), array_agg(walked.id) FILTER (
            WHERE walked.namespace = ns AND (
                ending IS NULL OR (
                    right(encode(uuid_send(walked.id), 'hex'), length(ending)) = ending
                    AND left(encode(uuid_send(walked.id), 'hex'), length(ending)) <> ending
                )
            )
        )
    INTO looked_at, ids
    FROM (
        -- With limits of their own, the planner merges both indexes instead of sorting them. There are ties because
        -- an ID may be in several namespaces.
        SELECT both_tables.id, both_tables.namespace
        FROM (
            (
                SELECT m.id, m.namespace FROM asynctasq.messages AS m WHERE m.id >= low AND m.id <= high
                ORDER BY m.id FETCH FIRST budget ROWS WITH TIES
            )
            UNION ALL
            (
                SELECT d.id, d.namespace FROM asynctasq.dead AS d WHERE d.id >= low AND d.id <= high
                ORDER BY d.id FETCH FIRST budget ROWS WITH TIES
            )
        ) AS both_tables
        ORDER BY both_tables.id FETCH FIRST budget ROWS WITH TIES
    ) AS walked;
    matches := ARRAY(SELECT uuid_send(each) FROM unnest(ids[1:most]) AS each);
    IF cardinality(looked_at) >= budget THEN
        until := uuid_send(looked_at[cardinality(looked_at)]);
    END IF;
END
$$;
