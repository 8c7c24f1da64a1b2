"""The executor that runs tasks in child processes.

executor ──► pool ──► child (one process, one task at a time)
             orders go down a datagram socket, replies come up a stream: frames
main        the work of a child: receive an order, run it, reply
"""
