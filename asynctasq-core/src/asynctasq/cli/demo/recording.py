"""Recording of the demo: an SVG picture of its output.

To update the picture of the README, run
`asynctasq demo --folder /tmp/demo --svg docs/assets/demo.svg`.
"""

from pathlib import Path

import click
from rich.console import Console

WIDTH = 84
TITLE = "asynctasq demo"
FORMAT = """\
<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" xmlns="http://www.w3.org/2000/svg">
  <style>
    .{unique_id}-matrix {{
      font: {char_height}px/{line_height}px ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace;
    }}
    .{unique_id}-title {{ font: bold 18px system-ui, sans-serif; }}
    {styles}
  </style>
  <defs>
    <clipPath id="{unique_id}-clip-terminal">
      <rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/>
    </clipPath>
    {lines}
  </defs>
  {chrome}
  <g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
    {backgrounds}
    <g class="{unique_id}-matrix">
      {matrix}
    </g>
  </g>
</svg>
"""
"""The template of rich without web fonts, which pictures in a page cannot load."""


def recording_console() -> Console:
    """Return a console that prints as into a pipe and records its output."""
    return Console(record=True, force_terminal=False, width=WIDTH, highlight=False, markup=False)


def check_writable(path: Path) -> None:
    """Make sure that a recording can be written, before the demo runs.

    Raises:
        click.ClickException: it cannot.
    """
    existed = path.exists()
    try:
        with path.open("ab"):
            pass
        if not existed:
            path.unlink()
    except OSError as error:
        raise click.ClickException(
            f"--svg must name a file that can be written, got {path} ({error.strerror})."
        ) from error


def save(console: Console, file: Path) -> None:
    """Write the output of a recording console as an SVG picture."""
    picture = console.export_svg(title=TITLE, code_format=FORMAT, unique_id="demo")
    file.write_text(picture, encoding="utf-8")
