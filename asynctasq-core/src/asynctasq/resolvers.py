"""Finding the model resolver of an object or of a reference."""

import sys
import threading
from collections.abc import Callable, Collection, Sequence

from asynctasq.contracts.resolver import Reference, Resolver
from asynctasq.errors import PluginBroken

_TYPES_KEPT = 4096


class Resolvers:
    """The model resolvers that are installed; each is made when it is first needed.

    `names` gives those that are installed, `create` makes one or raises a `PluginError`. A resolver is
    named for the top-level module of its framework, and asked about objects only if that module is
    imported: no instance can exist otherwise. Safe to share between threads.
    """

    def __init__(
        self, names: Callable[[], Collection[str]], create: Callable[[str], Resolver]
    ) -> None:
        self._names = names
        self._create = create
        self._made: dict[str, Resolver] = {}
        self._making = threading.Lock()
        self._by_type: dict[type, Resolver | None] = {}

    def refer(self, value: object) -> Reference | None:
        """The reference that stands for a model instance; None if no resolver knows it.

        Raises:
            NotSerializable: it is a model that cannot be referred to (unsaved, say).
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
        # A proxy (its `__class__` is another) may hide a model now and something else later.
        if cls is value.__class__:
            if len(self._by_type) >= _TYPES_KEPT:
                self._by_type.clear()
            self._by_type[cls] = found
        return reference

    async def resolve(self, references: Sequence[Reference]) -> list[object]:
        """Load the models of one message, in order: one call for each resolver.

        Raises:
            PluginError: the resolver of a reference is not installed, or broken.
            ModelNotFound: a row does not exist.
        """
        places: dict[str, list[int]] = {}
        for place, reference in enumerate(references):
            places.setdefault(reference.resolver, []).append(place)
        resolvers = {name: self._resolver(name) for name in places}
        models: list[object] = [None] * len(references)
        for name, wanted in places.items():
            loaded = await resolvers[name].resolve([references[place] for place in wanted])
            if len(loaded) != len(wanted):
                raise PluginBroken(
                    f"The model resolver {name!r} was asked for {len(wanted)} models and gave "
                    f"{len(loaded)}."
                )
            for place, model in zip(wanted, loaded, strict=True):
                models[place] = model
        return models

    async def close(self) -> None:
        """Let go of what the resolvers hold. Idempotent."""
        with self._making:
            made = list(self._made.values())
            self._made.clear()
            self._by_type.clear()
        for resolver in made:
            await resolver.close()

    def _resolver(self, name: str) -> Resolver:
        made = self._made.get(name)
        if made is not None:
            return made
        with self._making:
            if name not in self._made:
                self._made[name] = self._create(name)
            return self._made[name]
