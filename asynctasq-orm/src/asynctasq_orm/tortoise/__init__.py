"""Tortoise models as arguments of tasks."""
