"""Options of schedules, in `@task(cron=...)` and in `task.schedule(...)`."""

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypedDict, cast

from asynctasq.errors import TaskDefinitionError
from asynctasq.records import record
from asynctasq.tasks.option_values import CHECKS, Duration, is_unicode, seconds

if TYPE_CHECKING:
    from asynctasq.schedules.policies import CatchUp, Overlap, Policies
    from asynctasq.schedules.rhythm import Rhythm

NAME_LENGTH = 200
"""Characters of the name of a schedule, at most."""
_RHYTHMS = ("cron", "every", "at")
_WINDOW = seconds(0.0)
_EVERY = seconds(1.0)
_JITTER = seconds(0.0)


class ScheduleOptions(TypedDict, total=False):
    """Options of a schedule. Durations are seconds or `timedelta`s."""

    cron: str
    """Cron expression of five fields, of six with seconds in front, or a macro such as `@daily`."""
    every: Duration
    """Interval between two runs, at least one second."""
    zone: str
    """Time zone of `cron`, such as `Europe/Berlin`; UTC by default."""
    catch_up: "CatchUp | str"
    """Runs of times that were missed: `one` (the default: the latest one), `skip` or `all`."""
    catch_up_window: Duration
    """Age of the oldest time that `catch_up="all"` runs; a day by default."""
    overlap: "Overlap | str"
    """Action if the run before has not ended: `allow` (the default of `cron`), `skip` (the default of `every`) or
    `replace`, which takes the place of a run that waits."""
    jitter: Duration
    """Longest delay of a run, which differs from run to run."""


class StoredScheduleOptions(ScheduleOptions, total=False):
    """Options of a schedule that is made at run time."""

    at: datetime | float
    """Single moment: an aware datetime, or seconds since the Unix epoch."""


SCHEDULE_OPTION_NAMES = frozenset(ScheduleOptions.__annotations__)


@record
class Timetable:
    """The checked options of a schedule."""

    rhythm: "Rhythm"
    policies: "Policies"


def timetable_of(options: Mapping[str, object], *, where: str, allows_at: bool) -> Timetable:
    """Return checked options.

    Args:
        options: as `StoredScheduleOptions` lists them.
        where: whose options these are, for errors.
        allows_at: whether a single moment is possible.

    Raises:
        TypeError: an option is unknown or of the wrong type.
        ValueError: a value is out of range, or options contradict each other.
    """
    names = SCHEDULE_OPTION_NAMES | ({"at"} if allows_at else set())
    for name in options.keys() - names:
        raise TypeError(
            f"{where} got an unknown option {name!r}. Options of a schedule are {', '.join(sorted(names))}."
        )
    given = [name for name in _RHYTHMS if options.get(name) is not None]
    if len(given) != 1:
        wanted = "cron, every or at" if allows_at else "cron or every"
        raise ValueError(f"{where} must have one of {wanted}, got {' and '.join(given) or 'none'}.")
    if "zone" in options and given != ["cron"]:
        raise ValueError(f"{where} must have a zone only with cron, got {given[0]}.")
    if "catch_up_window" in options and options.get("catch_up") != "all":
        raise ValueError(f"{where} must have a catch_up_window only with catch_up='all'.")
    return Timetable(_rhythm(options, where), _policies(options, where))


def _rhythm(options: Mapping[str, object], where: str) -> "Rhythm":
    from asynctasq.schedules.cron import check_zone, parse_cron
    from asynctasq.schedules.rhythm import At, Cron, Every

    if options.get("every") is not None:
        return Every(float(_checked("every", _EVERY, options["every"], where)))
    if options.get("at") is not None:
        return At(float(_checked("at", CHECKS["eta"], options["at"], where)))
    expression, zone = options["cron"], options.get("zone", "UTC")
    for name, value in (("cron", expression), ("zone", zone)):
        if not isinstance(value, str):
            raise TypeError(f"{where}: {name} must be a string, got {value!r}.")
    try:
        return Cron(parse_cron(cast("str", expression)), check_zone(cast("str", zone)))
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None


def _policies(options: Mapping[str, object], where: str) -> "Policies":
    from asynctasq.schedules.policies import WINDOW, CatchUp, Overlap, Policies

    if options.get("overlap") == "queue":
        raise ValueError(
            f"{where}: overlap must be 'allow', 'skip' or 'replace', got 'queue'. A run that waits for the one "
            f"before needs dependencies between messages, which no store supports yet."
        )
    default = Overlap.SKIP if options.get("every") is not None else Overlap.ALLOW
    return Policies(
        catch_up=_choice(CatchUp, "catch_up", options.get("catch_up", CatchUp.ONE), where),
        window=float(
            _checked("catch_up_window", _WINDOW, options.get("catch_up_window", WINDOW), where)
        ),
        overlap=_choice(Overlap, "overlap", options.get("overlap", default), where),
        jitter=float(_checked("jitter", _JITTER, options.get("jitter", 0.0), where)),
    )


def _checked(name: str, check: Any, value: object, where: str) -> Any:
    try:
        return check(value)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{where}: {name} {error}, got {value!r}.") from None


def _choice(choices: Any, name: str, value: object, where: str) -> Any:
    try:
        return choices(value)
    except ValueError:
        names = " or ".join(repr(each.value) for each in choices)
        raise ValueError(f"{where}: {name} must be {names}, got {value!r}.") from None


def check_schedule_name(name: object) -> str:
    """Return the name of a schedule.

    Raises:
        TypeError: it is not a string.
        ValueError: it is empty or too long, or has characters that cannot be printed.
    """
    if not isinstance(name, str):
        raise TypeError(f"The name of a schedule must be a string, got {name!r}.")
    if not 1 <= len(name) <= NAME_LENGTH or not name.isprintable() or not is_unicode(name):
        raise ValueError(
            f"The name of a schedule must have 1 to {NAME_LENGTH} printable characters, got {name[:300]!r}."
        )
    return name


def take_timetable(options: dict[str, object], *, where: str, driver: object) -> Timetable | None:
    """Remove the options of a schedule from those of a task, and return them checked; None if there are none.

    Raises:
        TaskDefinitionError: the task is dispatched to a driver of its own.
    """
    taken = {name: options.pop(name) for name in SCHEDULE_OPTION_NAMES & options.keys()}
    if not taken:
        return None
    if driver is not None:
        raise TaskDefinitionError(
            f"{where} must not have both a schedule and a driver: workers fire the schedules of their own "
            f"store. Use `await task(...).schedule(name, ...)`."
        )
    return timetable_of(taken, where=where, allows_at=False)
