"""One check: a coroutine, the guarantees that it proves, and the capabilities that it needs."""

from collections.abc import Awaitable, Callable

from asynctasq.conformance.harness import Harness
from asynctasq.contracts.capabilities import Capability
from asynctasq.records import record


@record
class Check:
    """One rule that a driver must keep."""

    name: str
    """Unique in the suite; what `known_failures` names."""
    theme: str
    run: Callable[[Harness], Awaitable[None]]
    proves: str
    """Letters of the guarantees in `docs/guarantees.md`; empty for rules below them."""
    needs: Capability
    """A driver without these is not asked."""
    durable: bool
    """Only for stores that outlive their last open instance."""
    summary: str
    rules: tuple[int, ...] = ()
    """Numbers of the rules in `docs/writing-a-driver.md`."""
    damages: bool = False
    """True if the check damages records, which only the suite of a driver can do."""

    @property
    def sentence(self) -> str:
        """What is checked, for people."""
        name = f"{self.name.replace('_', ' ').capitalize()}."
        more = " ".join(self.summary.split())
        return name if more in {"", self.name.replace("_", " ")} else f"{name} {more}"

    @property
    def breaks(self) -> str:
        """`guarantee g, rules 19 and 20`: what does not hold where it fails; empty if it is none."""
        return ", ".join(
            f"{what}{'s' if len(many) > 1 else ''} {' and '.join(map(str, many))}"
            for what, many in (("guarantee", self.proves), ("rule", self.rules))
            if many
        )

    def applies_to(
        self, capabilities: Capability, *, durable: bool, can_damage: bool = False
    ) -> bool:
        """Return whether the check is made for such a driver."""
        return (
            self.needs in capabilities
            and (durable or not self.durable)
            and (can_damage or not self.damages)
        )


def check(
    proves: str = "",
    *rules: int,
    needs: Capability = Capability.NONE,
    durable: bool = False,
    damages: bool = False,
) -> Callable[[Callable[[Harness], Awaitable[None]]], Check]:
    """Make a check of a coroutine function; its name is the check's, its module the theme.

    Args:
        proves: letters of guarantees.
        rules: numbers of rules.
        needs: capabilities without which a driver is not asked.
        durable: only for stores that outlive their last open instance.
        damages: only where the suite says how to damage a record.
    """

    def make(run: Callable[[Harness], Awaitable[None]]) -> Check:
        return Check(
            name=run.__name__,
            theme=run.__module__.rpartition(".")[2],
            run=run,
            proves=proves,
            needs=needs,
            durable=durable,
            summary=(run.__doc__ or run.__name__.replace("_", " ")).strip(),
            rules=rules,
            damages=damages,
        )

    return make
