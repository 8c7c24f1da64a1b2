"""`asynctasq top`: a live view of queues, workers and running tasks."""

from asynctasq.cli.top.command import command

__all__ = ["command"]
