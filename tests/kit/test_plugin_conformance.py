"""The suites for serializers, resolvers and executors: each check catches its fault, and is reported."""

import asyncio
import contextvars
import itertools
import json
import pickle
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import pytest

from asynctasq.conformance import (
    ExecutorConformance,
    PluginConformance,
    PluginReport,
    ResolverConformance,
    SerializerConformance,
    run_plugin_conformance,
)
from asynctasq.conformance.serializers import Row
from asynctasq.contracts.executor import AttemptResult, Call, Executor, Failure, Raised, Returned
from asynctasq.contracts.resolver import Reference, Resolver
from asynctasq.contracts.serializer import Refer, Serializer
from asynctasq.errors import ArgumentsMismatch, BodyCorrupt, BodyError, NotSerializable
from asynctasq.executors import error_info
from asynctasq.executors.loop import LoopExecutor
from asynctasq.serializers import from_plain, to_plain
from asynctasq.serializers.json_serializer import JsonSerializer


async def failures(suite: PluginConformance, *only: str) -> list[str]:
    report = await run_plugin_conformance(suite, only=only or None)
    return [each.check.name for each in report.failures]


# Serializers.


class Faulty(JsonSerializer):
    """A serializer that keeps the rules; mutants override one method."""

    content_type = "faulty"


class WrongName(Faulty):
    content_type = "not a name"


class Buffers(Faulty):
    def dumps(self, value: object, *, refer: Refer) -> Any:
        return bytearray(super().dumps(value, refer=refer))


class PlainJson(Faulty):
    """JSON without types."""

    def dumps(self, value: object, *, refer: Refer) -> bytes:
        try:
            return json.dumps(value).encode()
        except (TypeError, ValueError, RecursionError) as error:
            raise NotSerializable(str(error)) from error


class NoZero(Faulty):
    def loads(self, data: bytes, *, models: Sequence[object] = ()) -> Any:
        back = super().loads(data, models=models)
        return False if type(back) is int and back == 0 else back


class Sorting(Faulty):
    def dumps(self, value: object, *, refer: Refer) -> bytes:
        if isinstance(value, list):
            value.append(value[-1])
            data = super().dumps(value[:-1], refer=refer)
        else:
            data = super().dumps(value, refer=refer)
        return data


class FirstModel(Faulty):
    def loads(self, data: bytes, *, models: Sequence[object] = ()) -> Any:
        return super().loads(data, models=[models[0]] * len(models) if models else ())


class FieldsFirst(Faulty):
    """Encodes dataclasses by their fields before it calls `refer`."""

    def dumps(self, value: object, *, refer: Refer) -> bytes:
        return super().dumps(value, refer=lambda _: None)


class SilentRefer(Faulty):
    def dumps(self, value: object, *, refer: Refer) -> bytes:
        def quiet(part: object) -> int | None:
            try:
                return refer(part)
            except NotSerializable:
                return None

        return super().dumps(value, refer=quiet)


class AnyModel(Faulty):
    def loads(self, data: bytes, *, models: Sequence[object] = ()) -> Any:
        return super().loads(data, models=models or ["no model"])


class Nameless(Faulty):
    def dumps(self, value: object, *, refer: Refer) -> bytes:
        try:
            return super().dumps(value, refer=refer)
        except NotSerializable as error:
            raise NotSerializable("a value cannot be encoded") from error


class Recursive(Faulty):
    def dumps(self, value: object, *, refer: Refer) -> bytes:
        def walk(part: object) -> None:
            for each in part if isinstance(part, list) else ():
                walk(each)
            for each in part.values() if isinstance(part, dict) else ():
                walk(each)

        walk(value)
        return super().dumps(value, refer=refer)


class Careless(Faulty):
    def loads(self, data: bytes, *, models: Sequence[object] = ()) -> Any:
        plain = json.loads(data)
        return from_plain(plain, models=models)


class AlwaysCorrupt(Faulty):
    def loads(self, data: bytes, *, models: Sequence[object] = ()) -> Any:
        try:
            return super().loads(data, models=models)
        except ArgumentsMismatch as error:
            raise BodyCorrupt(str(error)) from error


