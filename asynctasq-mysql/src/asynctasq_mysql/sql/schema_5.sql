-- Version 5: requests about workers, each for one owner of leases.

-- name: worker_requests
-- The numbers of requests are those of `driverkit.worker_requests`.
CREATE TABLE {worker_requests} (
    namespace INT NOT NULL,
    owner VARBINARY(1000) NOT NULL,
    request TINYINT NOT NULL,
    requested_at BIGINT NOT NULL,
    PRIMARY KEY (namespace, owner)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC
