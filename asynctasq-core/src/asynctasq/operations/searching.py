"""The store that can be searched for dead letters."""

from asynctasq.contracts.driver import Driver


def searched_for_dead(driver: Driver) -> Driver:
    """Return the store in which dead letters are found by ID: the state store of a composed driver."""
    from asynctasq.drivers.composed import ComposedDriver

    return driver.state if isinstance(driver, ComposedDriver) else driver
