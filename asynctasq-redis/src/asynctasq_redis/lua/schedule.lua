-- Records of schedules. This file precedes the scripts that need it. A schedule is a hash `a:<id>`: definition
-- `d`, rhythm `r`, application `b` (a byte before its name; '' if there is none) and state `s`. One command writes
-- what changes together. The set `an` has all ids. The set `at` has those that can be claimed, by the time at
-- which that is possible. A step that failed has left no time that is too late, and claims correct other ones.

local STATE = '>I4Bdddd' -- revision, flags, next time in seconds, when it can be claimed, last seen, last fired
local STATE_BYTES = 37
local PAUSED, ORPHANED, HAS_NEXT, HAS_FIRED = 1, 2, 4, 8
local MOST_STATE_FLAGS = 15
local FINISHED_KEPT = 86400000000 -- microseconds for which a schedule is kept after its last time
local LATEST = 9e15 -- times of schedules beyond this count as this
local AT, AN = P .. 'at', P .. 'an'

-- Return a state by its bytes; nil if they are damaged.
local function unpack_state(packed)
    if not packed or #packed ~= STATE_BYTES then return nil end
    local revision, flags, next_at, due, seen, fired = unpack_from(STATE, packed)
    if revision == 0 or flags > MOST_STATE_FLAGS or next_at - next_at ~= 0 or not is_time(due)
            or not is_time(seen) or not is_time(fired) then
        return nil
    end
    return {revision = revision, flags = flags, due = due, seen = seen, fired = fired,
        next_at = band(flags, HAS_NEXT) ~= 0 and next_at or nil}
end

local function packed_state(s)
    local kept = band(s.flags, bnot(HAS_NEXT))
    return pack(STATE, s.revision, s.next_at and kept + HAS_NEXT or kept, s.next_at or 0, s.due, s.seen, s.fired)
end

local function state_of(id)
    return unpack_state(call('HGET', P .. 'a:' .. id, 's'))
end

local function is_active(s)
    return band(s.flags, PAUSED + ORPHANED) == 0
end

-- Set the next time, and when the schedule can be claimed or, after its last time, is deleted.
local function set_next(s, next_at, now)
    s.next_at = next_at
    local due = next_at and math.floor(next_at * 1000000 + 0.5) or now + FINISHED_KEPT
    s.due = math.max(math.min(due, LATEST), -LATEST)
end

-- Return the definition, the rhythm, the state, the application and the id of a schedule; nil if it is unknown.
local function schedule_row(id)
    local key = P .. 'a:' .. id
    local row = call('HMGET', key, 'd', 'r', 's', 'b')
    if not (row[1] and row[2] and row[3] and row[4]) then
        if call('EXISTS', key) == 0 then return nil end
        for part = 1, 4 do row[part] = row[part] or '' end
    end
    row[5] = id
    return row
end

-- Changes are collected, and written in this order: earlier times, ids, records, later times.
local times, ids_of_new, records, inactive = {}, {}, {}, {}

-- Keep a schedule with its state and fields. A claim of it ends.
local function keep_schedule(id, s, ...)
    records[#records + 1] = {P .. 'a:' .. id, 's', packed_state(s), ...}
    if is_active(s) then
        local place = #times
        times[place + 1], times[place + 2] = whole(s.due), id
    else
        inactive[#inactive + 1] = id
    end
end

-- The same, and a claim stays in force.
local function keep_claimed(id, s, ...)
    if is_active(s) and not call('ZSCORE', AT, id) then return keep_schedule(id, s, ...) end
    records[#records + 1] = {P .. 'a:' .. id, 's', packed_state(s), ...}
end

local function write_schedules()
    for from = 1, #times, ARGUMENTS do
        call('ZADD', AT, 'LT', unpack(times, from, math.min(from + ARGUMENTS - 1, #times)))
    end
    spread('ZADD', AN, ids_of_new)
    for _, record in ipairs(records) do call('HSET', unpack(record)) end
    spread('ZADD', AT, times)
    spread('ZREM', AT, inactive)
    times, ids_of_new, records, inactive = {}, {}, {}, {}
end