class Unpickling(Faulty):
    def loads(self, data: bytes, *, models: Sequence[object] = ()) -> Any:
        try:
            return super().loads(data, models=models)
        except BodyError:
            try:
                return pickle.loads(data)
            except Exception:  # noqa: BLE001 - the first error is raised
                pass
            raise


class OneBuffer(Faulty):
    """Keeps the value in the instance between two steps."""

    def dumps(self, value: object, *, refer: Refer) -> bytes:
        self.value = to_plain(value, refer=refer)
        time.sleep(0.0002)  # another thread runs
        return json.dumps(self.value).encode()


class OneRefer(Faulty):
    def dumps(self, value: object, *, refer: Refer) -> bytes:
        self.refer = refer
        plain = to_plain(value, refer=self._refer)
        return json.dumps([plain, self.refer is refer]).encode()

    def _refer(self, value: object) -> int | None:
        return self.refer(value)

    def loads(self, data: bytes, *, models: Sequence[object] = ()) -> Any:
        try:
            plain, is_mine = json.loads(data)
        except Exception as error:
            raise BodyCorrupt(str(error)) from error
        return from_plain(plain if is_mine else None, models=models)


def suite_of(serializer: Callable[[], Serializer]) -> SerializerConformance:
    class Suite(SerializerConformance):
        def make_serializer(self) -> Serializer:
            return serializer()

    return Suite()


SERIALIZERS = [
    (WrongName, "content_type_names_the_plugin"),
    (Buffers, "dumps_returns_bytes"),
    (NoZero, "plain_values_return_unchanged"),
    (PlainJson, "typed_values_return_unchanged"),
    (Sorting, "dumps_does_not_change_the_value"),
    (FirstModel, "models_return_in_their_places"),
    (FieldsFirst, "models_come_before_dataclasses"),
    (SilentRefer, "errors_of_refer_are_raised"),
    (AnyModel, "reference_without_a_model_is_corrupt"),
    (Nameless, "unsupported_values_are_named"),
    (Recursive, "cycles_are_refused"),
    (Recursive, "deep_values_are_refused_or_work"),
    (Careless, "damaged_bytes_are_corrupt"),
    (AlwaysCorrupt, "missing_classes_are_a_mismatch"),
    (Unpickling, "loads_runs_no_code"),
    (OneBuffer, "threads_can_share_it"),
    (OneRefer, "refer_can_use_the_serializer"),
]


@pytest.mark.parametrize(("mutant", "check"), SERIALIZERS, ids=[each[1] for each in SERIALIZERS])
async def test_a_fault_of_a_serializer_is_found(mutant: type[Serializer], check: str) -> None:
    assert await failures(suite_of(mutant), check) == [check]
    assert await failures(suite_of(Faulty), check) == []


# Resolvers.


@dataclass
class Note:
    key: int | None
    table: dict[int, "Note"]


class Toy:
    """A resolver that keeps the rules; mutants override one method."""

    def __init__(self, table: dict[int, Note]) -> None:
        self.table = table
        self.is_open = True

    def reference(self, instance: object) -> Reference | None:
        if not isinstance(instance, Note):
            return None
        if instance.key is None:
            raise NotSerializable("a Note without a key")
        return Reference("toy", "shop:Note", instance.key)

    async def resolve(
        self, references: Sequence[Reference], *, relations: Sequence[str] = ()
    ) -> Sequence[object]:
        await asyncio.sleep(0)
        for each in references:
            if each.model != "shop:Note":
                raise ArgumentsMismatch(f"no such model: {each.model}")
        return [self.table.get(int(str(each.key))) for each in references]

    async def close(self) -> None:
        self.is_open = False


class OtherName(Toy):
    def reference(self, instance: object) -> Reference | None:
        made = super().reference(instance)
        return made and replace(made, resolver="other")


class Greedy(Toy):
    def reference(self, instance: object) -> Reference | None:
        return super().reference(instance) or Reference("toy", "shop:Note", 0)


class OddKey(Toy):
    def reference(self, instance: object) -> Reference | None:
        made = super().reference(instance)
        return made and replace(made, key=object())


