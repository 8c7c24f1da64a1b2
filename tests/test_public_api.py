"""The public interface, as it was last looked at."""

import difflib
import subprocess
import sys
from pathlib import Path

SNAPSHOT = Path(__file__).with_name("public_api.txt")


def test_public_interface_is_the_recorded_one(repository: Path) -> None:
    command = [sys.executable, str(repository / "scripts/public_api.py")]
    now = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    recorded = SNAPSHOT.read_text() if SNAPSHOT.exists() else ""
    changes = difflib.unified_diff(
        recorded.splitlines(), now.splitlines(), "recorded", "now", lineterm="", n=0
    )
    assert recorded == now, "\n".join(["`make api` records this change:", *changes])
