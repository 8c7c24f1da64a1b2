"""Names of modules: how a script's code is found again, and what a name may cause to be imported."""

import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from asynctasq.errors import TaskDefinitionError
from asynctasq.import_rules import ImportRule, import_rule
from asynctasq.importing import import_from_application, module_name
from tests.serializers.sample_types import Plain


def run(folder: Path, *arguments: str, text: str | None = None) -> str:
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        input=text,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def write(path: Path, code: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(textwrap.dedent(code))
    return path


TELL = """
    import sys
    from asynctasq.importing import import_from_application, module_name

    class Thing: ...

    name = module_name(Thing)
    same = import_from_application(name) is sys.modules["__main__"]
    print(name, same, name in sys.modules and name != __spec_name__)
"""


def tell(spec_name: str = "None") -> str:
    return textwrap.dedent(TELL).replace("__spec_name__", spec_name)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Yield a project folder, in a worker without --app and `imports`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    with import_rule(ImportRule(whole_folder=True)):
        yield tmp_path


def test_ordinary_class_has_its_module() -> None:
    assert module_name(Plain) == "tests.serializers.sample_types"


def test_script_has_its_import_name_and_is_not_imported_twice(tmp_path: Path) -> None:
    write(tmp_path / "app_of_mine.py", tell())
    assert run(tmp_path, "app_of_mine.py") == "app_of_mine True False"
    assert run(tmp_path.parent, str(tmp_path / "app_of_mine.py")) == "app_of_mine True False"


def test_installed_command_is_not_taken_for_a_module_of_its_name(tmp_path: Path) -> None:
    write(
        tmp_path / "bin" / "asynctasq",
        """
        import asynctasq
        from asynctasq.importing import import_from_application
        print(import_from_application("asynctasq") is asynctasq)
        """,
    )
    assert run(tmp_path, "bin/asynctasq") == "True"


def test_script_keeps_its_name_when_it_changes_the_path(tmp_path: Path) -> None:
    write(
        tmp_path / "scripts" / "moving.py",
        """
        import sys
        from asynctasq.importing import module_name
        class Thing: ...
        before = module_name(Thing)
        sys.path.insert(0, "/")
        print(before, module_name(Thing))
        """,
    )
    assert run(tmp_path, "scripts/moving.py") == "moving moving"


def test_script_run_as_module_has_its_full_name(tmp_path: Path) -> None:
    write(tmp_path / "pack" / "__init__.py", "")
    write(tmp_path / "pack" / "tool.py", tell())
    write(tmp_path / "pack" / "__main__.py", tell())
    assert run(tmp_path, "-m", "pack.tool") == "pack.tool True False"
    assert run(tmp_path, "-m", "pack") == "pack.__main__ True False"


def test_children_of_a_script_agree_with_it(tmp_path: Path) -> None:
    write(
        tmp_path / "spawning.py",
        """
        import multiprocessing
        from asynctasq.importing import module_name

        class Thing: ...

        def show():
            print(module_name(Thing), flush=True)

        if __name__ == "__main__":
            show()
            process = multiprocessing.get_context("spawn").Process(target=show)
            process.start()
            process.join()
        """,
    )
    assert run(tmp_path, "spawning.py").split() == ["spawning", "spawning"]


def test_interactive_code_has_no_name(tmp_path: Path) -> None:
    code = """
        from asynctasq.errors import TaskDefinitionError
        from asynctasq.importing import module_name
        class Thing: ...
        try:
            module_name(Thing)
        except TaskDefinitionError as error:
            print(error)
    """
    for arguments, text in ((("-c", textwrap.dedent(code)), None), (("-",), textwrap.dedent(code))):
        assert "interactive session" in run(tmp_path, *arguments, text=text)


def test_script_that_cannot_be_imported_has_no_name(tmp_path: Path) -> None:
    write(
        tmp_path / "app.v2.py",
        "from asynctasq.importing import module_name\nclass T: ...\nmodule_name(T)",
    )
    done = subprocess.run(
        [sys.executable, "app.v2.py"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert TaskDefinitionError.__name__ in done.stderr


def test_file_of_the_application_is_imported(here: Path) -> None:
    write(here / "shop_a" / "__init__.py", "")
    write(here / "shop_a" / "tasks.py", "X = 1")
    write(here / "bare_b" / "inner.py", "X = 2")  # a folder without __init__.py is a package too

    first = import_from_application("shop_a.tasks")
    second = import_from_application("bare_b.inner")

    assert first is not None
    assert first.X == 1
    assert second is not None
    assert second.X == 2
    assert import_from_application("shop_a.tasks") is first


@pytest.mark.parametrize(
    "name",
    [
        *(
            "antigravity",
            "this",
            "idlelib.idle",
            "lib2to3.tests",
            "test.support",
            "xml.dom.minidom",
        ),
        *("setuptools", "pip._internal", "no_such_module_anywhere", "", ".", "..", "a..b", ".a"),
        *("../evil", "/etc/passwd", "a/b", "a\\b", "a b", "a\0b", "x" * 300, "a." * 200 + "b"),
    ],
)
def test_nothing_else_is_imported(here: Path, name: str) -> None:
    before = set(sys.modules)
    assert import_from_application(name) is None or name in before
    assert not {found for found in set(sys.modules) - before if found.startswith(name or "?")}


def test_file_outside_the_current_folder_is_not_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "elsewhere" / "outside_c.py", "raise SystemError('was run')")
    (tmp_path / "app").mkdir()
    monkeypatch.chdir(tmp_path / "app")
    monkeypatch.syspath_prepend(tmp_path / "elsewhere")

    with import_rule(ImportRule(whole_folder=True)):
        assert import_from_application("outside_c") is None


def test_environment_in_the_current_folder_is_not_the_application(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = here / ".venv" / "lib" / "python3" / "site-packages"
    write(folder / "installed_d.py", "raise SystemError('was run')")
    write(folder / "installed_e" / "__init__.py", "raise SystemError('was run')")
    write(folder / "installed_e" / "sub.py", "")
    monkeypatch.syspath_prepend(folder)

    assert import_from_application("installed_d") is None
    assert import_from_application("installed_e.sub") is None


def test_package_above_is_not_run_before_the_module_is_known_to_be_ours(here: Path) -> None:
    write(here / "side_f" / "__init__.py", "raise SystemError('was run')")

    assert import_from_application("side_f.no_such_part") is None


def test_link_out_of_the_current_folder_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = write(tmp_path / "secret" / "linked_g.py", "raise SystemError('was run')")
    app = tmp_path / "app"
    app.mkdir()
    (app / "linked_g.py").symlink_to(target)
    monkeypatch.chdir(app)
    monkeypatch.syspath_prepend(app)

    with import_rule(ImportRule(whole_folder=True)):
        assert import_from_application("linked_g") is None


def test_from_the_root_folder_the_standard_library_is_not_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "rooted_h.py", "X = 1")
    monkeypatch.chdir("/")
    monkeypatch.syspath_prepend(tmp_path)
    # A module of the standard library under a name that is not in its list.
    monkeypatch.syspath_prepend(str(Path(subprocess.__file__).parent / "idlelib"))

    with import_rule(ImportRule(whole_folder=True)):
        assert import_from_application("rooted_h") is not None
        assert import_from_application("zoomheight") is None
        assert import_from_application("setuptools.command") is None or "setuptools" in sys.modules


def test_failing_import_passes_through(here: Path) -> None:
    write(here / "broken_i.py", "1 / 0")
    with pytest.raises(ZeroDivisionError):
        import_from_application("broken_i")


def test_script_without_a_guard_does_not_end_the_process(here: Path) -> None:
    write(here / "exiting_j.py", "raise SystemExit(3)")
    with pytest.raises(ImportError, match="exiting_j"):
        import_from_application("exiting_j")
