"""The worker: fetches messages, runs their tasks, and settles them.

fetcher ──► attempts ──► runner ──► settler      share `InFlight`, the held messages
services/                                        lease renewer, memory limit, health server
process/                                         supervisor, signals, exit watchdog
engine                                           puts them together
"""
