"""Worker processes: the supervisor, its channel to each process, signals and the exit watchdog."""
