-- What all scripts share. Each script is this file, then its own.
--
-- Every key begins with KEYS[1], `{namespace}:`, whose braces put all of them into one slot of a
-- cluster. What follows is described in docs/redis.md, "Key layout".
--
-- Times are whole microseconds: as floats they are exact until the year 2255.

local P = KEYS[1]
local call, pack, unpack_from = redis.call, struct.pack, struct.unpack
local byte, sub, format = string.byte, string.sub, string.format
local band, bor, bnot = bit.band, bit.bor, bit.bnot

-- First byte of a message's key.
local WAITING, DEAD, COMPLETED, CANCELLED = 1, 2, 3, 4 -- WAITING: or leased, if `leases` has it
-- Second byte.
local EXTRA, UNIQUE, EXPIRES, MISMATCHED = 1, 2, 4, 8
local HEAD = '>BBI4I4I4I4Bdddd' -- state, flags, token, attempt, lost, max_lost, priority, then times
local HEAD_AND_QUEUE = HEAD .. 'Hc0'
local OUTCOME = '>BBdd' -- state, whether there is a result, finished, kept until; then the result
local MOST_OF_A_HEAD = 1023 -- the last byte that is read of a message where its body is not wanted
local LEASE = '>I4dB' -- token, leased at, flags; then owner and queue
local LEASE_TAIL = 14
local PADDED = 65 -- a hash with a value this long is a hash table, whatever its size
local HOLD = '>c16Bdd' -- holder, until, end of the period or 0, length of the period

local BOUND = 1000 -- messages that one call moves at most
local FEW = 250 -- of those for whose sake a dozen commands are run
local ARGUMENTS = 4000 -- that are given to one command at most
local LEAST_TTL, MOST_TTL = 60, 1e9 -- seconds

-- A queue is one sorted set: by priority, then by time, then (by its members) by id.
local SPAN = 900000000000000 -- the times of one priority: 28 years
local EPOCH = 1735689600000000 -- from 2025 on

local function whole(number)
    return format('%.0f', number)
end

local function clock(offset)
    local time = call('TIME')
    return time[1] * 1000000 + time[2] + offset
end

local function rank(priority, due)
    local time = due - EPOCH
    if time < 0 then time = 0 elseif time >= SPAN then time = SPAN - 1 end
    return whole((9 - priority) * SPAN + time)
end

-- Call a command with a long list of arguments, in pieces.
local function spread(command, key, list)
    local count = #list
    if count == 0 then return end
    for from = 1, count, ARGUMENTS do
        call(command, key, unpack(list, from, math.min(from + ARGUMENTS - 1, count)))
    end
end

-- Messages.

local function parse(value)
    local h = {}
    h.state, h.flags, h.token, h.attempt, h.lost, h.max_lost, h.priority, h.enqueued, h.due,
        h.expires, h.ttl, h.queue, h.after = unpack_from(HEAD_AND_QUEUE, value)
    return h
end

-- The head of a message that lives or is dead; nil otherwise.
local function head(id)
    local value = call('GETRANGE', P .. 'm:' .. id, 0, MOST_OF_A_HEAD)
    if value == '' or byte(value, 1) > DEAD then return nil end
    return parse(value)
end

local function write_head(id, h)
    call('SETRANGE', P .. 'm:' .. id, 0, pack(HEAD, h.state, h.flags, h.token, h.attempt, h.lost,
        h.max_lost, h.priority, h.enqueued, h.due, h.expires, h.ttl))
end

-- Whether the id is taken: by a message, or by an outcome that is kept.
local function is_known(id, now)
    local value = call('GETRANGE', P .. 'm:' .. id, 0, 17)
    if value == '' then return false end
    if byte(value, 1) <= DEAD then return true, byte(value, 1) end
    local state, _, _, kept_until = unpack_from(OUTCOME, value)
    return kept_until > now, state
end

-- Waking those who wait.

-- Whether it was heard. What is pushed is a hint: who may not push (ACL) does all the rest.
local function push(instance, what)
    return redis.pcall('PUBLISH', P .. 'p:' .. instance, what) ~= 0
end

local function wake(queue, count)
    local key = P .. 'i:' .. queue
    local wanted = math.min(count, 100)
    while wanted > 0 do
        local waiting = call('ZREVRANGE', key, 0, wanted - 1)
        if #waiting == 0 then return end
        call('ZREM', key, unpack(waiting))
        for _, instance in ipairs(waiting) do
            if push(instance, 'q' .. queue) then wanted = wanted - 1 end
        end
    end
end

local results_awaited = nil

local function tell_end(id)
    if results_awaited == nil then
        results_awaited = call('EXISTS', P .. 'awaited') == 1
    end
    if not results_awaited then return end
    local key = P .. 'w:' .. id
    local waiting = call('SMEMBERS', key)
    if #waiting == 0 then return end
    call('DEL', key)
    for _, instance in ipairs(waiting) do push(instance, 'r' .. id) end
end

-- Unique keys.

local function unique_key(id, h)
    local value = call('GET', P .. 'm:' .. id)
    return (unpack_from('>I4c0', value, h.after))
end

