"""Dispatch: from a task with arguments to a message in a store, and to its outcome.

dispatcher ──► messages ──► batcher ──► driver.enqueue ⇢ store ⇢ watcher ──► handle
               stores and connections: one opened driver for each store and event loop
"""
