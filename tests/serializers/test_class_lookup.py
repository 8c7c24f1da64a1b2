"""A body never makes a worker import, call or construct anything but plain data and data classes."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import msgpack
import orjson
import pytest
from pydantic import HttpUrl

from asynctasq.contracts.serializer import Serializer
from asynctasq.errors import ArgumentsMismatch, BodyCorrupt, BodyError
from asynctasq.import_rules import ImportRule, import_rule
from asynctasq.serializers.extension_types import BY_NAME
from asynctasq.serializers.json_serializer import JsonSerializer
from asynctasq.serializers.msgpack_serializer import MsgpackSerializer
from asynctasq.serializers.unserializable import no_reference
from tests.serializers import sample_types
from tests.serializers.packing import packed

HOME = sample_types.__name__


def forge(serializer: Serializer, kind: str, *parts: object) -> bytes:
    """Return a body that is written by hand."""
    if isinstance(serializer, JsonSerializer):
        return orjson.dumps({f"${kind}": list(parts)})
    mark = msgpack.ExtType(BY_NAME[kind].code, b"")
    return packed([mark, *parts])


def arguments_of(kind: str, name: str) -> list[Any]:
    parts: dict[str, list[Any]] = {
        "enum": [name, "X"],
        "flag": [name, 1],
        "dataclass": [name, {"args": ["touch", "owned"]}],
        "pydantic": [name, {"args": ["touch", "owned"]}, []],
        "namedtuple": [name, "touch owned"],
        "scalar": [name, "touch owned"],
        "url": [name, "touch owned"],
        "own": [name, "touch owned"],
    }
    return parts[kind]


KINDS = ["enum", "flag", "dataclass", "pydantic", "namedtuple", "scalar", "url", "own"]
TARGETS = [
    *("subprocess:Popen", "os:system", "builtins:eval", "builtins:exec", "builtins:object"),
    *("builtins:type", "builtins:open", "builtins:__import__", "pathlib:Path", "shutil:rmtree"),
    *(
        "importlib:import_module",
        "types:FunctionType",
        "functools:partial",
        "operator:methodcaller",
    ),
    *(
        f"{HOME}:double",
        f"{HOME}:Opaque",
        f"{HOME}:Plain.__init__",
        f"{HOME}:enum",
        f"{HOME}:enum.Enum",
    ),
    *(
        "antigravity:Enum",
        "this:s",
        "no_such_module:Thing",
        f"{HOME}:Missing",
        f"{HOME}:Plain.Missing",
    ),
    *("", ":", "a:", ":b", "no colon", "subprocess:", "subprocess:Popen:Popen", "..:x", "\0:\0"),
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("target", TARGETS)
def test_names_lead_to_data_classes_only(
    serializer: Serializer, kind: str, target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before = set(sys.modules)

    with pytest.raises(BodyError):
        serializer.loads(forge(serializer, kind, *arguments_of(kind, target)))

    assert list(tmp_path.iterdir()) == []
    assert {"antigravity", "this"}.isdisjoint(set(sys.modules) - before)


@pytest.mark.parametrize(
    ("kind", "parts"),
    [
        ("enum", [f"{HOME}:Plain", "RED"]),
        ("flag", [f"{HOME}:Colour", 1]),
        ("flag", [f"{HOME}:Access", "READ"]),
        ("dataclass", [f"{HOME}:Colour", {}]),
        ("dataclass", [f"{HOME}:Plain", [1]]),
        ("dataclass", [f"{HOME}:Address", {"street": "s"}]),
        ("pydantic", [f"{HOME}:Plain", {"name": "x"}, []]),
        ("namedtuple", [f"{HOME}:Plain", 1]),
        ("scalar", [f"{HOME}:Count", "1"]),
        ("scalar", [f"{HOME}:Size", 1]),
        ("scalar", [f"{HOME}:Name", [1]]),
        ("url", [f"{HOME}:Name", "https://example.org"]),
        ("enum", [f"{HOME}:Colour"]),
        ("enum", [1, 2]),
        ("enum", []),
        ("tuple", [1]),
    ],
)
def test_class_of_another_kind_is_refused(
    serializer: Serializer, kind: str, parts: list[Any]
) -> None:
    if kind == "tuple":
        assert serializer.loads(forge(serializer, kind, *parts)) == (1,)
        return
    with pytest.raises(BodyCorrupt):
        serializer.loads(forge(serializer, kind, *parts))


@pytest.mark.parametrize(
    ("kind", "parts", "told"),
    [
        ("enum", [f"{HOME}:Colour", "PURPLE"], "no member 'PURPLE'"),
        ("enum", [f"{HOME}:Colours", "RED"], "knows no class"),
        ("flag", [f"{HOME}:Access", 64], "no value 64"),
        ("dataclass", [f"{HOME}:Plain", {"name": "x", "gone": 1}], "no field gone"),
        ("dataclass", [f"{HOME}:Plain", {}], "name"),
        ("pydantic", [f"{HOME}:Strict", {"value": 1, "gone": 2}, []], "no field gone"),
        ("pydantic", [f"{HOME}:Strict", {"value": 1, "": {"later": 1}}, []], "'later'"),
        ("pydantic", [f"{HOME}:Address", {}, []], "street"),
        ("namedtuple", [f"{HOME}:Pair", 1, 2, 3], "2 fields, not 3"),
        ("url", [f"{HttpUrl.__module__}:HttpUrl", "no url"], "Could not create"),
        ("own", ["never registered", 1], "register_type"),
        ("own", [f"{HOME}:Opaque", 1], "register_type"),
    ],
)
def test_class_that_has_changed_is_a_mismatch(
    serializer: Serializer, kind: str, parts: list[Any], told: str
) -> None:
    with pytest.raises(ArgumentsMismatch, match=told):
        serializer.loads(forge(serializer, kind, *parts))


def test_new_field_of_a_later_release_takes_its_default(serializer: Serializer) -> None:
    forged = forge(serializer, "dataclass", f"{HOME}:Plain", {"name": "x"})

    assert serializer.loads(forged).items == {}


def test_moved_class_is_found_where_its_old_module_still_names_it(
    serializer: Serializer, monkeypatch: pytest.MonkeyPatch
) -> None:
    import tests.serializers.sameness as old_home
    from tests.serializers.sample_types import Plain

    monkeypatch.setattr(old_home, "Plain", Plain, raising=False)
    forged = forge(serializer, "dataclass", f"{old_home.__name__}:Plain", {"name": "x"})

    assert serializer.loads(forged) == Plain("x")


APPLICATION = """
    import enum, dataclasses
    from asynctasq import importing
    from asynctasq.serializers.custom_types import register_type

    class Colour(enum.Enum):
        RED = 1

    @dataclasses.dataclass
    class Item:
        colour: Colour

    class Own:
        def __init__(self, x):
            self.x = x

    register_type(Own, lambda own: own.x, Own)
