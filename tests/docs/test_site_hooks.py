"""The hooks of the site make pages readable on a narrow screen."""

import runpy
from pathlib import Path

import pytest

HOOKS = runpy.run_path(str(Path(__file__).parents[2] / "scripts" / "site_hooks.py"))


@pytest.mark.parametrize(
    "text", ["--task", "max_lost", "--since 2h", "wait_replicas=&quot;1&quot;"]
)
def test_short_names_and_options_stay_in_one_piece(text: str) -> None:
    marked = HOOKS["on_page_content"](f"<p><code>{text}</code></p>", page=None)
    assert marked == f'<p><code class="whole">{text}</code></p>'


@pytest.mark.parametrize(
    "html",
    [
        "<pre><code>--task</code></pre>",
        "<p><code>asynctasq queues list</code></p>",
        "<p><code>asynctasq.contracts.capabilities</code></p>",
    ],
)
def test_blocks_and_long_code_are_left_alone(html: str) -> None:
    assert HOOKS["on_page_content"](html) == html


def test_messages_may_break() -> None:
    text = "No worker serves queue … and the queue is long"
    marked = HOOKS["on_page_content"](f"<td><code>{text}</code></td>", page=None)
    assert marked == f'<td><code class="message">{text}</code></td>'
