"""A sandbox in Django's `TestCase`: tasks see the rows of the test, which are never committed."""

import subprocess
import sys
from pathlib import Path

SUITE = """
import sys
import threading

import django
from django.conf import settings

database = {"ENGINE": "django.db.backends.sqlite3", "NAME": "db", "TEST": {"NAME": "test_db"}}
settings.configure(
    DATABASES={"default": database},
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth"],
)
django.setup()

from asgiref.sync import async_to_sync
from django.contrib.auth.models import User
from django.test import TestCase
from django.test.utils import get_runner

import asynctasq
from asynctasq.testing import Sandbox


@asynctasq.task
def counts() -> int:
    return User.objects.count()


@asynctasq.task
async def counts_async() -> int:
    return await User.objects.acount()


@asynctasq.task
def adds(name: str) -> None:
    User.objects.create(username=name)


@asynctasq.task(max_attempts=1)
def waits() -> int:
    handle = counts().dispatch_sync()
    return async_to_sync(handle.result)()


class Tasks(TestCase):
    def setUp(self):
        User.objects.create(username="ada")

    def look(self, handles):
        for handle in handles:
            self.assertEqual(asynctasq.run(handle.result(timeout=30)), 1)

    def test_drain_sync(self):
        with Sandbox() as sandbox:
            handles = [counts().dispatch_sync(), counts_async().dispatch_sync()]
            self.assertEqual(sandbox.drain_sync(), 2)
            self.look(handles)
            adds("bob").dispatch_sync()
            sandbox.drain_sync()
            self.assertEqual(User.objects.count(), 2)

    def test_drain_below_async_to_sync(self):
        with Sandbox() as sandbox:
            handles = [counts().dispatch_sync(), counts_async().dispatch_sync()]
            self.assertEqual(async_to_sync(sandbox.drain)(), 2)
            self.look(handles)

    def test_a_wait_in_the_thread_of_the_test_is_refused(self):
        with Sandbox(raises=True) as sandbox:
            waits().dispatch_sync()
            with self.assertRaisesRegex(RuntimeError, "which needs the same thread"):
                sandbox.drain_sync()

    async def test_drain(self):
        with Sandbox() as sandbox:
            handles = [await counts().dispatch(), await counts_async().dispatch()]
            self.assertEqual(await sandbox.drain(), 2)
            self.assertEqual([await each.result(timeout=30) for each in handles], [1, 1])


sys.exit(bool(get_runner(settings)(interactive=False).run_tests(["__main__"])))
"""


def test_tasks_see_the_rows_of_a_django_test(tmp_path: Path) -> None:
    (tmp_path / "suite.py").write_text(SUITE)
    ran = subprocess.run(
        [sys.executable, "-W", "error", "suite.py"],
        capture_output=True,
        check=False,
        text=True,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stderr
    assert "Ran 4 tests" in ran.stderr
