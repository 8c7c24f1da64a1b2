-- Version 4: schedules. The table `schedules` of databases that an earlier release created is empty and not used.

-- name: timetable
-- `claimable_at` is when a schedule can be claimed, or when it is deleted after its last time; NULL while it is paused
-- or orphaned, or if it is damaged. Core packs the definition.
CREATE TABLE {timetable} (
    n BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    namespace INT NOT NULL,
    id VARBINARY(800) NOT NULL,
    definition LONGBLOB NOT NULL,
    rhythm LONGBLOB NOT NULL,
    next_at BIGINT NULL,
    claimable_at BIGINT NULL,
    revision BIGINT NOT NULL,
    paused TINYINT NOT NULL,
    orphaned TINYINT NOT NULL,
    declared_by LONGBLOB NULL,
    seen_at BIGINT NOT NULL,
    fired_at BIGINT NULL,
    UNIQUE KEY by_id (namespace, id),
    KEY by_time (namespace, claimable_at)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC
