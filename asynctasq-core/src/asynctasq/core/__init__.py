"""Documented import path of the worker."""
