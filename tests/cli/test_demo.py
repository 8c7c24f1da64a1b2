"""`asynctasq demo` checks the outcome of each step, and its exit code reports it."""

import os
import signal
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from click.testing import CliRunner

from asynctasq.cli import demo
from asynctasq.cli.exit_codes import ExitCode
from tests.cli.processes import COMMAND, asynctasq, until

pytestmark = pytest.mark.sampled(2)


def test_every_step_succeeds(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    done = subprocess.run(
        [*COMMAND, "demo", "--folder", folder, "--svg", tmp_path / "demo.svg"],
        # Settings of the user must not change the demo.
        env={**os.environ, "ASYNCTASQ_DRIVER": "redis://elsewhere", "PYTHONWARNINGS": "error"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    for part in ("dead letter", "SIGKILL", "0 lost", "Try it yourself", str(folder)):
        assert part in done.stdout
    assert done.stdout.count("✓") == 5
    assert {"tasks.py", "asynctasq.db", "worker.log"} <= {path.name for path in folder.iterdir()}
    recording = (tmp_path / "demo.svg").read_text()
    words = " ".join("".join(ET.fromstring(recording).itertext()).split())
    assert "SIGKILL" in words
    assert "Try it yourself" not in words  # the picture shows no path of the machine


def test_a_folder_with_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "precious.txt").touch()
    done = asynctasq("demo", "--folder", str(tmp_path))
    assert done.returncode == 1
    assert "precious.txt" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["precious.txt"]


def start_demo(folder: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [*COMMAND, "demo", "--folder", folder],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


async def test_ctrl_c_stops_the_worker_too(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    process = start_demo(folder)
    assert process.stdout is not None
    try:
        for line in process.stdout:
            if b"Results" in line:  # the next step follows the progress of a task
                break
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=40)
        assert process.returncode == ExitCode.INTERRUPTED
        assert output.strip() == b"Interrupted."
        log = folder / "worker.log"
        await until(lambda: " stopped" in log.read_text(), "the worker has stopped")
    finally:
        process.kill()
        process.communicate()


def test_the_tasks_of_the_demo_run_by_themselves(tmp_path: Path) -> None:
    """Follow the last lines of the demo."""
    source = Path(demo.__file__).with_name("tasks.py").read_text()
    (tmp_path / "tasks.py").write_text(source)
    worker = subprocess.Popen(
        [*COMMAND, "worker", "--app", "tasks"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        program = subprocess.run(
            [sys.executable, "tasks.py"], capture_output=True, text=True, timeout=60, check=True
        )
        assert program.stdout == "Hello, world!\n"
    finally:
        worker.terminate()
        worker.wait(timeout=60)


def test_a_recording_that_cannot_be_written_is_an_error_at_once(tmp_path: Path) -> None:
    folder, picture = tmp_path / "demo", tmp_path / "missing" / "demo.svg"
    done = CliRunner().invoke(demo.command, ["--folder", str(folder), "--svg", str(picture)])
    assert done.exit_code == 1
    assert f"--svg must name a file that can be written, got {picture}" in done.output
    assert not folder.exists()
