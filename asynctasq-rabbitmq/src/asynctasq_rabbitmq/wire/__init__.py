"""A client of AMQP 0-9-1 for the few methods that a task queue needs.

pamqp encodes and decodes the methods that occur once in a while. `frames` does it for those that occur with
each message, without an object for each frame. A connection never recovers by itself: its owner opens another.
"""

from asynctasq_rabbitmq.wire.channel import Channel
from asynctasq_rabbitmq.wire.confirms import Answer
from asynctasq_rabbitmq.wire.connection import Connection
from asynctasq_rabbitmq.wire.errors import ChannelClosed, ConnectionLost
from asynctasq_rabbitmq.wire.frames import Incoming, Outgoing

__all__ = [
    "Answer",
    "Channel",
    "ChannelClosed",
    "Connection",
    "ConnectionLost",
    "Incoming",
    "Outgoing",
]
