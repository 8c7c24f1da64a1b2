"""One check: a coroutine, the guarantees that it proves, and the capabilities that it needs."""

from collections.abc import Awaitable, Callable, Iterator
from types import CodeType, FunctionType

from asynctasq.conformance.harness import Harness
from asynctasq.contracts.capabilities import Capability
from asynctasq.records import record


@record
class Check:
    """One rule that a driver must keep."""

    name: str
    """Name, unique in the suite. `known_failures` refers to it."""
    theme: str
    run: Callable[[Harness], Awaitable[None]]
    proves: str
    """Letters of the guarantees in `docs/guarantees.md`; empty for rules below them."""
    needs: Capability
    """Capabilities that the check needs. It is left out for a driver without them."""
    durable: bool
    """True if the check is only for stores that outlive their last open instance."""
    summary: str
    rules: tuple[int, ...] = ()
    """Numbers of the rules in `docs/writing-a-driver.md`."""
    damages: bool = False
    """True if the check damages records, which only the suite of a driver can do."""
    stops: bool = False
    """True if the check stops the store hard, which only the suite of a driver can do."""
    transacts: bool = False
    """True if the check needs transactions of an application, which only the suite of a driver can begin."""
    real_time: bool = False
    """True if the check waits for seconds. It runs if the clock is not movable, or on request."""

    @property
    def moves_clock(self) -> bool:
        """True if the check moves the clock of the store."""
        return _calls(self.run, _MOVES_CLOCK, set())

    @property
    def sentence(self) -> str:
        """The rule that is checked, as a sentence."""
        name = f"{self.name.replace('_', ' ').capitalize()}."
        more = " ".join(self.summary.split())
        return name if more in {"", self.name.replace("_", " ")} else f"{name} {more}"

    @property
    def breaks(self) -> str:
        """The broken promise if the check fails, such as `guarantee g, rules 19 and 20`; empty if there is none."""
        return ", ".join(
            f"{what}{'s' if len(many) > 1 else ''} {' and '.join(map(str, many))}"
            for what, many in (("guarantee", self.proves), ("rule", self.rules))
            if many
        )

    def applies_to(
        self,
        capabilities: Capability,
        *,
        durable: bool,
        can_damage: bool = False,
        can_stop: bool = False,
        can_transact: bool = False,
        clock_is_movable: bool = True,
        real_time: bool = False,
    ) -> bool:
        """Return whether the check is made for such a driver.

        Args:
            capabilities: those of the driver.
            durable: its messages outlive its last open instance.
            can_damage: the suite of the driver can damage a record.
            can_stop: the suite of the driver can stop the store hard.
            can_transact: the suite of the driver can begin transactions.
            clock_is_movable: the attribute of the driver.
            real_time: checks that wait for seconds are made although the clock is movable.
        """
        return (
            self.needs in capabilities
            and (durable or not self.durable)
            and (can_damage or not self.damages)
            and (can_stop or not self.stops)
            and (can_transact or not self.transacts)
            and (real_time or not clock_is_movable or not self.real_time)
            and (clock_is_movable or not self.moves_clock)
        )


def _summary(run: Callable[[Harness], Awaitable[None]]) -> str:
    """Return the docstring of a check as a statement, or its name."""
    text = (run.__doc__ or run.__name__.replace("_", " ")).strip()
    statement = text.removeprefix("Check that ")
    return text if statement == text else statement[:1].upper() + statement[1:]


_MOVES_CLOCK = frozenset({"advance", "jump", "end_leases"})
"""Methods of `Harness` that move the clock."""


def _calls(function: object, names: frozenset[str], seen: set[object]) -> bool:
    """Return whether the code of a function, or of a function of its module that it uses, has one of `names`."""
    if not isinstance(function, FunctionType) or function in seen:
        return False
    seen.add(function)
    used = set(_names(function.__code__))
    return bool(used & names) or any(
        _calls(function.__globals__.get(name), names, seen)
        for name in used
        if getattr(function.__globals__.get(name), "__module__", None) == function.__module__
    )


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def check(
    proves: str = "",
    *rules: int,
    needs: Capability = Capability.NONE,
    durable: bool = False,
    damages: bool = False,
    stops: bool = False,
    transacts: bool = False,
    real_time: bool = False,
) -> Callable[[Callable[[Harness], Awaitable[None]]], Check]:
    """Make a check of a coroutine function. The check has its name, and the theme of its module.

    Args:
        proves: letters of guarantees.
        rules: numbers of rules.
        needs: capabilities without which a driver is not asked.
        durable: only for stores that outlive their last open instance.
        damages: only where the suite says how to damage a record.
        stops: only where the suite says how to stop the store hard.
        transacts: only where the suite says how an application begins a transaction.
        real_time: the check waits for seconds.
    """

    def make(run: Callable[[Harness], Awaitable[None]]) -> Check:
        return Check(
            name=run.__name__,
            theme=run.__module__.rpartition(".")[2],
            run=run,
            proves=proves,
            needs=needs,
            durable=durable,
            summary=_summary(run),
            rules=rules,
            damages=damages,
            stops=stops,
            transacts=transacts,
            real_time=real_time,
        )

    return make
