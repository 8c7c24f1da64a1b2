"""Runs a block of the documents as its reader would, on sqlite, and tells what came of it."""

import ast
import builtins
import inspect
import re
import sys
import types
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, field
from pathlib import Path

import asynctasq
from asynctasq import Worker
from asynctasq.app import runtime_of
from asynctasq.contracts.capabilities import Snapshot
from asynctasq.default import default_app
from asynctasq.drivers.sqlite import SqliteDriver
from asynctasq.errors import ResultNotSerializable
from asynctasq.message import State
from asynctasq.records import record
from asynctasq.retry import RunPolicy
from asynctasq.tasks.definition import ExecutionMode
from asynctasq.tasks.registry import registry
from tests.seeds.stand_ins import (
    compute,
    httpx,
    pandas,
    quick_asyncio,
    quick_time,
    redis_driver,
    requests,
)

FOLDER = Path(__file__).parent

STAND_INS: Mapping[str, types.ModuleType] = {
    "aiofiles": compute,
    "asyncio": quick_asyncio,
    "asynctasq.drivers.redis_driver": redis_driver,
    "PIL": compute,
    "cryptography.fernet": compute,
    "httpx": httpx,
    "joblib": compute,
    "numpy": compute,
    "pandas": pandas,
    "requests": requests,
    "time": quick_time,
}
"""The modules that imports of a block find; other code gets the real ones."""

STORE_NAME = re.compile(r"""(['"])(?:redis|postgres|sqs)\1""")
"""Stores whose distributions come later; `sqlite` takes their place."""

STEP_SECONDS = 4000.0
"""Longer than any delay in the documents: by so much the clock is put forward between two bursts."""
MOST_BURSTS = 15
NOT_STORED = object()
"""A return value that cannot be serialized: the task is complete, but its value is not to be had."""


@record
class Sent:
    """A message that a block dispatches, and what becomes of it."""

    task: str
    queue: str = "default"
    _: KW_ONLY
    max_attempts: int = 3
    retry_delay: float = 60.0
    timeout: float | None = None
    delay: float = 0.0
    returns: object = field(default=None, hash=False)
    dies_of: str | None = None
    """The class of the error; None if it completes."""
    runs: int = 1
    """Runs until it has ended."""
    in_process: bool = False
    """Runs in another process."""


@record
class Correction:
    """A change that a block needs in order to run, and the reason."""

    old: str
    new: str
    why: str


@record
class Block:
    """A code block of the documents, and what is done with it."""

    file: str
    sent: tuple[Sent, ...] = ()
    prints: tuple[str, ...] = ()
    """In that order, among other lines; `{0}` is the id of the first message."""
    corrections: tuple[Correction, ...] = ()
    given: str = ""
    """Code that the document leaves to its reader: forgotten imports, and names that it does not show.
    Coroutine functions `start` and `stop` in it are awaited around `main`."""
    continues: str = ""
    """The block that stands before it and that it needs."""
    then: str = ""
    """Code that runs after it: what a reader would do with the definitions."""
    store: str = "asynctasq.db"
    left_out: str = ""
    """Why it is not run."""


@record
class Run:
    """The outcome of a message."""

    snapshot: Snapshot
    policy: RunPolicy
    mode: ExecutionMode
    value: object = field(default=None, hash=False)
    error: str = ""
    runs: int = 1


def source_of(block: Block) -> str:
    """Return the source of the block to run: corrected, and with `sqlite` for stores that come later."""
    text = (FOLDER / f"{block.file}.py").read_text()
    for correction in block.corrections:
        assert correction.old in text, f"{block.file} has no {correction.old!r}"
        text = text.replace(correction.old, correction.new)
    return STORE_NAME.sub(r"\1sqlite\1", text)


def as_module(block: Block) -> types.ModuleType:
    """Return an empty module, in which imports find the stand-ins."""
    module = types.ModuleType("seed_" + block.file.replace("/", "_"))
    module.__dict__["__builtins__"] = {**vars(builtins), "__import__": _import}
    sys.modules[module.__name__] = module
    return module


def _import(
    name: str,
    namespace: Mapping[str, object] | None = None,
    local: Mapping[str, object] | None = None,
    fromlist: Sequence[str] | None = (),
    level: int = 0,
) -> types.ModuleType:
    if name in STAND_INS:
        return STAND_INS[name]
    return builtins.__import__(name, namespace, local, fromlist or (), level)


def execute(module: types.ModuleType, source: str, *, name: str) -> None:
    """Run source as a script: with what stands below `if __name__ == "__main__"`, with `main()` if
    that is not called there, and with `await` outside of functions."""
    tree = ast.parse(source)
    guards = [node for node in tree.body if isinstance(node, ast.If) and _is_main_guard(node)]
    tree.body = [node for node in tree.body if node not in guards]
    _execute(module, tree, name)
    for guard in guards:
        _execute(module, ast.Module(guard.body, []), name)
    main = module.__dict__.get("main")
    if main is not None and not guards:
        asynctasq.run(_run_main(module))


