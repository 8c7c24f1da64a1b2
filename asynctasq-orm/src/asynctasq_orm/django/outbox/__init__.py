"""A Django app whose migration creates the tables of the outbox: add it to `INSTALLED_APPS`."""
