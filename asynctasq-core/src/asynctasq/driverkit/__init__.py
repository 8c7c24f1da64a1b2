"""Functions and values that drivers share, for everyone who writes one.

- packing: messages, profiles and errors as bytes
- numbers: checks of times, durations and settlements before they reach a store
- times: times and durations as microseconds, and how long outcomes are kept at least
- cursors: places in a listing as text
- id_parts: ids that begin or end with some digits
- id_walks: searches for them in stores that have all ids in an index
- batching: pieces of a list, bounded in number and in bytes
- opening: the check that a driver is open, in this process
- url_settings: parameters of a URL as settings, and checks of settings
- tls: the context of encrypted connections
- hints: where a search begins while old entries of an index make it slow
- outages: which leases may be reclaimed after the store was unavailable
- selection: the messages that a reserve takes
- metrics: counts of workers: which are kept, and how they are added up
- events: positions in a stream of events, and which batches are dropped
- continued_calls: calls that a cancelled `wait` does not interrupt
- strays: leases that their owner does not know of
- schedules: checks of schedules and firings, and when a schedule can be claimed
- store_errors: exceptions of a client library as `DriverError`s
"""

from asynctasq.counts import sum_counts
from asynctasq.driverkit.batching import batches
from asynctasq.driverkit.cursors import pack_cursor, unpack_cursor
from asynctasq.driverkit.id_parts import (
    check_id_part,
    has_id_part,
    id_range,
    match_by_browsing,
)
from asynctasq.driverkit.numbers import (
    bounded,
    can_settle,
    check_lease,
    check_numbers,
    is_finite,
    next_token,
)
from asynctasq.driverkit.opening import check_open
from asynctasq.driverkit.outages import Outages, UpkeepMark, next_mark, set_back_by
from asynctasq.driverkit.packing import (
    ID_BYTES,
    check_id,
    damage_info,
    decode_message,
    is_plain,
    not_unicode,
    pack_error,
    pack_message,
    pack_profile,
    salvage,
    unpack_error,
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
from asynctasq.driverkit.times import FOREVER, OUTCOME_TTL_LEAST, kept_for, micros, seconds
from asynctasq.driverkit.url_settings import (
    check_amount,
    check_parameter_names,
    check_type,
    flag,
    settings_from,
    split_query,
    url_settings,
    without_query,
)

__all__ = [
    "FOREVER",
    "ID_BYTES",
    "OUTCOME_TTL_LEAST",
    "HasDueTime",
    "HasMessage",
    "Outages",
    "UpkeepMark",
    "batches",
    "bounded",
    "can_settle",
    "check_amount",
    "check_id",
    "check_id_part",
    "check_lease",
    "check_numbers",
    "check_open",
    "check_parameter_names",
    "check_type",
    "choose",
    "damage_info",
    "decode_message",
    "due_time",
    "flag",
    "has_id_part",
    "id_range",
    "is_finite",
    "is_plain",
    "is_too_late",
    "kept_for",
    "match_by_browsing",
    "matches_error",
    "matches_task",
    "micros",
    "next_mark",
    "next_token",
    "not_unicode",
    "pack_cursor",
    "pack_error",
    "pack_message",
    "pack_profile",
    "salvage",
    "seconds",
    "set_back_by",
    "settings_from",
    "split_query",
    "store_errors",
    "sum_counts",
    "unpack_cursor",
    "unpack_error",
    "unpack_message",
    "unpack_profile",
    "url_settings",
    "without_query",
]
