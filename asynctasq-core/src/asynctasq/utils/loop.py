"""The runner under its documented import path."""

from asynctasq.default import run

__all__ = ["run"]
