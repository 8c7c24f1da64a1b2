"""The benchmarks that measure peers on one server: their places in the document, and the server's time."""

import subprocess
import sys
from types import ModuleType

import pytest

from benchmarks import mysql_bench, postgres_bench, redis_bench
from benchmarks.harness.comparison import DOCUMENT
from benchmarks.harness.databases import processor_seconds
from benchmarks.harness.side_by_side_command import marks

BUSY_PARENT = """
import subprocess, sys, time
code = "import time\\nwhile time.process_time() < 0.3: pass"
subprocess.run([sys.executable, "-c", code])
living = subprocess.Popen([sys.executable, "-c", code + "\\nprint(flush=True); input()"],
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE)
living.stdout.readline()
print(flush=True)
input()
living.communicate(b"\\n")
"""


@pytest.mark.parametrize("bench", [redis_bench, postgres_bench, mysql_bench])
def test_the_document_has_its_marks(bench: ModuleType) -> None:
    begin, end = marks(bench.STORE, bench.PROGRAM)
    text = DOCUMENT.read_text()
    assert text.index(begin) < text.index(end)


def test_time_of_a_server_is_that_of_all_its_processes() -> None:
    command = [sys.executable, "-c", BUSY_PARENT]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout
        parent.stdout.readline()
        assert processor_seconds(parent.pid) >= 0.5
        parent.communicate(b"\n")
