"""The installed model resolvers, and the choice of one for an object or a reference."""

import asyncio
import logging
import sys
import threading
from collections.abc import Callable, Collection, Sequence

from asynctasq.contracts.resolver import ExecutionScope, Explainer, Reference, Resolver
from asynctasq.errors import BodyVersion, ModelNotFound, PluginBroken, PluginError, PluginNotFound

logger = logging.getLogger("asynctasq")

_TYPES_KEPT = 4096


class Resolvers:
    """The installed model resolvers; each is created when it is first needed.

    `names` returns the installed ones, and `create` creates one or raises a `PluginError`. A resolver is
    named after the top-level module of its framework. It is called only if this module is imported,
    because no model can exist otherwise. Several threads can share this object.
    """

    def __init__(
        self, names: Callable[[], Collection[str]], create: Callable[[str], Resolver]
    ) -> None:
        self._names = names
        self._create = create
        self._made: dict[str, Resolver] = {}
        self._making = threading.Lock()
        self._by_type: dict[type, Resolver | None] = {}
        self.execution_scopes: tuple[ExecutionScope, ...] = ()
        """The created resolvers that have hooks around tasks."""

    def refer(self, value: object) -> Reference | None:
        """Return the reference of a model; None if no resolver knows the object.

        Raises:
            NotSerializable: no reference to the model is possible; for example, it is not saved.
        """
        cls = type(value)
        if cls in self._by_type:
            resolver = self._by_type[cls]
            return None if resolver is None else resolver.reference(value)
        found: Resolver | None = None
        reference: Reference | None = None
        for name in self._names():
            if name in sys.modules:
                resolver = self._resolver(name)
                reference = resolver.reference(value)
                if reference is not None:
                    found = resolver
                    break
        # A proxy, whose `__class__` differs, may hide a model now and another object later.
        if cls is value.__class__:
            if len(self._by_type) >= _TYPES_KEPT:
                self._by_type.clear()
            self._by_type[cls] = found
        return reference

    async def resolve(
        self,
        references: Sequence[Reference],
        *,
        relations: Sequence[str] = (),
        missing_ok: bool = False,
    ) -> list[object]:
        """Load the models of one message, in order: one call for each resolver.

        Args:
            references: each model once.
            relations: names of relations to load, for models that have them.
            missing_ok: return None for a row that does not exist.

        Raises:
            BodyVersion: the resolver of a reference is not installed here; elsewhere it may be.
            PluginError: it is broken.
            ModelNotFound: a row does not exist.
        """
        places: dict[str, list[int]] = {}
        for place, reference in enumerate(references):
            places.setdefault(reference.resolver, []).append(place)
        resolvers = {name: self._resolver_of_message(name) for name in places}
        if len(places) == 1:
            [resolver] = resolvers.values()
            return _checked(
                references, await resolver.resolve(references, relations=relations), missing_ok
            )
        models: list[object] = [None] * len(references)

        async def load(name: str) -> None:
            wanted = [references[place] for place in places[name]]
            loaded = await resolvers[name].resolve(wanted, relations=relations)
            for place, model in zip(
                places[name], _checked(wanted, loaded, missing_ok), strict=True
            ):
                models[place] = model

        try:
            async with asyncio.TaskGroup() as group:
                for name in places:
                    group.create_task(load(name))
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None
        return models

    def prepare(self) -> None:
        """Create the resolvers whose framework is imported, so that their hooks run around tasks."""
        for name in self._names():
            if name in sys.modules:
                try:
                    self._resolver(name)
                except PluginError as error:
                    logger.warning("Could not create the model resolver %r: %s", name, error)

    def explain(self, error: Exception) -> str | None:
        """Return the note of a resolver about an error that a task raised; None if there is none."""
        for resolver in list(self._made.values()):
            if isinstance(resolver, Explainer) and (note := resolver.explain(error)):
                return note
        return None

    async def close(self) -> None:
        """Close all resolvers. Idempotent."""
        with self._making:
            made = list(self._made.values())
            self._made.clear()
            self._by_type.clear()
            self.execution_scopes = ()
        for resolver in made:
            await resolver.close()

    def _resolver_of_message(self, name: str) -> Resolver:
        try:
            return self._resolver(name)
        except PluginNotFound as error:
            raise BodyVersion(f"Its models cannot be loaded here: {error}") from error

    def _resolver(self, name: str) -> Resolver:
        made = self._made.get(name)
        if made is not None:
            return made
        with self._making:
            if name not in self._made:
                made = self._made[name] = self._create(name)
                if isinstance(made, ExecutionScope):
                    self.execution_scopes = (*self.execution_scopes, made)
            return self._made[name]


def _checked(
    references: Sequence[Reference], models: Sequence[object], missing_ok: bool
) -> list[object]:
    if len(models) != len(references):
        raise PluginBroken(
            f"The model resolver {references[0].resolver!r} must return {len(references)} models, got "
            f"{len(models)}."
        )
    if not missing_ok and any(model is None for model in models):
        raise _not_found(
            [each for each, model in zip(references, models, strict=True) if model is None]
        )
    return list(models)


def _not_found(missing: Sequence[Reference]) -> ModelNotFound:
    keys: dict[str, list[str]] = {}
    for reference in missing:
        keys.setdefault(reference.model, []).append(repr(reference.key))
    gone = ", ".join(
        f"{model} has no row with the key {', '.join(each)}" for model, each in keys.items()
    )
    return ModelNotFound(
        f"{gone}: deleted since the task was dispatched, or not committed yet.",
        model=missing[0].model,
        key=missing[0].key,
    )
