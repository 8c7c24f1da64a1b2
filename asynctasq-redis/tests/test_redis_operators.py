"""Commands for operators on a Redis that cannot be reached."""

from click.testing import CliRunner

from asynctasq.cli import main


def test_an_unreachable_redis_is_one_clear_message() -> None:
    done = CliRunner().invoke(main, ["queues", "--driver", "redis://127.0.0.1:1/0"])
    assert done.exit_code == 3
    assert done.stderr.startswith("Error: ")
    assert "127.0.0.1:1" in done.stderr
