"""The runner under its documented import path."""

from asynctasq.app import run

__all__ = ["run"]