"""


@pytest.mark.parametrize("maker", [MsgpackSerializer, JsonSerializer])
def test_class_in_a_file_of_the_application_is_imported_when_needed(
    maker: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    module = f"types_of_{maker.__name__.lower()}"
    (tmp_path / f"{module}.py").write_text(textwrap.dedent(APPLICATION))
    serializer = maker()
    item_data = forge(serializer, "dataclass", f"{module}:Item", {"colour": "not yet imported"})

    with pytest.raises(ArgumentsMismatch, match="knows no class"):
        serializer.loads(item_data)  # a process that is not a worker imports nothing
    with import_rule(ImportRule([module])):
        item = serializer.loads(item_data)
        own = serializer.loads(forge(serializer, "own", f"{module}:Own", 5))

    assert type(item).__module__ == module
    assert own.x == 5


def test_module_that_fails_to_import_is_a_mismatch(
    serializer: Serializer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "failing_types.py").write_text("raise SystemExit")

    with (
        import_rule(ImportRule(["failing_types"])),
        pytest.raises(ArgumentsMismatch, match="importing 'failing_types' failed"),
    ):
        serializer.loads(forge(serializer, "enum", "failing_types:Colour", "RED"))


def test_installed_class_that_is_not_imported_stays_so(tmp_path: Path) -> None:
    """An attacker who can write to the store cannot choose among all installed modules."""
    installed = tmp_path / "site-packages"
    installed.mkdir()
    (installed / "thirdparty.py").write_text("raise SystemError('was imported')")
    code = """
        import sys
        sys.path.append(sys.argv[1])
        from asynctasq.errors import BodyError
        from asynctasq.serializers.json_serializer import JsonSerializer
        for name in ("thirdparty:Thing", "pip._internal.models.link:LinkHash", "pydantic.networks:AnyUrl"):
            try:
                JsonSerializer().loads(b'{"$dataclass": ["%s", {}]}' % name.encode())
            except BodyError as error:
                print("refused")
        print({"thirdparty", "pip", "pydantic"} & set(sys.modules))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), str(installed)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONSAFEPATH": "1"},
    )
    assert done.stdout.split("\n")[:4] == ["refused"] * 3 + ["set()"]


