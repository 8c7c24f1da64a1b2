-- What all scripts share. Each script is this file, then its own, which runs as one function (see
-- the end of this file and scripts.py).
--
-- Every key begins with KEYS[1], `{namespace}:`, whose braces put all of them into one slot of a
-- cluster. What follows is described in docs/redis.md, "Key layout".
--
-- Times are whole microseconds: as floats they are exact until the year 2255.
--
-- A script that fails half-way keeps what it has written. Three rules make that harmless:
--  1. Read and compute first. What is read may be damaged, so reading never raises.
--  2. Write last, and add to an index before removing from another. A lease ends last of all.
--  3. A repeated call finishes what the first one began. If it is not repeated, sweep.lua finds what is left.

local P = KEYS[1]
local OLD = string.sub(P, 1, -3) -- how keys of the format before this one begin
local call, pack, unpack_from = redis.call, struct.pack, struct.unpack
local byte, sub, format = string.byte, string.sub, string.format
local band, bor, bnot = bit.band, bit.bor, bit.bnot

-- First byte of a message's key.
local WAITING, DEAD, COMPLETED, CANCELLED = 1, 2, 3, 4 -- WAITING: or leased, if `leases` has it
-- Second byte. LARGE: it is in the set `big`. DAMAGED: behind the queue are the bytes of a record that
-- could not be read.
-- ADOPTED: it is from the format before this one.
local EXTRA, UNIQUE, EXPIRES, MISMATCHED, DAMAGED, LARGE, ADOPTED = 1, 2, 4, 8, 16, 32, 64
local MOST_FLAGS = 127
local HEAD = '>BBI8I4I4I4Bdddd' -- state, flags, token, attempt, lost, max_lost, priority, then times
local HEAD_AND_QUEUE = HEAD .. 'Hc0'
local HEAD_BYTES = 55
local OUTCOME = '>BBdd' -- state, contents, finished, kept until; then the contents
local OUTCOME_BYTES = 18
local RESULT, ABOUT = 1, 2 -- contents of an outcome: a result; before it, a note of the worker's with its length
local MOST_OF_A_HEAD = 1023 -- the last byte that is read of a message where its body is not wanted
local LEASE = '>I8dBHc0Hc0' -- token, leased at, flags, owner, queue; then the length of the lease
local PADDED = 65 -- a hash with a value this long is a hash table, whatever its size
local HOLD = '>c16Bdd' -- holder, until, end of the period or 0, length of the period
local LARGEST_TOKEN = 9e15 -- and 1 more than that is exact in a float
local NO_TIME = 1e16 -- no time that was stored on purpose is as far away

local BOUND = 1000 -- messages that one call moves at most
local FEW = 250 -- of those for whose sake a dozen commands are run
local ARGUMENTS = 4000 -- that are given to one command at most
local LEAST_TTL, MOST_TTL = 60, 1e9 -- seconds
local MOST_BYTES = 8 * 1024 * 1024 -- of what one call answers with, so that it takes some milliseconds
local LARGE_BYTES = 16 * 1024 -- from here on the size of a message is looked at before it is read

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

local function is_time(number)
    return number > -NO_TIME and number < NO_TIME -- which NaN is not
end

-- A message by its bytes, or by their beginning. A record that cannot be read has `damaged` and no queue.
local function parse(value)
    local h = {value = value}
    local read
    read, h.state, h.flags, h.token, h.attempt, h.lost, h.max_lost, h.priority, h.enqueued, h.due,
        h.expires, h.ttl, h.queue, h.after = pcall(unpack_from, HEAD_AND_QUEUE, value)
    if read and h.state <= DEAD and h.state > 0 and h.flags <= MOST_FLAGS and h.priority <= 9
            and h.token < LARGEST_TOKEN and is_time(h.enqueued) and is_time(h.due) and is_time(h.expires) and h.ttl == h.ttl
            and h.queue ~= '' then
        return h
    end
    return {damaged = true, value = value, state = byte(value, 1) == DEAD and DEAD or WAITING, flags = 0, token = 0}
end

-- The head of a message that lives or is dead; nil otherwise.
local function head(id)
    local key = P .. 'm:' .. id
    local value = call('GETRANGE', key, 0, MOST_OF_A_HEAD)
    if value == '' and call('EXISTS', key) == 0 then return nil end
    local state = byte(value, 1)
    if (state == COMPLETED or state == CANCELLED) and #value >= OUTCOME_BYTES then return nil end
    return parse(value)
end

local function packed_head(h)
    return pack(HEAD, h.state, h.flags, h.token, h.attempt, h.lost, h.max_lost, h.priority,
        h.enqueued, h.due, h.expires, h.ttl)
