"""The rules of the resolver contract, as checks."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import ClassVar

from asynctasq.conformance.plugin_checks import Checks, PluginConformance, optional
from asynctasq.contracts.resolver import ExecutionScope, Explainer, Reference, Resolver
from asynctasq.errors import BodyError, NotSerializable
from asynctasq.serializers.json_serializer import JsonSerializer
from asynctasq.serializers.msgpack_serializer import MsgpackSerializer

checks = Checks()
_AT_ONCE = 5


class ResolverConformance(PluginConformance):
    """Subclass this in a test module, and each rule becomes a test of your resolver.

    class TestMyResolver(ResolverConformance):
        name = "my_orm"

        def make_resolver(self) -> Resolver:
            return MyResolver()

        async def make_models(self, count: int) -> Sequence[object]:
            return [await Note.create(text=str(number)) for number in range(count)]

        def make_unsaved(self) -> object:
            return Note(text="unsaved")

        async def delete(self, model: object) -> None:
            await model.delete()
    """

    checks = checks
    name: ClassVar[str] = ""
    """Name of the entry point, which references carry."""

    def make_resolver(self) -> Resolver:
        """Create a resolver; called several times in a check."""
        raise NotImplementedError(f"{type(self).__qualname__} must define make_resolver")

    async def set_up(self) -> None:
        """Prepare the database; called before each check, in its event loop."""

    async def tear_down(self) -> None:
        """Close the database; called after each check, in its event loop."""

    async def make_models(self, count: int) -> Sequence[object]:
        """Create and save several models of one class, and return them."""
        raise NotImplementedError(f"{type(self).__qualname__} must define make_models")

    @optional
    def make_unsaved(self) -> object:
        """Create a model without saving it."""
        raise NotImplementedError

    @optional
    async def delete(self, model: object) -> None:
        """Delete the row of a saved model."""
        raise NotImplementedError

    def harness(self) -> AbstractAsyncContextManager["ResolverHarness"]:
        """Return the object with which a check works."""
        return _harness(self)


@asynccontextmanager
async def _harness(suite: ResolverConformance) -> AsyncIterator["ResolverHarness"]:
    await suite.set_up()
    try:
        harness = ResolverHarness(suite)
        try:
            yield harness
        finally:
            await harness.resolver.close()
            await harness.other.close()
    finally:
        await suite.tear_down()


class ResolverHarness:
    """A resolver for dispatching, and another one for the worker."""

    def __init__(self, suite: ResolverConformance) -> None:
        self.suite = suite
        self.resolver = suite.make_resolver()
        self.other = suite.make_resolver()

    def reference(self, model: object) -> Reference:
        """Return the reference of a saved model."""
        reference = self.resolver.reference(model)
        assert isinstance(reference, Reference), f"reference returned {reference!r} for a model"
        return reference

    async def references(self, count: int) -> tuple[Sequence[object], list[Reference]]:
        """Create models, and return them with their references."""
        models = await self.suite.make_models(count)
        assert len(models) == count, f"make_models({count}) returned {len(models)} models"
        return models, [self.reference(each) for each in models]

    async def expect_loaded(self, references: Sequence[Reference]) -> None:
        """Check that the other resolver loads the models of these references, in order."""
        loaded = await self.other.resolve(references)
        assert len(loaded) == len(references), (
            f"resolve returned {len(loaded)} models for {len(references)} references"
        )
        for reference, model in zip(references, loaded, strict=True):
            assert model is not None, f"resolve returned None for {reference!r}"
            again = self.other.reference(model)
            assert again == reference, f"resolve returned {again!r} for {reference!r}"


@checks.rule(
    "`reference` returns a `Reference` with the name of the entry point and the name of the class.",
    "Workers cannot tell which resolver loads a model, so the task never runs.",
)
async def reference_names_the_resolver(harness: ResolverHarness) -> None:
    _, (reference,) = await harness.references(1)
    name = harness.suite.name or reference.resolver
    assert reference.resolver == name, f"the reference names {reference.resolver!r}, not {name!r}"
    assert reference.model, "the reference names no class"
    assert isinstance(reference.model, str), f"the class is named by {reference.model!r}"


@checks.rule(
    "`reference` returns None for every object that is not a model of the framework.",
    "Tasks with plain arguments or models of other frameworks cannot be dispatched.",
)
async def other_values_are_no_models(harness: ResolverHarness) -> None:
    (model,) = await harness.suite.make_models(1)
    for value in (None, 1, "text", [model], {"a": model}, object(), type(model), Reference, len):
        reference = harness.resolver.reference(value)
        assert reference is None, f"reference returned {reference!r} for {value!r}"


@checks.rule(
    "The key of a reference can be encoded with msgpack and JSON, and still finds the model.",
    "A model cannot be dispatched with this serializer, or a worker loads another row.",
)
async def keys_survive_serializers(harness: ResolverHarness) -> None:
    _, references = await harness.references(2)
    for serializer in (MsgpackSerializer(), JsonSerializer()):
        keys = serializer.dumps([each.key for each in references], refer=lambda _: None)
        decoded = [
            Reference(each.resolver, each.model, key)
            for each, key in zip(references, serializer.loads(keys), strict=True)
        ]
        loaded = await harness.other.resolve(decoded)
        found = [harness.reference(each) for each in loaded if each is not None]
        assert found == references, f"after {serializer.content_type}: {found!r}"


@checks.rule(
    "`reference` raises `NotSerializable` for a model without a row.",
    "A worker loads a row that does not exist, or an arbitrary one.",
    needs="make_unsaved",
)
async def unsaved_models_are_refused(harness: ResolverHarness) -> None:
    try:
        reference = harness.resolver.reference(harness.suite.make_unsaved())
    except NotSerializable:
        return
    raise AssertionError(f"reference returned {reference!r} for an unsaved model")


@checks.rule(
    "`resolve` returns one model for each reference, in the order of the references.",
    "Tasks receive the models of other arguments.",
)
async def models_are_loaded_in_order(harness: ResolverHarness) -> None:
    _, references = await harness.references(4)
    await harness.expect_loaded(references)
    await harness.expect_loaded([references[2], references[0], references[3], references[1]])
    await harness.expect_loaded(references[1:2])


@checks.rule(
    "`resolve` returns an empty sequence for no references.",
    "Tasks without models fail while they are loaded.",
)
async def nothing_to_load_is_no_error(harness: ResolverHarness) -> None:
    loaded = await harness.other.resolve([])
    assert not list(loaded), f"resolve returned {loaded!r} for no references"


@checks.rule(
    "`resolve` returns None at the place of a model whose row does not exist.",
    "`on_missing` has no effect, and tasks receive the wrong models.",
    needs="delete",
)
async def deleted_models_are_none(harness: ResolverHarness) -> None:
    models, references = await harness.references(3)
    await harness.suite.delete(models[1])
    loaded = await harness.other.resolve(references)
    assert len(loaded) == len(references), f"resolve returned {len(loaded)} models for 3 references"
    assert loaded[1] is None, f"resolve returned {loaded[1]!r} for a deleted model"
    for place in (0, 2):
        found = None if loaded[place] is None else harness.reference(loaded[place])
        assert found == references[place], f"resolve returned {found!r} beside a deleted model"


@checks.rule(
    "`resolve` raises `BodyError` (`ArgumentsMismatch`) for a class that does not exist here.",
    "A message for a newer release is lost instead of waiting for a newer worker.",
)
async def unknown_classes_are_a_mismatch(harness: ResolverHarness) -> None:
    _, (reference,) = await harness.references(1)
    unknown = Reference(reference.resolver, "no_such_module:NoSuchModel", reference.key)
    try:
        loaded = await harness.other.resolve([unknown])
    except BodyError:
        return
    except Exception as error:
        raise AssertionError(f"resolve raised {error!r} instead of ArgumentsMismatch") from error
    raise AssertionError(f"resolve returned {loaded!r} for an unknown class")


@checks.rule(
    "Several calls of `resolve` can run at the same time.",
    "Tasks that run at the same time receive the models of each other.",
)
async def tasks_can_load_at_the_same_time(harness: ResolverHarness) -> None:
    _, references = await harness.references(_AT_ONCE)
    async with asyncio.TaskGroup() as group:
        for reference in references:
            group.create_task(harness.expect_loaded([reference]))


@checks.rule(
    "`resolve` ignores relations that a model does not have.",
    "A task fails although the relations that it wants were only meant for some models.",
)
async def unknown_relations_are_ignored(harness: ResolverHarness) -> None:
    _, references = await harness.references(1)
    loaded = await harness.other.resolve(references, relations=["no_such_relation"])
    assert loaded[0] is not None, "resolve returned None for a model that exists"


@checks.rule(
    "`close` can be called twice, and before `resolve` was called.",
    "Connections stay open after the worker has stopped, or stopping it fails.",
)
async def close_can_be_repeated(harness: ResolverHarness) -> None:
    _, references = await harness.references(1)
    await harness.suite.make_resolver().close()
    await harness.expect_loaded(references)
    await harness.other.close()
    await harness.other.close()


@checks.rule(
    "A resolver with `enter` and `leave` accepts them in nested and parallel executions.",
    "Every task fails or logs an error while the resolver is installed.",
)
async def hooks_around_tasks_do_not_raise(harness: ResolverHarness) -> None:
    resolver = harness.other
    if not isinstance(resolver, ExecutionScope):
        return
    scope: ExecutionScope = resolver

    def sync_task() -> None:
        scope.enter()
        scope.enter()
        scope.leave()
        scope.leave()

    async def async_task() -> None:
        await scope.enter_loop()
        await asyncio.sleep(0)
        await scope.leave_loop()

    await asyncio.gather(asyncio.to_thread(sync_task), async_task(), async_task())


@checks.rule(
    "A resolver with `explain` returns None for an error that is not about models.",
    "Errors that are not about models get misleading notes.",
)
async def other_errors_are_not_explained(harness: ResolverHarness) -> None:
    if isinstance(harness.other, Explainer):
        note = harness.other.explain(ValueError("no such customer"))
        assert note is None, f"explain returned {note!r} for a ValueError"
