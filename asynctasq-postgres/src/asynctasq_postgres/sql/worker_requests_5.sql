-- Version 5: requests about workers, each for one owner of leases. The numbers of requests are those of
-- `driverkit.worker_requests`.

CREATE TABLE asynctasq.worker_requests (
    namespace int NOT NULL,
    owner text NOT NULL,
    request smallint NOT NULL,
    requested_at bigint NOT NULL,
    PRIMARY KEY (namespace, owner)
);

UPDATE asynctasq.meta SET version = 5;