def test_script_and_worker_agree_on_its_classes(tmp_path: Path) -> None:
    (tmp_path / "script_k.py").write_text(
        textwrap.dedent(
            """
            import sys
            from dataclasses import dataclass
            from pathlib import Path
            from asynctasq.serializers.msgpack_serializer import MsgpackSerializer
            from asynctasq.serializers.unserializable import no_reference

            @dataclass
            class Item:
                x: int

            if __name__ == "__main__":
                data = MsgpackSerializer().dumps(Item(1), refer=no_reference)
                assert MsgpackSerializer().loads(data) == Item(1)  # in the script itself
                Path("body").write_bytes(data)
            """
        )
    )
    worker = (
        "from pathlib import Path\n"
        "from asynctasq.import_rules import ImportRule, set_import_rule\n"
        "from asynctasq.serializers.msgpack_serializer import MsgpackSerializer\n"
        "set_import_rule(ImportRule(['script_k']))\n"
        "print(MsgpackSerializer().loads(Path('body').read_bytes()))"
    )
    subprocess.run([sys.executable, "script_k.py"], cwd=tmp_path, check=True)
    done = subprocess.run(
        [sys.executable, "-c", worker], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "Item(x=1)"


def test_pydantic_is_not_imported_for_the_sake_of_encoding(tmp_path: Path) -> None:
    code = """
        import sys
        from dataclasses import dataclass
        from asynctasq.serializers.codec import Codec
        from asynctasq.serializers.msgpack_serializer import MsgpackSerializer
        from asynctasq.retry import RunPolicy
        class Thing: ...
        codec = Codec(MsgpackSerializer(), find_serializer=None)
        codec.decode_arguments(codec.open_call(codec.encode_call(((1,),), {}, RunPolicy(), task="t")))
        codec.encode_result(Thing())
        print({"pydantic", "orjson"} & set(sys.modules))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"


def test_forged_references_are_corrupt(serializer: Serializer) -> None:
    for text in ("0", "-1", "1", "x", ""):
        data = (
            orjson.dumps([{"$model": text}])
            if isinstance(serializer, JsonSerializer)
            else packed([msgpack.ExtType(BY_NAME["model"].code, text.encode())])
        )
        with pytest.raises(BodyCorrupt):
            serializer.loads(data, models=[object()] if text != "0" else [])


def test_what_is_written_refers_to_no_code(serializer: Serializer) -> None:
    data = serializer.dumps([1, "x", (1,)], refer=no_reference)

    assert b"builtins" not in data
