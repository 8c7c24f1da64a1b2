"""Models as arguments of tasks: one package for each ORM, independent of the others."""

__version__ = "0.1.0"
