"""The configuration of the Django app."""

from django.apps import AppConfig


class OutboxConfig(AppConfig):  # type: ignore[misc]  # Django has no types
    """The app, whose label names its migrations."""

    name = "asynctasq_orm.django.outbox"
    label = "asynctasq_outbox"
    verbose_name = "asynctasq outbox"
