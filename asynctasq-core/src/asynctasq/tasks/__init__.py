"""Defining tasks."""