class Unsaved(Toy):
    def reference(self, instance: object) -> Reference | None:
        if isinstance(instance, Note) and instance.key is None:
            return Reference("toy", "shop:Note", 0)
        return super().reference(instance)


class Unordered(Toy):
    async def resolve(
        self, references: Sequence[Reference], *, relations: Sequence[str] = ()
    ) -> Sequence[object]:
        found = await super().resolve(references, relations=relations)
        return sorted(found, key=lambda note: note.key if isinstance(note, Note) else 0)  # type: ignore[arg-type,return-value]  # saved


class NeverNothing(Toy):
    async def resolve(
        self, references: Sequence[Reference], *, relations: Sequence[str] = ()
    ) -> Sequence[object]:
        first = references[0]
        assert first
        return await super().resolve(references, relations=relations)


class LeavesOut(Toy):
    async def resolve(
        self, references: Sequence[Reference], *, relations: Sequence[str] = ()
    ) -> Sequence[object]:
        found = await super().resolve(references, relations=relations)
        return [each for each in found if each is not None]


class KeyErrors(Toy):
    async def resolve(
        self, references: Sequence[Reference], *, relations: Sequence[str] = ()
    ) -> Sequence[object]:
        classes = {"shop:Note": Note}
        assert all(classes[each.model] for each in references)
        return await super().resolve(references, relations=relations)


class OneAtATime(Toy):
    async def resolve(
        self, references: Sequence[Reference], *, relations: Sequence[str] = ()
    ) -> Sequence[object]:
        self.wanted = references
        await asyncio.sleep(0)
        return await super().resolve(self.wanted, relations=relations)


class StrictRelations(Toy):
    async def resolve(
        self, references: Sequence[Reference], *, relations: Sequence[str] = ()
    ) -> Sequence[object]:
        if relations:
            raise AttributeError(f"Note has no {relations[0]}")
        return await super().resolve(references, relations=relations)


class CloseOnce(Toy):
    async def close(self) -> None:
        if not self.is_open:
            raise RuntimeError("closed twice")
        await super().close()


class Scoped(Toy):
    depth = 0

    def enter(self) -> None:
        if self.depth:
            raise RuntimeError("entered twice")
        self.depth = 1

    def leave(self) -> None:
        self.depth = 0

    async def enter_loop(self) -> None:
        self.enter()

    async def leave_loop(self) -> None:
        self.leave()


class Talkative(Toy):
    def explain(self, error: Exception) -> str | None:
        return "Load the relation first."


def resolver_suite(resolver: type[Toy]) -> ResolverConformance:
    class Suite(ResolverConformance):
        name = "toy"

        async def set_up(self) -> None:
            self.table: dict[int, Note] = {}
            self.keys = itertools.count()

        def make_resolver(self) -> Resolver:
            return resolver(self.table)

        async def make_models(self, count: int) -> Sequence[object]:
            made = [Note(next(self.keys), self.table) for _ in range(count)]
            self.table.update({each.key: each for each in made if each.key is not None})
            return made

        def make_unsaved(self) -> object:
            return Note(None, self.table)

        async def delete(self, model: object) -> None:
            assert isinstance(model, Note)
            assert model.key is not None
            del self.table[model.key]

    return Suite()


RESOLVERS = [
    (OtherName, "reference_names_the_resolver"),
    (Greedy, "other_values_are_no_models"),
    (OddKey, "keys_survive_serializers"),
    (Unsaved, "unsaved_models_are_refused"),
    (Unordered, "models_are_loaded_in_order"),
    (NeverNothing, "nothing_to_load_is_no_error"),
    (LeavesOut, "deleted_models_are_none"),
    (KeyErrors, "unknown_classes_are_a_mismatch"),
    (OneAtATime, "tasks_can_load_at_the_same_time"),
    (StrictRelations, "unknown_relations_are_ignored"),
    (CloseOnce, "close_can_be_repeated"),
    (Scoped, "hooks_around_tasks_do_not_raise"),
    (Talkative, "other_errors_are_not_explained"),
]


