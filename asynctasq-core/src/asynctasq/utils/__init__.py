"""Documented import path of the loop runner."""
