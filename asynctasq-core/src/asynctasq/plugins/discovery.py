"""Discovery of installed plugins from the metadata of distributions, without importing them."""

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
    """One plugin that is installed or registered, and not necessarily loaded."""

    kind: str
    name: str
    value: str
    """Value of the entry point (`module` or `module:object`), or a description of a local plugin."""
    distribution: str | None
    """None for a plugin that the application registered itself."""
    version: str | None
    load: Callable[[], object] = field(repr=False, compare=False, hash=False)

    @property
    def origin(self) -> str:
        """The distribution and version, for errors and logs."""
        if self.distribution is None:
            return "this application"
        return f"{self.distribution} {self.version}"

    @property
    def label(self) -> str:
        """The full description of the plugin, for errors."""
        return f"{self.kind} plugin {self.name!r} of {self.origin} ({self.value})"


@record
class DisableRules:
    """The setting `disable_plugins`: names, `kind:name`, `kind:name:distribution`, or distributions."""

    rules: tuple[str, ...]

    @classmethod
    def parse(cls, rules: Collection[str]) -> "DisableRules":
        """Check the rules.

        Raises:
            ConfigurationError: a rule names a kind that does not exist.
        """
        if isinstance(rules, str):
            rules = (rules,)
        for rule in rules:
            kind, separator, _ = rule.partition(":")
            if separator and kind not in GROUPS:
                raise ConfigurationError(
                    f"disable_plugins: the kind in {rule!r} must be one of {', '.join(GROUPS)}, "
                    f"got {kind!r}."
                )
        return cls(tuple(rules))

    def match(self, entry: PluginEntry) -> str | None:
        """Return the rule that disables a plugin; None if it is enabled or registered by the application."""
        if entry.distribution is None:
            return None
        distribution = canonical(entry.distribution)
        names = {entry.name, f"{entry.kind}:{entry.name}"}
        for rule in self.rules:
            plugin, colon, of = rule.rpartition(":")
            exact = plugin == f"{entry.kind}:{entry.name}" and canonical(of) == distribution
            if rule in names or exact or (not colon and canonical(rule) == distribution):
                return rule
        return None

    def warn_of_unused(self, entries: Collection[PluginEntry]) -> None:
        """Log the rules that match no plugin, because they are probably misspelled."""
        used = {self.match(entry) for entry in entries}
        for rule in self.rules:
            # Two rules may match one plugin, and `match` returns only the first of them.
            if rule not in used and not any(DisableRules((rule,)).match(each) for each in entries):
                logger.warning("disable_plugins: no installed plugin matches %r", rule)


def canonical(distribution: str) -> str:
    """Return the normalized name of a distribution, for comparison."""
    return re.sub(r"[-_.]+", "-", distribution).lower()


def installed_entries() -> list[PluginEntry]:
    """Return the plugins of all installed distributions, sorted by kind and name.

    A distribution that is found twice (an editable install, a repeated `sys.path` entry, an older copy
    further down the path) counts once: the copy that an import would find.
    """
    entries = [entry for found in _distributions() for entry in _entries_of(found)]
    kinds = list(GROUPS)
    entries.sort(key=lambda entry: (kinds.index(entry.kind), entry.name, entry.distribution or ""))
    return entries


def _distributions() -> Iterator[metadata.Distribution]:
    seen: set[str] = set()
    for found in metadata.distributions():
        # Most distributions have no plugins, and reading a name parses the whole metadata file.
        if f"{PROJECT}." not in (found.read_text("entry_points.txt") or ""):
            continue
        name = _name(found)
        if name is None:
            logger.warning("Ignored a distribution without a name: %s", found)
            continue
        if canonical(name) in seen:
            continue
        seen.add(canonical(name))
        try:
            yield metadata.distribution(name)
        except (metadata.PackageNotFoundError, ValueError):
            yield found


def _entries_of(found: metadata.Distribution) -> Iterator[PluginEntry]:
    groups = {group: kind for kind, group in GROUPS.items()}
    name = _name(found) or "a distribution without a name"
    try:
        entry_points = [point for point in found.entry_points if point.group in groups]
        version = found.version
    except Exception:
        logger.exception("Could not read the metadata of %s; ignored its plugins", name)
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
