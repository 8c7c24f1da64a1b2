"""A queue and a state store as one driver."""

from asynctasq.drivers.composed.driver import ComposedDriver, compose
from asynctasq.drivers.composed.namespaces import check_namespaces

__all__ = ["ComposedDriver", "check_namespaces", "compose"]
