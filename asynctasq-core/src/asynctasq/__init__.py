"""A task queue for asyncio in which everything that touches the outside is a plugin."""

__version__ = "0.1.0"