end

local function write_head(id, h)
    call('SETRANGE', P .. 'm:' .. id, 0, packed_head(h))
end

-- Whether the id is taken: by a message, or by an outcome that is kept; and the first byte.
local function is_known(id, now)
    local key = P .. 'm:' .. id
    local value = call('GETRANGE', key, 0, OUTCOME_BYTES - 1)
    if value == '' and call('EXISTS', key) == 0 then return false end
    local state = byte(value, 1)
    if state ~= COMPLETED and state ~= CANCELLED or #value < OUTCOME_BYTES then return true, state end
    local _, _, _, kept_until = unpack_from(OUTCOME, value)
    return kept_until > now, state
end

-- Leases.

local function lease_tail(owner, queue, flags, now, length)
    local tail = pack('>dBHc0Hc0d', now, flags, #owner, owner, #queue, queue, length)
    return tail .. string.rep('\0', PADDED - 8 - #tail)
end

-- A lease by its record; nil if there is none, or if it cannot be read.
local function read_lease(record)
    if not record then return nil end
    local read, token, at, flags, owner, queue, after = pcall(unpack_from, LEASE, record)
    if not read or not is_time(at) then return nil end
    local length = #record >= after + 7 and unpack_from('>d', record, after) or 0
    return {token = token, at = at, flags = flags, owner = owner, queue = queue, length = length}
end

local function lease_of(id)
    return read_lease(call('HGET', P .. 'leases', id))
end

-- The last of a step, after the message is where it belongs.
local function end_lease(id, lease)
    if call('HDEL', P .. 'leases', id) == 1 then
        call('HINCRBY', P .. 'queues', lease.queue, -1)
    end
    call('SREM', P .. 'o:' .. lease.owner, id)
    call('SREM', P .. 'c:' .. lease.owner, id)
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

-- The unique key of a message that has one; nil if it cannot be read.
local function unique_name(id, h)
    local key = P .. 'm:' .. id
    local length = call('GETRANGE', key, h.after - 1, h.after + 2)
    if #length < 4 then return nil end
    local size = unpack_from('>I4', length)
    local name = size == 0 and '' or call('GETRANGE', key, h.after + 3, h.after + 2 + size)
    return #name == size and name or nil
end

local function read_hold(hold)
    if not hold then return nil end
    local read, holder, held_until, ends, period = pcall(unpack_from, HOLD, hold)
    if not read or not is_time(ends) or not is_time(period) then return nil end
    return holder, held_until, ends, period
end

-- The store's key of a hold that ends with a step; nil if there is none. Read before the step writes.
local function hold_to_free(id, h, even_period, started)
    if band(h.flags, UNIQUE) == 0 then return nil end
    local name = unique_name(id, h)
    if not name then return nil end
    local key = P .. 'u:' .. name
    local holder, held_until = read_hold(call('GET', key))
    if holder ~= id then return nil end
    if held_until == 3 and not even_period then return nil end
    if held_until ~= 1 and started then return nil end
    return key
end

local function hold_key(id, key, held_until, period, now)
    if held_until == 3 then
        local value = pack(HOLD, id, held_until, now + period, period)
        call('SET', P .. 'u:' .. key, value, 'PX', whole(math.max(math.ceil(period / 1000), 1)))
    else
        call('SET', P .. 'u:' .. key, pack(HOLD, id, held_until, 0, 0))
    end
end

-- Who holds a key, until when, for how long, and its head; nil if nobody does. A holder that has
-- ended, is dead or never came to be (its enqueue failed half-way) holds none.
local function hold_of(key, now)
    local holder, held_until, ends, period = read_hold(call('GET', P .. 'u:' .. key))
    if not holder or ends ~= 0 and ends <= now then return nil end
    local h = head(holder)
    if held_until ~= 3 and (not h or h.state == DEAD or band(h.flags, UNIQUE) == 0) then return nil end
    return holder, held_until, period, h
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

-- From state to state. Leases are ended by the callers, afterwards.

local function make_ready(id, h)
    call('ZADD', P .. 'r:' .. h.queue, rank(h.priority, h.due), id)
    wake(h.queue, 1)
end

local function make_scheduled(id, h, now)
    call('ZADD', scheduled_set(h.priority, h.queue), whole(h.due), id)
    if h.due - now < 1500000 then wake(h.queue, 1) end -- others look again every second
end

local function make_wait(id, h, now)
    if h.due > now then make_scheduled(id, h, now) else make_ready(id, h) end
end

local function leave_waiting(id, queue, priority)
    if call('ZREM', P .. 'r:' .. queue, id) == 1 then return true end
    return call('ZREM', scheduled_set(priority, queue), id) == 1
end

-- Show processes of the release before how a message has ended that one of them has added.
local function mirror(id)
    local value = call('GET', P .. 'm:' .. id)
    local milliseconds = value and call('PTTL', P .. 'm:' .. id) or 0
    if milliseconds <= 0 or #value < OUTCOME_BYTES then return end
    local state, contents, finished, kept = unpack_from(OUTCOME, value)
    local from = OUTCOME_BYTES + 1
    if contents >= ABOUT then from = from + 2 + unpack_from('>H', value, from) end
    local has_result = contents % ABOUT
    call('SET', OLD .. 'm:' .. id, pack(OUTCOME, state, has_result, finished, kept)
        .. (has_result == 1 and sub(value, from) or ''), 'PX', whole(milliseconds))
end

-- Remove what a message has beside its key. `hold` is what `hold_to_free` has found.
local function drop_rest(id, h, hold)
    if hold then call('DEL', hold) end
    if band(h.flags, EXPIRES) ~= 0 then call('ZREM', P .. 'exp', id) end
    if band(h.flags, EXTRA) ~= 0 then call('DEL', P .. 'x:' .. id) end
    if band(h.flags, LARGE) ~= 0 then call('SREM', P .. 'big', id) end
    if band(h.flags, ADOPTED) ~= 0 then mirror(id) end
end

-- The outcome names priority and queue, so that a repeated call finds what a failed one has left.
local function cancel_for_good(id, h, ttl, now, about)
    local hold = hold_to_free(id, h)
    local seconds = math.max(math.min(ttl, MOST_TTL), LEAST_TTL)
    local has_about = about ~= nil and about ~= ''
    call('SET', P .. 'm:' .. id,
        pack(OUTCOME, CANCELLED, has_about and ABOUT or 0, now, now + seconds * 1000000)
        .. (has_about and about or pack('>B', h.priority) .. h.queue), 'PX', whole(seconds * 1000))
    drop_rest(id, h, hold)
    tell_end(id)
end

local function index_dead(id, queue, died)
    call('ZADD', P .. 'dead', whole(died), id)
    call('ZADD', P .. 'd:' .. queue, whole(died), id)
end

-- To the dead letters. The error is kept as it is where `err` is nil, removed where it is ''.
local function bury(id, h, reason, err, now, about)
    local hold = hold_to_free(id, h)
    local flags, extra = h.flags, P .. 'x:' .. id
    h.state = DEAD
    h.flags = bor(band(flags, bnot(bor(EXPIRES, LARGE))), EXTRA)
    h.expires = 0
    call('HSET', extra, 'r', reason, 'd', whole(now))
    if about and about ~= '' then call('HSET', extra, 'a', about) end
    if err == '' then
        call('HDEL', extra, 'p', 'e')
    else
        call('HDEL', extra, 'p')
        if err then call('HSET', extra, 'e', err) end
    end
    index_dead(id, h.queue, now)
    write_head(id, h)
    drop_rest(id, {flags = band(flags, bor(EXPIRES, LARGE))}, hold)
    tell_end(id)
end

-- Delete a dead message. Its place in `dead` goes last, so that a repeated call knows what it began.
local function delete_dead_letter(id, h, queue)
    local hold = hold_to_free(id, h)
    if queue then call('ZREM', P .. 'd:' .. queue, id) end
    call('DEL', P .. 'm:' .. id)
    drop_rest(id, h, hold)
    call('DEL', P .. 'x:' .. id)
    call('ZREM', P .. 'dead', id)
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

-- Keys of another type than ours.

-- Call a command; where its key has another type than ours, replace that key. A message becomes a
-- damaged record, and what was in an index is found again by the sweep.
local function careful(...)
    local answer = redis.pcall(...)
    local _, key, field = ...
    if type(answer) ~= 'table' or not answer.err then return answer end
    if string.find(answer.err, 'WRONGTYPE', 1, true) then
        redis.call('DEL', key)
        if sub(key, #P + 1, #P + 2) == 'm:' then redis.call('SET', key, '?') end
    elseif string.find(answer.err, 'not an integer', 1, true) then
        redis.call('HDEL', key, field)
    end
    return redis.call(...)
end

-- Run a script; once more, carefully, if it has met a key of another type.
local function run(main)
    local done, answer = pcall(main)
    if done then return answer end
    local text = type(answer) == 'table' and answer.err or tostring(answer)
    if string.find(text, 'WRONGTYPE', 1, true) or string.find(text, 'not an integer', 1, true) then
        call = careful
        return main()
    end
    error(answer, 0)
end
