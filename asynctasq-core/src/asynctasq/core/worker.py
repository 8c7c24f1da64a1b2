"""Documented import path of `Worker`."""

from asynctasq.worker.worker import Worker

__all__ = ["Worker"]
