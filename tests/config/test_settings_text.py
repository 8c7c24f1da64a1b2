"""Settings as text: what the environment and `.env` can say."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from asynctasq.config import load_settings
from asynctasq.errors import ConfigurationError
from tests.config.toy_settings import Mode, ShelfSettings, load, shelf


@pytest.mark.parametrize(
    "text, expected",
    [
        ("", ()),
        ("emails", ("emails",)),
        ("a,b", ("a", "b")),
        (" a , b ,", ("a", "b")),
        ('["a", "b"]', ("a", "b")),
        ("[]", ()),
    ],
)
def test_lists_are_comma_separated_or_json(text: str, expected: tuple[str, ...]) -> None:
    assert load({}, {"ASYNCTASQ_QUEUES": text}).queues == expected


def test_a_text_given_in_code_for_a_list_is_one_item() -> None:
    assert load({"imports": "shop.tasks"}).imports == ("shop.tasks",)


@pytest.mark.parametrize(
    "name, text, expected",
    [
        ("size", "5", 5),
        ("ratio", "2", 2.0),
        ("ratio", "1e-3", 0.001),
        ("strict", "true", True),
        ("strict", "0", False),
        ("mode", "fast", Mode.FAST),
        ("level", "high", "high"),
        ("path", "a b.db", Path("a b.db")),
        ("password", "none", None),
        ("password", "", None),
        ("namespace", "none", "none"),
        ("tags", "x,y", ("x", "y")),
        ("ports", "1,2", [1, 2]),
        ("ports", "[1, 2]", [1, 2]),
        ("labels", '{"a": "b"}', {"a": "b"}),
    ],
)
def test_text_becomes_the_type_of_the_setting(name: str, text: str, expected: object) -> None:
    settings = shelf(load({"driver": "shelf"}, {f"ASYNCTASQ_SHELF_{name.upper()}": text}))
    value = getattr(settings, name)
    assert value == expected
    assert type(value) is type(expected)


@pytest.mark.parametrize(
    "name, value, expected",
    [
        ("path", "x.db", Path("x.db")),
        ("path", Path("x.db"), Path("x.db")),
        ("namespace", Path("a/b"), "a/b"),
        ("mode", "fast", Mode.FAST),
        ("mode", Mode.FAST, Mode.FAST),
        ("ratio", 1, 1.0),
        ("tags", ["a", "b"], ("a", "b")),
        ("tags", "a,b", ("a,b",)),
        ("ports", (1, 2), [1, 2]),
        ("password", None, None),
        ("password", "none", "none"),
    ],
)
def test_values_in_code_become_what_they_plainly_mean(
    name: str, value: object, expected: object
) -> None:
    made = getattr(shelf(load({"driver": "shelf", "shelf": {name: value}})), name)
    assert made == expected
    assert type(made) is type(expected)


@pytest.mark.parametrize(
    "line, namespace",
    [
        ("ASYNCTASQ_SHELF_NAMESPACE=shop", "shop"),
        ("export ASYNCTASQ_SHELF_NAMESPACE=shop", "shop"),
        ("ASYNCTASQ_SHELF_NAMESPACE = shop", "shop"),
        ("ASYNCTASQ_SHELF_NAMESPACE=shop # ours", "shop"),
        ("ASYNCTASQ_SHELF_NAMESPACE=shop#1", "shop#1"),
        ("ASYNCTASQ_SHELF_NAMESPACE='shop # 1'", "shop # 1"),
        ('ASYNCTASQ_SHELF_NAMESPACE="shop\\t1"', "shop\t1"),
        ('ASYNCTASQ_SHELF_NAMESPACE="a\nb"', "a\nb"),
        ("SHOP=web\nASYNCTASQ_SHELF_NAMESPACE=${SHOP}-1", "web-1"),
        ("ASYNCTASQ_SHELF_NAMESPACE=${MISSING:-x}", "x"),
        ("ASYNCTASQ_SHELF_NAMESPACE='${SHOP}'", "${SHOP}"),
        ("ASYNCTASQ_SHELF_NAMESPACE=a$b", "a$b"),
        ("ASYNCTASQ_SHELF_NAMESPACE=first\nASYNCTASQ_SHELF_NAMESPACE=last", "last"),
        ("\ufeffASYNCTASQ_SHELF_NAMESPACE=shop", "shop"),
        ("ASYNCTASQ_SHELF_NAMESPACE=shop\r\n", "shop"),
        ("# ASYNCTASQ_SHELF_NAMESPACE=shop", "asynctasq"),
        ("asynctasq_shelf_namespace=shop", "shop"),
        ("SECRET_KEY=x y z\nthis is no line\nASYNCTASQ_SHELF_NAMESPACE=shop", "shop"),
    ],
)
def test_dotenv_is_read_as_other_programs_read_it(
    tmp_path: Path, line: str, namespace: str
) -> None:
    (tmp_path / ".env").write_bytes(f"{line}\n".encode())
    assert shelf(load({"driver": "shelf"}, {}, tmp_path / ".env")).namespace == namespace


@pytest.mark.parametrize(
    "content, said",
    [
        (b"X=1\n\nASYNCTASQ_QUEUES='a\n", "line 3: cannot be understood"),
        (b"ASYNCTASQ_QUEUES\n", "line 1: cannot be understood"),
        (b"ASYNCTASQ_QUEUES=\xff\xfe\n", "cannot be read"),
    ],
)
def test_a_dotenv_that_cannot_be_understood_is_an_error(
    tmp_path: Path, content: bytes, said: str
) -> None:
    (tmp_path / ".env").write_bytes(content)
    with pytest.raises(ConfigurationError, match=said):
        load({}, {}, tmp_path / ".env")


def test_a_folder_named_dotenv_is_no_settings_file(tmp_path: Path) -> None:
    (tmp_path / ".env").mkdir()
    assert load({}, {}, tmp_path / ".env") == load()


def test_the_process_environment_and_the_current_folder_are_the_defaults(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in list(os.environ):
        if variable.startswith("ASYNCTASQ_"):
            monkeypatch.delenv(variable)
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("ASYNCTASQ_CONCURRENCY=3\nASYNCTASQ_LEASE=3\n")
    monkeypatch.setenv("ASYNCTASQ_LEASE", "4")
    settings = load_settings(settings_class=lambda _: None, known_plugins=())
    assert (settings.concurrency, settings.lease) == (3, 4.0)


def test_importing_the_settings_does_not_import_pydantic() -> None:
    check = (
        "import sys, asynctasq.config as config\n"
        "config.Settings(); config.describe_settings(); config.mask_url('a://b:c@d')\n"
        "heavy = [name for name in ('pydantic', 'pydantic_settings', 'dotenv') if name in sys.modules]\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", check], check=True, timeout=60)


def test_a_settings_instance_is_not_changed_by_loading() -> None:
    given = ShelfSettings(size=2)
    load({"driver": "shelf", "shelf": given}, {"ASYNCTASQ_SHELF_NAMESPACE": "x"})
    assert given == ShelfSettings(size=2)
