"""Dispatch: from a task with arguments to a message in a store, and to its outcome.

messages ──► outbox ──► driver.enqueue ⇢ store ⇢ watcher
             connections: one opened driver per event loop
"""