@pytest.mark.parametrize(("mutant", "check"), RESOLVERS, ids=[each[1] for each in RESOLVERS])
async def test_a_fault_of_a_resolver_is_found(mutant: type[Toy], check: str) -> None:
    suite = resolver_suite(mutant)
    if mutant is CloseOnce:  # the suite closes what a check has used, too
        with pytest.raises(AssertionError):
            assert await failures(suite, check) == []
    else:
        assert await failures(suite, check) == [check]
    assert await failures(resolver_suite(Toy), check) == []


# Executors.


class LosesResults(LoopExecutor):
    async def execute(self, call: Call) -> AttemptResult:
        made = await super().execute(call)
        return Returned(call.encode_result(1)) if isinstance(made, Returned) else made


class NewContext(LoopExecutor):
    async def execute(self, call: Call) -> AttemptResult:
        return await asyncio.create_task(super().execute(call), context=contextvars.Context())


class OneSlot(LoopExecutor):
    async def start(self, *, concurrency: int) -> None:
        self.slot = asyncio.Semaphore(1)

    async def execute(self, call: Call) -> AttemptResult:
        async with self.slot:
            return await super().execute(call)


class Blocking(LoopExecutor):
    async def execute(self, call: Call) -> AttemptResult:
        task = await call.load()
        values: list[object] = []

        def run() -> None:
            with suppress(TimeoutError):
                values.append(asyncio.run(asyncio.wait_for(task.execute(), 0.5)))

        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
        return Returned(call.encode_result(values))


class BadErrors(LoopExecutor):
    async def execute(self, call: Call) -> AttemptResult:
        made = await super().execute(call)
        if isinstance(made, Raised):
            return replace(made, error=error_info(RuntimeError("the task failed")))
        return made


class AlwaysRetries(LoopExecutor):
    async def execute(self, call: Call) -> AttemptResult:
        made = await super().execute(call)
        return replace(made, retry=True) if isinstance(made, Raised) else made


class ForgetsFailed(LoopExecutor):
    async def failed(self, call: Call, failure: Failure) -> None:
        pass


class NoOutcomes(LoopExecutor):
    async def execute(self, call: Call) -> AttemptResult:
        task = await call.load()
        try:
            return Returned(call.encode_result(await task.execute()))
        except Exception as error:  # noqa: BLE001 - an outcome
            return Raised(error_info(error), True, error)


class LetsExitThrough(LoopExecutor):
    async def execute(self, call: Call) -> AttemptResult:
        task = await call.load()
        try:
            return Returned(call.encode_result(await task.execute()))
        except SystemExit as error:
            return Raised(error_info(error), False, error)


class IgnoresTimeout(LoopExecutor):
    async def execute(self, call: Call) -> AttemptResult:
        task = await call.load()
        return Returned(call.encode_result(await asyncio.wait_for(task.execute(), 2)))


class IgnoresCancel(LoopExecutor):
    async def execute(self, call: Call) -> AttemptResult:
        try:
            return await super().execute(call)
        except asyncio.CancelledError:
            return Returned(call.encode_result(None))


class RefusesOpaque(LoopExecutor):
    async def execute(self, call: Call) -> AttemptResult:
        task = await call.load()
        value = await task.execute()
        if not call.can_store(value):
            error = TypeError("the result cannot be stored")
            return Raised(error_info(error), False, error)
        return Returned(call.encode_result(value))


class AcceptsUnfinished(LoopExecutor):
    async def execute(self, call: Call) -> AttemptResult:
        task = await call.load()
        value = await task.execute()
        if asyncio.iscoroutine(value):
            value.close()
        return Returned(call.encode_result(value))


class NoScope(LoopExecutor):
    async def execute(self, call: Call) -> AttemptResult:
        task = await call.load()
        return Returned(call.encode_result(await task.execute()))


class NoSurrounding(LoopExecutor):
    async def execute(self, call: Call) -> AttemptResult:
        task = await call.load()
        await call.enter()
        try:
            return Returned(call.encode_result(await task.execute()))
        finally:
            await call.leave()


class CountsUnreadable(LoopExecutor):
    async def execute(self, call: Call) -> AttemptResult:
        try:
            return await super().execute(call)
        except BodyError as error:
            return Raised(error_info(error), True, error)


class StopOnce(LoopExecutor):
    stopped = 0

    async def stop(self) -> None:
        self.stopped += 1
        if self.stopped > 1:
            raise RuntimeError("stopped twice")


