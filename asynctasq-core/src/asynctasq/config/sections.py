"""The settings of plugins: from a section of the arguments, variables, and the driver's URL."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, get_type_hints

from asynctasq.config.given import GivenSetting, given_setting
from asynctasq.config.hiding import hides
from asynctasq.config.problems import all_in_one, converted, nearest, wrong_value
from asynctasq.config.settings import SettingsClass, default_of
from asynctasq.config.sources import PREFIX, Precedence, RawValue
from asynctasq.config.urls import looks_secret, mask_in, mask_url, url_scheme
from asynctasq.config.values import Mismatch
from asynctasq.errors import ConfigurationError, PluginBroken


def variable_of(name: str, plugin: str = "") -> str:
    """Return the environment variable of a setting of core, or of a plugin."""
    full = f"{plugin}_{name}" if plugin else name
    return PREFIX + full.replace("-", "_").replace(".", "_").replace("+", "_").upper()


class PluginSections:
    """The raw settings of plugins, which are converted when they are first needed.

    `arguments` has the sections of plugins, `variables` has the variables that do not belong to core,
    and `url` is the driver's value if it is a URL.
    """

    def __init__(
        self,
        arguments: Mapping[str, object],
        variables: Mapping[str, RawValue],
        plugin_names: Collection[str],
        *,
        url: RawValue | None,
        settings_class: SettingsClass,
    ) -> None:
        self._arguments = arguments
        self._url = url
        self._settings_class = settings_class
        self._resolved: dict[str, object] = {}
        self._winners: dict[str, RawValue] = {}
        self._variables: dict[str, dict[str, RawValue]] = {}
        self.strays: list[RawValue] = []
        """Variables that belong to no plugin."""
        self.hidden: list[str] = []
        """Descriptions of variables that the arguments hide; variables of core come first."""
        prefixes = {variable_of("", name): name for name in plugin_names}
        for variable, given in variables.items():
            # If both `redis` and `redis-cluster` match, the longer name counts.
            owner = max(filter(variable.startswith, prefixes), key=len, default="")
            if owner:
                section = self._variables.setdefault(prefixes[owner], {})
                section[variable.removeprefix(owner).lower()] = given
            else:
                self.strays.append(given)

    @property
    def names(self) -> frozenset[str]:
        """Names of the plugins that have a section in the arguments."""
        return frozenset(self._arguments)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, PluginSections):
            return NotImplemented
        mine, theirs = self._spoken_of(), other._spoken_of()
        return all(
            self._resolved[name] == other._resolved[name]
            if name in self._resolved and name in other._resolved
            else self._said(name) == other._said(name)
            for name in mine | theirs
        )

    __hash__ = None  # type: ignore[assignment]  # values that people gave need not be hashable

    def plugin(self, name: str) -> object:
        if name not in self._resolved:
            problems: list[str] = []
            self.resolve(name, problems)
            if problems:
                raise all_in_one(problems)
        return self._resolved[name]

    def given(self) -> list[GivenSetting]:
        """Return the settings of the plugins that were read so far, except those of the driver's URL."""
        return [
            given_setting(name, winner)
            for name, winner in sorted(self._winners.items())
            if not winner.from_url
        ]

    def resolve(self, name: str, problems: list[str]) -> None:
        """Make the settings of the plugin `name`. Add a line to `problems` for each invalid one."""
        cls = self._settings_class(name)
        if cls is not None and not is_dataclass(cls):
            raise PluginBroken(
                f"The settings class {cls.__qualname__} of the plugin {name!r} must be a dataclass. "
                f"Decorate it with asynctasq.records.record."
            )
        before = len(problems)
        offers: dict[str, list[RawValue]] = {}
        for field_name, given in self._offers(name, cls, problems):
            offers.setdefault(field_name, []).append(given)
        hints = {} if cls is None else get_type_hints(cls, include_extras=True)
        values = {
            field_name: self._choose(
                field_name, given, hints.get(field_name, Any), problems, section_of(name, cls)
            )
            for field_name, given in offers.items()
            if cls is None or self._check_known(name, cls, field_name, given, problems)
        }
        if len(problems) > before:
            return
        settings = values if cls is None else _make(name, cls, values, problems)
        if settings is not None:
            self._resolved[name] = settings

    def _choose(
        self, name: str, offers: list[RawValue], hint: Any, problems: list[str], section: str
    ) -> Any:
        value, winner = _choose(name, offers, hint, problems)
        if winner is not None:
            self._winners[f"{section}.{name}"] = winner
        if winner is not None and winner.rank is Precedence.ARGUMENTS:
            self.hidden.extend(
                hides(winner, loser, name)
                for loser in offers
                if loser.rank < winner.rank and not _has_value(loser, hint, value)
            )
        return value

    def variables(self, name: str) -> list[str]:
        """Return the names of the environment variables of a plugin."""
        cls = self._settings_class(name)
        section = section_of(name, cls)
        return [] if cls is None else [variable_of(each, section) for each in _field_names(cls)]

    def _offers(
        self, name: str, cls: type | None, problems: list[str]
    ) -> Iterator[tuple[str, RawValue]]:
        if self._url is not None and url_scheme(str(self._url.value)) == name:
            yield from _url_parts(name, cls, self._url, problems)
        for section in dict.fromkeys((section_of(name, cls), name)):
            yield from self._variables.get(section, {}).items()
            yield from self._section(section, cls, problems)

    def _section(
        self, name: str, cls: type | None, problems: list[str]
    ) -> Iterator[tuple[str, RawValue]]:
        section = self._arguments.get(name)
        if section is None:
            return
        if isinstance(section, Mapping):
            parts = {str(key): value for key, value in section.items()}
        elif cls is not None and isinstance(section, cls):
            # It is unknown which defaults of an instance were set on purpose: they do not count.
            parts = {
                field_name: getattr(section, field_name)
                for field_name, default in _defaults(cls).items()
                if getattr(section, field_name) != default
            }
        else:
            expected = "a dict" if cls is None else f"a dict or {cls.__qualname__}"
            problems.append(
                f"{name} (arguments) must be {expected}, got {type(section).__qualname__}"
            )
            return
        for key, value in parts.items():
            yield key, RawValue(value, f"{name}.{key}", Precedence.ARGUMENTS, "arguments")

    def _check_known(
        self, name: str, cls: type, field_name: str, offers: list[RawValue], problems: list[str]
    ) -> bool:
        names = _field_names(cls)
        if field_name in names:
            return True
        name = section_of(name, cls)
        for given in offers:
            if given.from_url:
                key, candidates, common = field_name, names, ""
            elif given.rank is Precedence.ARGUMENTS:
                key, common = given.key, f"{name}."
                candidates = [f"{name}.{each}" for each in names]
            else:
                key, common = given.key, variable_of("", name)
                candidates = [variable_of(each, name) for each in names]
            where = f" {key} in {self._shown_url()}" if given.from_url else ""
            problems.append(
                f"{given}: unknown setting{where}{nearest(key, candidates, common=common)}"
            )
        return False

    def _shown_url(self) -> str:
        return mask_url(str(self._url.value)) if self._url else ""

    def _spoken_of(self) -> frozenset[str]:
        driver = {url_scheme(str(self._url.value)) or ""} if self._url else set[str]()
        return frozenset({*self._arguments, *self._variables, *self._resolved, *driver})

    def _said(self, name: str) -> object:
        variables = {key: given.value for key, given in self._variables.get(name, {}).items()}
        url = self._url and url_scheme(str(self._url.value)) == name and self._url.value
        return self._arguments.get(name), variables, url


