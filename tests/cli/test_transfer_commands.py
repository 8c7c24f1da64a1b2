"""`asynctasq export` and `asynctasq import`."""

import json
from collections.abc import Callable
from pathlib import Path

from click.testing import Result

from tests.cli.stores import with_store
from tests.operations.staging import enqueue, message

Invoke = Callable[..., Result]


def test_a_queue_moves_to_another_store(invoke: Invoke, tmp_path: Path) -> None:
    with_store(lambda app: enqueue(app, message(app), message(app, delay=600.0)))
    done = invoke("export", "default")
    assert done.exit_code == 0
    file = tmp_path / "tasks.jsonl"
    file.write_text(done.stdout)
    target = ["--driver", f"sqlite:///{tmp_path / 'other.db'}"]
    (tmp_path / "other.db").touch()
    done = invoke("import", str(file), *target)
    assert (done.exit_code, done.stdout) == (0, "Imported 2 tasks.\n")
    done = invoke("import", str(file), *target, "--json")
    assert json.loads(done.stdout) == {"added": 0, "skipped": 2, "failed": []}
    assert len(json.loads(invoke("tasks", *target, "--json").stdout)["tasks"]) == 2


def test_a_damaged_line_is_reported(invoke: Invoke, tmp_path: Path) -> None:
    with_store(lambda app: enqueue(app, message(app)))
    file = tmp_path / "tasks.jsonl"
    file.write_text(invoke("export", "default").stdout + "{\n")
    done = invoke("import", str(file), "--queue", "slow")
    assert (done.exit_code, done.stdout) == (
        1,
        "Imported 0 tasks; 1 known already; 1 line failed.\n",
    )
    assert done.stderr.startswith("Line 3: not JSON")


def test_a_file_that_is_no_export_is_refused(invoke: Invoke, tmp_path: Path) -> None:
    with_store(enqueue)
    file = tmp_path / "tasks.jsonl"
    file.write_text('{"asynctasq_export": 99}\n')
    done = invoke("import", str(file))
    assert done.exit_code == 1
    assert "reads formats up to 1" in done.stderr
