"""Documented import paths of the worker. The package only re-exports."""
