"""Django models as arguments of tasks."""
