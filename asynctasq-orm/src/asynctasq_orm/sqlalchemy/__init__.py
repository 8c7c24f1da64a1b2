"""SQLAlchemy models (and SQLModel's) as arguments of tasks."""
