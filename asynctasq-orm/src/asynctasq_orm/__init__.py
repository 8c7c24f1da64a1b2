"""Models as arguments of tasks: a package for each ORM, none of which imports another."""

__version__ = "0.1.0"
