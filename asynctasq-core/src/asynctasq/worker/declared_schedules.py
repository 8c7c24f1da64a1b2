"""The schedules that the registered tasks declare, as a worker puts them into its store."""

from collections.abc import Sequence

from asynctasq.contracts.capabilities import Capability
from asynctasq.contracts.capabilities.checking import remedy_for
from asynctasq.contracts.driver import Driver
from asynctasq.dispatch.messages import MessageFactory, check_supported
from asynctasq.errors import CapabilityMissing
from asynctasq.tasks.base import set_field
from asynctasq.tasks.definition import TaskDefinition
from asynctasq.tasks.registry import registry
from asynctasq.worker.services.schedules import DeclaredSchedule


def declared_schedules(driver: Driver, messages: MessageFactory) -> Sequence[DeclaredSchedule]:
    """Return the schedules of all registered tasks.

    Raises:
        CapabilityMissing: there are some, but the driver has no schedules, or lacks an option of a task.
        DispatchError: a task cannot be dispatched.
    """
    tasks = [each for each in registry if each.timetable is not None]
    if tasks and Capability.SCHEDULES not in driver.capabilities:
        raise CapabilityMissing(
            f"The schedule of the task {tasks[0].name} needs the capability SCHEDULES, which "
            f"{type(driver).__qualname__} does not have. {remedy_for(driver, Capability.SCHEDULES)}"
        )
    return [_declared(each, driver, messages) for each in tasks]


def _declared(
    definition: TaskDefinition, driver: Driver, messages: MessageFactory
) -> DeclaredSchedule:
    from asynctasq.dispatch.scheduling import ScheduleDefinition, template_of

    timetable = definition.timetable
    assert timetable is not None
    task = definition.create()
    set_field(task, "_arguments", ((), {}))
    where = f"@task on {definition.name}"
    template = template_of(messages.make(task), has_overlap=True, where=where)
    made = ScheduleDefinition(timetable.rhythm, timetable.policies, template)
    check_supported(driver, made.messages(definition.name, [0.0])[0])
    return DeclaredSchedule(definition.name, definition.module, made)