async def _run_main(module: types.ModuleType) -> None:
    names = module.__dict__
    if "start" in names:
        await names["start"]()
    try:
        await names["main"]()
    finally:
        if "stop" in names:
            await names["stop"]()


def _execute(module: types.ModuleType, tree: ast.Module, name: str) -> None:
    code = compile(tree, name, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    if code.co_flags & inspect.CO_COROUTINE:
        asynctasq.run(types.FunctionType(code, module.__dict__)())
    else:
        exec(code, module.__dict__)


FOR_CHILDREN = """\
from pathlib import Path
from tests.seeds.harness import define

define(globals(), Path(__file__).with_suffix(".txt").read_text())
"""


def keep_for_children(module: types.ModuleType, sources: Sequence[str]) -> None:
    """Put the definitions into a file of the current folder, which children of workers import."""
    Path(f"{module.__name__}.py").write_text(FOR_CHILDREN)
    Path(f"{module.__name__}.txt").write_text("\n".join(sources))


def define(namespace: dict[str, object], source: str) -> None:
    """Run what defines something, with the stand-ins, and nothing that does something."""
    namespace["__builtins__"] = {**vars(builtins), "__import__": _import}
    tree = ast.parse(source)
    tree.body = [node for node in tree.body if isinstance(node, DEFINITIONS) and _is_quiet(node)]
    exec(compile(tree, str(namespace["__file__"]), "exec"), namespace)


DEFINITIONS = (
    ast.Import,
    ast.ImportFrom,
    ast.ClassDef,
    ast.FunctionDef,
    ast.AsyncFunctionDef,
    ast.Assign,
)


def _is_quiet(node: ast.stmt) -> bool:
    """Return whether a statement only defines things: it awaits, dispatches and sets up nothing."""
    return not any(
        isinstance(part, ast.Await)
        or (isinstance(part, ast.Attribute) and part.attr in {"dispatch", "init", "run"})
        for part in (ast.walk(node) if isinstance(node, ast.Assign) else ())
    )


def _is_main_guard(node: ast.If) -> bool:
    return "__main__" in ast.dump(node.test)


async def waiting(store: str) -> list[Snapshot]:
    """All messages of a store, in the order of their dispatch."""
    driver = SqliteDriver(store)
    await driver.open()
    try:
        found = [
            snapshot
            for state in (State.SCHEDULED, State.READY)
            for snapshot in (await driver.browse(state, limit=1000)).items
        ]
    finally:
        await driver.close()
    return sorted(found, key=lambda each: each.message.id)


async def outcomes(store: str, snapshots: Sequence[Snapshot]) -> list[Run]:
    """Run what runs in this process, its delays and retries too, and tell how everything ended."""
    codec = runtime_of(default_app()).codec
    runs = [
        Run(
            each,
            codec.open_call(each.message.body).policy,
            registry.find(each.message.task).mode,
        )
        for each in snapshots
    ]
    queues = {run.snapshot.message.queue for run in runs}
    driver = SqliteDriver(store)
    await driver.open()
    try:
        await _run_all(driver, queues)
        return [await _ended(driver, run) for run in runs]
    finally:
        await driver.close()


async def _run_all(driver: SqliteDriver, queues: set[str]) -> None:
    for burst in range(MOST_BURSTS):
        counts = [await driver.count(queue) for queue in queues]
        if not any(each.ready or each.scheduled or each.leased for each in counts):
            return
        shifted = driver.clone()
        shifted.clock_offset = burst * STEP_SECONDS
        await Worker(
            shifted, queues=sorted(queues), burst=True, handle_signals=False, process_pool_size=1
        ).start()
    raise AssertionError("there is no end of it")


async def _ended(driver: SqliteDriver, run: Run) -> Run:
    message_id = run.snapshot.message.id
    [outcome] = await driver.results([message_id])
    assert outcome is not None
    if outcome.state is State.DEAD:
        [letter] = [
            each for each in (await driver.dead_letters()).items if each.message.id == message_id
        ]
        error = letter.error.type.rpartition(".")[2] if letter.error else "nothing"
        return Run(run.snapshot, run.policy, run.mode, error=error, runs=letter.attempts)
    try:
        value = (
            None
            if outcome.result is None
            else runtime_of(default_app()).codec.decode_result(outcome.result)
        )
    except ResultNotSerializable:
        value = NOT_STORED
    return Run(run.snapshot, run.policy, run.mode, value=value)
