"""Log lines: task fields, JSON and text formatters, and the stream they go to."""