local function free_key(id, h, even_period, started)
    if band(h.flags, UNIQUE) == 0 then return end
    local key = P .. 'u:' .. unique_key(id, h)
    local hold = call('GET', key)
    if not hold then return end
    local holder, held_until = unpack_from(HOLD, hold)
    if holder ~= id then return end
    if held_until == 3 and not even_period then return end
    if held_until ~= 1 and started then return end
    call('DEL', key)
end

local function hold_key(id, key, held_until, period, now)
    if held_until == 3 then
        local value = pack(HOLD, id, held_until, now + period, period)
        call('SET', P .. 'u:' .. key, value, 'PX', whole(math.max(math.ceil(period / 1000), 1)))
    else
        call('SET', P .. 'u:' .. key, pack(HOLD, id, held_until, 0, 0))
    end
end

-- Who holds a key; nil if nobody does.
local function hold_of(key, now)
    local hold = call('GET', P .. 'u:' .. key)
    if not hold then return nil end
    local holder, held_until, ends, period = unpack_from(HOLD, hold)
    if ends ~= 0 and ends <= now then return nil end
    return holder, held_until, period
end

-- Scheduled messages are kept by priority: of those that fall due the most urgent are made ready first,
-- however many there are.

local function scheduled_set(priority, queue)
    return P .. 's' .. priority .. ':' .. queue
end

-- From priority 9 on down; empty if none holds anything.
local function scheduled_sets(queue)
    local keys = {}
    for priority = 9, 0, -1 do keys[10 - priority] = scheduled_set(priority, queue) end
    return call('EXISTS', unpack(keys)) > 0 and keys or {}
end

-- From state to state. Leases are ended by the callers.

local function make_ready(id, h)
    call('ZADD', P .. 'r:' .. h.queue, rank(h.priority, h.due), id)
    wake(h.queue, 1)
end

local function make_scheduled(id, h, now)
    call('ZADD', scheduled_set(h.priority, h.queue), whole(h.due), id)
    if h.due - now < 1500000 then wake(h.queue, 1) end -- others look again every second
end

local function leave_waiting(id, h)
    if call('ZREM', P .. 'r:' .. h.queue, id) == 0 then
        call('ZREM', scheduled_set(h.priority, h.queue), id)
    end
end

local function never_expires(id, h)
    if band(h.flags, EXPIRES) ~= 0 then
        h.flags = h.flags - EXPIRES
        h.expires = 0
        call('ZREM', P .. 'exp', id)
    end
end

-- Let go of what a message has beside its key.
local function drop_rest(id, h, even_period)
    free_key(id, h, even_period)
    never_expires(id, h)
    if band(h.flags, EXTRA) ~= 0 then call('DEL', P .. 'x:' .. id) end
end

local function keep_outcome(id, state, ttl, now)
    local seconds = math.max(math.min(ttl, MOST_TTL), LEAST_TTL)
    call('SET', P .. 'm:' .. id, pack(OUTCOME, state, 0, now, now + seconds * 1000000), 'PX',
        whole(seconds * 1000))
    tell_end(id)
end

local function cancel_for_good(id, h, ttl, now)
    drop_rest(id, h)
    keep_outcome(id, CANCELLED, ttl, now)
end

-- To the dead letters. The error is kept as it is where `err` is nil, removed where it is ''.
local function bury(id, h, reason, err, now)
    free_key(id, h)
    never_expires(id, h)
    h.state = DEAD
    h.flags = bor(h.flags, EXTRA)
    write_head(id, h)
    local extra = P .. 'x:' .. id
    call('HSET', extra, 'r', reason, 'd', whole(now))
    if err == '' then
        call('HDEL', extra, 'p', 'e')
    else
        call('HDEL', extra, 'p')
        if err then call('HSET', extra, 'e', err) end
    end
    call('ZADD', P .. 'dead', whole(now), id)
    call('ZADD', P .. 'd:' .. h.queue, whole(now), id)
    tell_end(id)
end

local function leave_dead(id, h)
    call('ZREM', P .. 'dead', id)
    call('ZREM', P .. 'd:' .. h.queue, id)
end

local function delete(id, h, even_period)
    drop_rest(id, h, even_period)
    call('DEL', P .. 'm:' .. id)
end

-- Leases.

local function lease_tail(owner, queue, flags, now)
    local tail = pack('>dBHc0Hc0', now, flags, #owner, owner, #queue, queue)
    return tail .. string.rep('\0', PADDED - 4 - #tail)
end

local function owner_and_queue(lease)
    local owner, queue = unpack_from('>Hc0Hc0', lease, LEASE_TAIL)
    return owner, queue
end

-- The names of those queues are forgotten that hold nothing.
local function forget_if_empty(queue)
    if call('HGET', P .. 'queues', queue) == '0'
            and call('EXISTS', P .. 'r:' .. queue, P .. 'd:' .. queue) == 0
            and #scheduled_sets(queue) == 0 then
        call('HDEL', P .. 'queues', queue)
    end
end

-- A server that has no memory left refuses what would take more, unless something was written before
-- it. Workers are to go on there, because what they complete makes room, and so are operators.
local function even_when_full()
    call('DEL', P .. 'none')
end
