"""A queue and a state store as one driver."""

from asynctasq.drivers.composed.driver import ComposedDriver, compose

__all__ = ["ComposedDriver", "compose"]
