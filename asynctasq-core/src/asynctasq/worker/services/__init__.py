"""Worker services: tasks and threads that run beside the fetcher for as long as a worker runs."""
