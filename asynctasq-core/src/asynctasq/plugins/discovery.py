"""What is installed, read from the metadata of distributions; nothing is imported here."""

import logging
import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import field
from importlib import metadata

from asynctasq.errors import ConfigurationError
from asynctasq.hookspecs import GROUPS, PROJECT
from asynctasq.records import record

logger = logging.getLogger("asynctasq.plugins")


@record
class PluginEntry:
    """One plugin on offer, not loaded yet."""

    kind: str
    name: str
    value: str
    """Of the entry point: `module` or `module:object`. Of a local plugin: what it is."""
    distribution: str | None
    """None for a plugin that the application registered itself."""
    version: str | None
    load: Callable[[], object] = field(repr=False, compare=False, hash=False)

    @property
    def origin(self) -> str:
        """Who brings it, as read in errors and logs."""
        if self.distribution is None:
            return "this application"
        return f"{self.distribution} {self.version}"

    @property
    def label(self) -> str:
        """The plugin in full, as read in errors."""
        return f"{self.kind} plugin {self.name!r} of {self.origin} ({self.value})"


@record
class DisableRules:
    """The setting `disable_plugins`: plugin names, `kind:name`, or distributions."""

    entries: tuple[str, ...]

    @classmethod
    def parse(cls, entries: Collection[str]) -> "DisableRules":
        """Check the entries.

        Raises:
            ConfigurationError: an entry gives a kind that does not exist.
        """
        if isinstance(entries, str):
            entries = (entries,)
        for entry in entries:
            kind, separator, _ = entry.partition(":")
            if separator and kind not in GROUPS:
                raise ConfigurationError(
                    f"disable_plugins: {entry!r} names the kind {kind!r}; "
                    f"kinds are {', '.join(GROUPS)}."
                )
        return cls(tuple(entries))

    def match(self, offer: PluginEntry) -> str | None:
        """The entry that disables this offer; None if it is enabled or the application's own."""
        if offer.distribution is None:
            return None
        distribution = canonical(offer.distribution)
        for entry in self.entries:
            if entry in {offer.name, f"{offer.kind}:{offer.name}"}:
                return entry
            if canonical(entry) == distribution:
                return entry
        return None

    def warn_of_unused(self, offers: Collection[PluginEntry]) -> None:
        """Log the entries that match nothing: most likely they are misspelt."""
        used = {self.match(offer) for offer in offers}
        for entry in self.entries:
            # Two forms may name one plugin; the second of them is not unused.
            if entry not in used and not any(
                DisableRules((entry,)).match(offer) for offer in offers
            ):
                logger.warning("disable_plugins: nothing that is installed answers to %r", entry)


def canonical(distribution: str) -> str:
    """The name of a distribution in the one form in which names are compared."""
    return re.sub(r"[-_.]+", "-", distribution).lower()


def installed_offers() -> list[PluginEntry]:
    """Every plugin that an installed distribution offers, by kind and name.

    A distribution that is seen twice (an editable install, a doubled `sys.path` entry, an older copy
    further down the path) counts once: the copy that an import would find.
    """
    offers = [offer for found in _distributions() for offer in _offers_of(found)]
    kinds = list(GROUPS)
    offers.sort(key=lambda offer: (kinds.index(offer.kind), offer.name, offer.distribution or ""))
    return offers


def _distributions() -> Iterator[metadata.Distribution]:
    seen: set[str] = set()
    for found in metadata.distributions():
        # Most distributions offer nothing here, and reading a name parses the whole metadata file.
        if f"{PROJECT}." not in (found.read_text("entry_points.txt") or ""):
            continue
        name = _name(found)
        if name is None:
            logger.warning("A distribution without a name is left out: %s", found)
            continue
        if canonical(name) in seen:
            continue
        seen.add(canonical(name))
        try:
            yield metadata.distribution(name)
        except (metadata.PackageNotFoundError, ValueError):
            yield found


def _offers_of(found: metadata.Distribution) -> Iterator[PluginEntry]:
    groups = {group: kind for kind, group in GROUPS.items()}
    name = _name(found) or "a distribution without a name"
    try:
        entry_points = [point for point in found.entry_points if point.group in groups]
        version = found.version
    except Exception:
        logger.exception("The metadata of %s cannot be read; its plugins are left out", name)
        return
    for point in dict.fromkeys(entry_points):
        yield PluginEntry(
            kind=groups[point.group],
            name=point.name,
            value=point.value,
            distribution=name,
            version=version,
            load=point.load,
        )


def _name(found: metadata.Distribution) -> str | None:
    try:
        names = found.metadata.get_all("Name")
    except (TypeError, KeyError, metadata.PackageNotFoundError):  # there is no metadata file
        return None
    return str(names[0]) if names else None
