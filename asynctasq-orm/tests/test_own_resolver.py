"""The tutorial on a resolver of one's own does what it says."""

import re
import subprocess
import sys
from pathlib import Path

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "models.md"
BLOCK = re.compile(
    r'^```python title="(?P<file>[^"]+)"\n(?P<code>.*?)^```$', re.MULTILINE | re.DOTALL
)


def test_tutorial_runs_as_printed(tmp_path: Path) -> None:
    blocks = {found["file"]: found["code"] for found in BLOCK.finditer(DOCUMENT.read_text())}
    for file, code in blocks.items():
        (tmp_path / file).write_text(code)
    assert len(blocks["notes_resolver.py"].splitlines()) < 60
    done = subprocess.run(
        [sys.executable, "-W", "error", "shop.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "Buy oat milk.\n", "")
