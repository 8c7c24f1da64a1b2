"""Functions and values that drivers share, for everyone who writes one.

- packing: messages, profiles and errors as bytes
- numbers: checks of times, durations and settlements before they reach a store
- outages: which leases may be reclaimed after the store was unavailable
- selection: the messages that a reserve takes
- store_errors: exceptions of a client library as `DriverError`s
"""

from asynctasq.driverkit.numbers import can_settle, check_lease, check_numbers, is_finite
from asynctasq.driverkit.outages import Outages, UpkeepMark, next_mark, set_back_by
from asynctasq.driverkit.packing import (
    ID_BYTES,
    check_id,
    damage_info,
    decode_message,
    is_plain,
    not_unicode,
    pack_message,
    pack_profile,
    salvage,
    unpack_message,
    unpack_profile,
)
from asynctasq.driverkit.selection import (
    HasDueTime,
    HasMessage,
    choose,
    due_time,
    is_too_late,
    matches_error,
    matches_task,
)
from asynctasq.driverkit.store_errors import store_errors

__all__ = [
    "ID_BYTES",
    "HasDueTime",
    "HasMessage",
    "Outages",
    "UpkeepMark",
    "can_settle",
    "check_id",
    "check_lease",
    "check_numbers",
    "choose",
    "damage_info",
    "decode_message",
    "due_time",
    "is_finite",
    "is_plain",
    "is_too_late",
    "matches_error",
    "matches_task",
    "next_mark",
    "not_unicode",
    "pack_message",
    "pack_profile",
    "salvage",
    "set_back_by",
    "store_errors",
    "unpack_message",
    "unpack_profile",
]
