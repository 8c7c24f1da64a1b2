"""Loading ends with settings or with a ConfigurationError, for any input."""

import contextlib
import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from asynctasq.config import describe_settings, mask_url
from asynctasq.errors import ConfigurationError
from tests.config.toy_settings import ShelfSettings, load

plain = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.binary()
values = st.recursive(
    plain,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
core_names = st.sampled_from([info.name for info in describe_settings()])
shelf_names = st.sampled_from(sorted(ShelfSettings.__dataclass_fields__))
sections = st.dictionaries(shelf_names | st.text(max_size=8), values, max_size=4)
words = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)


@pytest.mark.full
@given(
    st.dictionaries(core_names | st.text(max_size=8), values, max_size=5),
    st.one_of(st.none(), values, sections),
)
def test_any_arguments(arguments: dict[str, object], section: object) -> None:
    with contextlib.suppress(ConfigurationError):
        load({**arguments, "shelf": section})


@given(
    st.dictionaries(
        st.builds("ASYNCTASQ_{}".format, core_names.map(str.upper))
        | st.builds("ASYNCTASQ_SHELF_{}".format, shelf_names.map(str.upper)),
        words,
        max_size=5,
    )
)
def test_any_variables(environ: dict[str, str]) -> None:
    with contextlib.suppress(ConfigurationError):
        load({"driver": "shelf"}, environ)


@given(st.binary(max_size=60) | words.map(lambda text: f"ASYNCTASQ_QUEUES={text}".encode()))
@example(b"ASYNCTASQ_QUEUES=${")
@example(b'ASYNCTASQ_QUEUES="\\x"')
@example(b"\xef\xbb\xbf")
def test_any_dotenv(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder, contextlib.suppress(ConfigurationError):
        dotenv = Path(folder) / ".env"
        dotenv.write_bytes(content)
        load({}, {}, dotenv)


@given(words)
def test_any_driver(text: str) -> None:
    for driver in (text, f"shelf://{text}", f"wire://{text}", f"shelf://u:{text}@h/x"):
        with contextlib.suppress(ConfigurationError):
            load({"driver": driver})


@given(st.from_regex(r"[^:@/]{0,8}", fullmatch=True), words.filter(bool))
def test_any_password_is_masked(user: str, password: str) -> None:
    assert mask_url(f"redis://{user}:{password}@host:6379/0") == f"redis://{user}:***@host:6379/0"
