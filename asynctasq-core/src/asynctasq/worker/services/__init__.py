"""Worker services: parts that run beside the fetcher for as long as a worker runs; see `service`."""