def executor_suite(executor: Callable[[], Executor]) -> ExecutorConformance:
    class Suite(ExecutorConformance):
        mode = "loop"
        patience = 3.0

        def make_executor(self, settings: Any) -> Executor:
            return executor()

    return Suite()


EXECUTORS = [
    (LosesResults, "results_are_returned"),
    (NewContext, "tasks_know_themselves"),
    (OneSlot, "tasks_run_at_the_same_time"),
    (Blocking, "event_loop_stays_responsive"),
    (BadErrors, "errors_are_described"),
    (AlwaysRetries, "should_retry_decides"),
    (ForgetsFailed, "failed_hook_runs_once"),
    (NoOutcomes, "tasks_choose_their_outcome"),
    (LetsExitThrough, "exit_of_a_task_is_an_error"),
    (IgnoresTimeout, "timeout_ends_an_attempt"),
    (IgnoresCancel, "cancellation_interrupts_a_task"),
    (IgnoresCancel, "stopping_releases_tasks"),
    (RefusesOpaque, "results_that_cannot_be_stored_complete"),
    (AcceptsUnfinished, "unfinished_results_are_errors"),
    (NoScope, "cleanups_run"),
    (NoSurrounding, "plugins_surround_the_task"),
    (CountsUnreadable, "unreadable_arguments_are_no_attempt"),
    (StopOnce, "stop_can_be_repeated"),
]


@pytest.mark.parametrize(("mutant", "check"), EXECUTORS, ids=[each[1] for each in EXECUTORS])
async def test_a_fault_of_an_executor_is_found(mutant: type[Executor], check: str) -> None:
    assert await failures(executor_suite(mutant), check) == [check]


# The suites themselves.


@pytest.mark.parametrize(
    ("suite", "mutants"),
    [
        (SerializerConformance, SERIALIZERS),
        (ResolverConformance, RESOLVERS),
        (ExecutorConformance, EXECUTORS),
    ],
)
def test_every_check_has_a_mutant_a_rule_and_a_consequence(
    suite: type[PluginConformance], mutants: list[tuple[type, str]]
) -> None:
    assert {each.name for each in suite.checks} == {name for _, name in mutants}
    for check in suite.checks:
        assert check.rule.endswith("."), check.name
        assert check.consequence.endswith("."), check.name


async def test_report_names_rule_consequence_and_how_to_repeat() -> None:
    report: PluginReport = await run_plugin_conformance(
        suite_of(Buffers), only=["dumps_returns_bytes", "cycles_are_refused"]
    )
    assert not report.ok
    text = str(report)
    for part in (
        "2 checks, 1 not as expected",
        "dumps returned bytearray",
        "Rule: `dumps` returns `bytes`",
        "Consequence: Dispatching a task fails",
        "only=['dumps_returns_bytes']",
    ):
        assert part in text


async def test_known_failures_must_fail() -> None:
    suite = suite_of(Buffers)
    type(suite).known_failures = {"dumps_returns_bytes": "a buffer is faster"}
    assert (await run_plugin_conformance(suite, only=["dumps_returns_bytes"])).ok
    suite = suite_of(Faulty)
    type(suite).known_failures = {"dumps_returns_bytes": "a buffer is faster"}
    assert await failures(suite, "dumps_returns_bytes") == ["dumps_returns_bytes"]


def test_a_check_cannot_be_overridden_or_misspelled() -> None:
    with pytest.raises(TypeError, match="must not override test_check"):
        type("Suite", (SerializerConformance,), {"test_check": lambda _: None})
    with pytest.raises(ValueError, match="Unknown checks: no_such_check"):
        SerializerConformance.selected_checks(["no_such_check"])


def test_a_check_that_needs_a_method_is_left_out_without_it() -> None:
    names = {each.name for each in ResolverConformance.selected_checks()}
    assert "deleted_models_are_none" not in names
    assert "models_are_loaded_in_order" in names


def test_row_of_the_suite_is_a_dataclass() -> None:
    assert to_plain(Row(1)) == {"$dataclass": ["asynctasq.conformance.serializers:Row", {"key": 1}]}
