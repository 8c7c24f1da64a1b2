"""Settings of Django, which a process can make only once: for all tests that use it."""

from pathlib import Path

import django
import pymysql
from django.apps import AppConfig
from django.conf import settings


class ShopConfig(AppConfig):  # type: ignore[misc]  # Django has no types
    name = __name__
    label = "shop"
    path = str(Path(__file__).parent)


pymysql.install_as_MySQLdb()  # the pure one of the two that Django takes
if not settings.configured:
    settings.configure(
        INSTALLED_APPS=[f"{__name__}.ShopConfig"],
        DATABASES={
            **{
                name: {"ENGINE": "django.db.backends.sqlite3", "NAME": "replaced by each test"}
                for name in ("default", "archive")
            },
            "postgres": {"ENGINE": "django.db.backends.postgresql", "CONN_MAX_AGE": None},
            "mariadb": {"ENGINE": "django.db.backends.mysql", "CONN_MAX_AGE": None},
        },
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        USE_TZ=True,
    )
    django.setup()