def section_of(name: str, cls: type | None) -> str:
    """Return the section of a plugin: its name, or the `section` of its settings class."""
    return str(getattr(cls, "section", name))


def _field_names(cls: Any) -> list[str]:
    return [each.name for each in fields(cls) if each.init]


def _defaults(cls: Any) -> dict[str, object]:
    """Return the default of each field, made by the class itself if it can be."""
    try:
        made = cls()
    except (TypeError, ValueError, ConfigurationError):  # something must be given
        return {each.name: default_of(each) for each in fields(cls) if each.init}
    return {name: getattr(made, name) for name in _field_names(cls)}


def _url_parts(
    name: str, cls: Any, url: RawValue, problems: list[str]
) -> Iterator[tuple[str, RawValue]]:
    """Return the settings that a driver URL contains."""
    text = str(url.value)
    parts: Mapping[str, object] = {"url": text}
    if hasattr(cls, "from_url"):
        try:
            parts = cls.from_url(text)
        except (ValueError, ConfigurationError) as error:
            shown = mask_url(text)
            reason = mask_in(str(error), text) or "it cannot be understood"
            about = "" if shown in reason else f"{shown} is not a valid URL of {name}: "
            problems.append(f"{url}: {about}{reason}")
            return
    for key, value in parts.items():
        yield key, RawValue(value, url.key, url.rank, url.place, from_url=True)


def _has_value(given: RawValue, hint: Any, value: object) -> bool:
    try:
        return bool(converted(given, hint) == value)
    except Mismatch:
        return False


def _choose(
    name: str, offers: list[RawValue], hint: Any, problems: list[str]
) -> tuple[Any, RawValue | None]:
    """Return the value with the highest precedence and its source. Two of equal precedence must agree."""
    highest = max(given.rank for given in offers)
    chosen: list[tuple[Any, RawValue]] = []
    for given in offers:
        if given.rank is not highest:
            continue
        try:
            chosen.append((converted(given, hint), given))
        except Mismatch as mismatch:
            problems.append(wrong_value(given, name, str(mismatch)))
            return MISSING, None
    value, first = chosen[0]
    for other_value, other in chosen[1:]:
        if other_value != value:
            problems.append(
                f"{first} says that {name} is {first.shown(name)}, but {other} says "
                f"{other.shown(name)}; give one of them"
            )
    return value, first


def _make(name: str, cls: Any, values: dict[str, Any], problems: list[str]) -> object | None:
    name = section_of(name, cls)
    for each in fields(cls):
        if each.init and each.name not in values and default_of(each) is MISSING:
            problems.append(
                f"{name}.{each.name}: needed; give it as {name}.{each.name} or as "
                f"{variable_of(each.name, name)}"
            )
            return None
    try:
        made: object = cls(**values)
    except (ValueError, ConfigurationError) as error:
        problems.append(f"{name}: {_without_secrets(str(error), values)}")
        return None
    return made


def _without_secrets(text: str, values: Mapping[str, Any]) -> str:
    for name, value in values.items():
        if isinstance(value, str) and value:
            masked = mask_in(text, value)
            if masked is None or (looks_secret(name) and value in masked):
                return "its settings do not fit together (the message contains a password)"
            text = masked
    return text
