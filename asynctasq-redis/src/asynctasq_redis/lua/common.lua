-- Functions and values that scripts share. Each script consists of this file and its own file, which runs as
-- one function (see the end of this file, and scripts.py).
--
-- Every key begins with KEYS[1], `{namespace}:2:`. The braces put all keys into one slot of a cluster.
-- docs/redis.md, "Key layout", describes the keys.
--
-- Times are whole microseconds. Lua numbers are floats, which hold them exactly until the year 2255.
--
-- If a script fails half-way, Redis keeps its writes. Three rules make that harmless:
--  1. Read and compute first. Records may be damaged, so reading never raises.
--  2. Write last, and add to an index before removing from another. End leases at the very end.
--  3. A repeated call finishes the work of the first one. Another call that moves the message removes the
--     entries that the first one left (`leave_only`). Without any call, sweep.lua repairs the rest.

local P = KEYS[1]
local OLD = string.sub(P, 1, -3) -- the prefix of keys of format 1
local call, pack, unpack_from = redis.call, struct.pack, struct.unpack
local byte, sub, format = string.byte, string.sub, string.format
local band, bor, bnot = bit.band, bit.bor, bit.bnot

-- The first byte of a message's key.
local WAITING, DEAD, COMPLETED, CANCELLED = 1, 2, 3, 4 -- WAITING includes leased: see `leases`
-- Bits of the second byte. EXTRA: it has a key `x:`. LARGE: it is in the set `big`. DAMAGED: the bytes of a
-- record that could not be read follow the queue. ADOPTED: a process of the release before added it.
local EXTRA, UNIQUE, EXPIRES, MISMATCHED, DAMAGED, LARGE, ADOPTED = 1, 2, 4, 8, 16, 32, 64
local MOST_FLAGS = 127
local HEAD = '>BBI8I4I4I4Bdddd' -- state, flags, token, attempt, lost, max_lost, priority, then times
local HEAD_AND_QUEUE = HEAD .. 'Hc0'
local HEAD_BYTES = 55
local OUTCOME = '>BBdd' -- state, contents, finished, kept until; then the contents
local OUTCOME_BYTES = 18
local RESULT, ABOUT = 1, 2 -- contents of an outcome: a result, and before it a note with its length
local MOST_OF_A_HEAD = 1023 -- the last byte that is read of a message if its body is not needed
local LEASE = '>I8dBHc0Hc0' -- token, leased at, flags, owner, queue; then the length of the lease
local UNFINISHED = 128 -- a bit of the flags of a lease: a step that ends it has begun to write
local PADDED = 65 -- a value of this length makes Redis store a hash as a table
local HOLD = '>c16Bdd' -- holder, until, end of the period or 0, length of the period
local LARGEST_TOKEN = 9e15 -- a float still holds the next number exactly
local NO_TIME = 1e16 -- times beyond this are damaged

local BOUND = 1000 -- the most messages that one call moves
local FEW = 250 -- the same for messages that need a dozen commands each
local ARGUMENTS = 4000 -- the most arguments of one command
local LEAST_TTL, MOST_TTL = 60, 1e9 -- seconds
local MOST_BYTES = 8 * 1024 * 1024 -- of messages or results in one answer, which takes some milliseconds
local LARGE_BYTES = 16 * 1024 -- from this size on, sizes are checked before messages are read

-- A queue is one sorted set, ordered by priority, then by time, then (as its members are) by id.
local SPAN = 900000000000000 -- the range of times of one priority: 28 years
local EPOCH = 1735689600000000 -- the year 2025

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
    return number > -NO_TIME and number < NO_TIME -- NaN is neither
end

-- Return a message by its bytes, or by the first of them. If they are damaged, `damaged` is set and there is
-- no queue.
local function parse(value)
    local h = {value = value}
    local read
    read, h.state, h.flags, h.token, h.attempt, h.lost, h.max_lost, h.priority, h.enqueued, h.due,
        h.expires, h.ttl, h.queue, h.after = pcall(unpack_from, HEAD_AND_QUEUE, value)
    if read and h.state <= DEAD and h.state > 0 and h.flags <= MOST_FLAGS and h.priority <= 9
            and h.token < LARGEST_TOKEN and is_time(h.enqueued) and is_time(h.due) and is_time(h.expires)
            and h.ttl == h.ttl and h.queue ~= '' then
        return h
    end
    local state = byte(value, 1) == DEAD and DEAD or WAITING
    return {damaged = true, value = value, state = state, flags = 0, token = 0}
end

-- Return the head of a message that waits, runs or is dead; nil otherwise.
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

-- Return whether an id is taken, by a message or by an outcome that is kept, the first byte, and the prefix of
-- its keys: that of format 1 if a process of the release before leases or has ended the message.
local function is_known(id, now)
    local key, prefix = P .. 'm:' .. id, P
    local value = call('GETRANGE', key, 0, OUTCOME_BYTES - 1)
    if value == '' and call('EXISTS', key) == 0 then
        prefix = OLD
        value = call('GETRANGE', OLD .. 'm:' .. id, 0, OUTCOME_BYTES - 1)
        if value == '' then return false end
    end
    local state = byte(value, 1)
    if state ~= COMPLETED and state ~= CANCELLED or #value < OUTCOME_BYTES then return true, state, prefix end
    local _, _, _, kept_until = unpack_from(OUTCOME, value)
    return kept_until > now, state, prefix
end

-- Leases.

local function lease_tail(owner, queue, flags, now, length)
    local tail = pack('>dBHc0Hc0d', now, flags, #owner, owner, #queue, queue, length)
    return tail .. string.rep('\0', PADDED - 8 - #tail)
end

-- Return a lease by its record; nil if there is none, or if it is damaged.
local function read_lease(record)
    if not record then return nil end
    local read, token, at, flags, owner, queue, after = pcall(unpack_from, LEASE, record)
    if not read or not is_time(at) then return nil end
    local length = #record >= after + 7 and unpack_from('>d', record, after) or 0
    return {token = token, at = at, flags = flags, owner = owner, queue = queue, length = length, record = record}
end

local function lease_of(id)
    return read_lease(call('HGET', P .. 'leases', id))
end

-- Return whether a step that ends this lease has failed half-way. It may have left entries of the message in
-- any index of its queue.
local function is_unfinished(lease)
    return band(lease.flags, UNFINISHED) ~= 0
end

-- Return the record of a lease, marked as unfinished.
local function unfinished_record(lease)
    local flags = string.char(bor(lease.flags, UNFINISHED))
    return sub(lease.record, 1, 16) .. flags .. sub(lease.record, 18)
end

-- End a lease. This is the end of each step, after the message is in its new place.
local function end_lease(id, lease)
    if call('HDEL', P .. 'leases', id) == 1 then
        call('HINCRBY', P .. 'queues', lease.queue, -1)
    end
    call('SREM', P .. 'o:' .. lease.owner, id)
    call('SREM', P .. 'c:' .. lease.owner, id)
end

-- Notifications.

-- Return whether an instance has received a notification. It is a hint: a user who may not publish (ACL) can
-- do everything else.
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

local function notify_end(id)
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

-- Return the unique key of a message that has one; nil if it is damaged.
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

-- Return the key of the hold that ends with a step; nil if there is none. Call it before the step writes.
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

-- The same as `hold_of` for a key that a process of the release before holds. The holder has no head here.
local function old_hold_of(key, now)
    local holder, held_until, ends, period = read_hold(call('GET', OLD .. 'u:' .. key))
    if not holder or ends ~= 0 and ends <= now then return nil end
    if held_until ~= 3 and byte(call('GETRANGE', OLD .. 'm:' .. holder, 0, 0), 1) ~= WAITING then return nil end
    return holder, held_until, period
end

-- Return the holder of a unique key, the rule, the period, and the head of the holder; nil if the key is
-- free. A holder that has ended, is dead, or was never stored (its enqueue failed half-way) does not count.
local function hold_of(key, now)
    local holder, held_until, ends, period = read_hold(call('GET', P .. 'u:' .. key))
    if not holder or ends ~= 0 and ends <= now then return old_hold_of(key, now) end
    local h = head(holder)
    if held_until ~= 3 and (not h or h.state == DEAD or band(h.flags, UNIQUE) == 0) then
        return old_hold_of(key, now)
    end
    return holder, held_until, period, h
end

-- There is one set of scheduled messages for each priority, so that the most urgent of many due messages are
-- made ready first.

local function scheduled_set(priority, queue)
    return P .. 's' .. priority .. ':' .. queue
end

-- Return the sets from priority 9 to 0; an empty list if all are empty.
local function scheduled_sets(queue)
    local keys = {}
    for priority = 9, 0, -1 do keys[10 - priority] = scheduled_set(priority, queue) end
    return call('EXISTS', unpack(keys)) > 0 and keys or {}
end

-- Changes of state. The callers end leases afterwards.

local function make_ready(id, h)
    call('ZADD', P .. 'r:' .. h.queue, rank(h.priority, h.due), id)
    wake(h.queue, 1)
end

local function make_scheduled(id, h, now)
    call('ZADD', scheduled_set(h.priority, h.queue), whole(h.due), id)
    if h.due - now < 1500000 then wake(h.queue, 1) end -- waiters look again every second
end

local function make_wait(id, h, now)
    if h.due > now then make_scheduled(id, h, now) else make_ready(id, h) end
end

-- A promotion that failed has left the message in both sets.
local function leave_waiting(id, queue, priority)
    local was_ready = call('ZREM', P .. 'r:' .. queue, id) == 1
    return call('ZREM', scheduled_set(priority, queue), id) == 1 or was_ready
end

-- Remove the entries and fields of a dead letter that is none: a step that failed has left them.
local function leave_dead(id, queue)
    call('ZREM', P .. 'dead', id)
    call('ZREM', P .. 'd:' .. queue, id)
    local h = head(id)
    if h and band(h.flags, EXTRA) ~= 0 then
        call('HDEL', P .. 'x:' .. id, 'r', 'd', 'a')
    else
        call('DEL', P .. 'x:' .. id)
    end
end

-- Remove the entries of a message that do not belong to its state: 'ready', 'scheduled', 'dead', or nil if it
-- has ended.
local function leave_only(id, queue, state)
    if state ~= 'dead' then leave_dead(id, queue) end
    if state ~= 'ready' then call('ZREM', P .. 'r:' .. queue, id) end
    if state == 'scheduled' then return end -- edit.lua, which alone changes its priority, removes the other entry
    for _, key in ipairs(scheduled_sets(queue)) do call('ZREM', key, id) end
end

-- Remove the entries that a requeue of a dead letter has left if it failed.
local function undo_requeue(id)
    local queue = call('HGET', P .. 'x:' .. id, 't')
    if not queue then return end
    call('ZREM', P .. 'r:' .. queue, id)
    call('ZREM', P .. 'exp', id)
    call('SREM', P .. 'big', id)
end

-- Store the outcome of an adopted message for processes of the release before, too.
local function mirror(id)
    local value = call('GET', P .. 'm:' .. id)
    if not value then call('DEL', OLD .. 'm:' .. id, OLD .. 'x:' .. id) end
    local milliseconds = value and call('PTTL', P .. 'm:' .. id) or 0
    if milliseconds <= 0 or #value < OUTCOME_BYTES then return end
    local state, contents, finished, kept = unpack_from(OUTCOME, value)
    local from = OUTCOME_BYTES + 1
    if contents >= ABOUT then from = from + 2 + unpack_from('>H', value, from) end
    local has_result = contents % ABOUT
    call('SET', OLD .. 'm:' .. id, pack(OUTCOME, state, has_result, finished, kept)
        .. (has_result == 1 and sub(value, from) or ''), 'PX', whole(milliseconds))
end

-- The same for a message that is dead, if such a process awaited it.
local function mirror_death(id, reason, err, now)
    local key, extra = OLD .. 'm:' .. id, OLD .. 'x:' .. id
    local milliseconds = call('PTTL', key)
    if milliseconds <= 0 then return end
    call('HSET', extra, 'r', reason, 'd', whole(now), 'e', err or '')
    call('PEXPIRE', extra, whole(milliseconds))
    call('SETRANGE', key, 0, string.char(DEAD))
end

-- Remove all keys and index entries of a message but its own key. `hold` is from `hold_to_free`.
local function drop_rest(id, h, hold)
    if hold then call('DEL', hold) end
    if band(h.flags, EXPIRES) ~= 0 then call('ZREM', P .. 'exp', id) end
    if band(h.flags, EXTRA) ~= 0 then call('DEL', P .. 'x:' .. id) end
    if band(h.flags, LARGE) ~= 0 then call('SREM', P .. 'big', id) end
    if band(h.flags, ADOPTED) ~= 0 then mirror(id) end
end

-- Make a message cancelled. Without a note, the outcome contains priority and queue, so that a repeated call
-- can remove an entry that a failed one left in the queue.
local function cancel_for_good(id, h, ttl, now, about)
    local hold = hold_to_free(id, h)
    local seconds = math.max(math.min(ttl, MOST_TTL), LEAST_TTL)
    local has_about = about ~= nil and about ~= ''
    call('SET', P .. 'm:' .. id,
        pack(OUTCOME, CANCELLED, has_about and ABOUT or 0, now, now + seconds * 1000000)
        .. (has_about and about or pack('>B', h.priority) .. h.queue), 'PX', whole(seconds * 1000))
    drop_rest(id, h, hold)
    notify_end(id)
end

local function index_dead(id, queue, died)
    call('ZADD', P .. 'd:' .. queue, whole(died), id)
    call('ZADD', P .. 'dead', whole(died), id)
end

-- Index a dead letter whose step may have failed before it did this.
local function index_dead_again(id, queue, now)
    local died = tonumber(call('HGET', P .. 'x:' .. id, 'd'))
    index_dead(id, queue, died ~= nil and is_time(died) and died or now)
end

-- Make a message a dead letter. Its stored error stays if `err` is nil, and is removed if `err` is ''. If this
-- fails before it is indexed, its lease or its entry in `exp` remains, and the next step indexes it.
local function make_dead(id, h, reason, err, now, about)
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
    write_head(id, h)
    index_dead(id, h.queue, now)
    drop_rest(id, {flags = band(flags, bor(EXPIRES, LARGE))}, hold)
    if band(flags, ADOPTED) ~= 0 then mirror_death(id, reason, err, now) end
    notify_end(id)
end

-- Delete a dead letter. Its key is removed after its entries, so that a repeated call can finish the work.
local function delete_dead_letter(id, h, queue)
    local hold = hold_to_free(id, h)
    undo_requeue(id)
    call('ZREM', P .. 'dead', id)
    if queue then call('ZREM', P .. 'd:' .. queue, id) end
    call('DEL', P .. 'm:' .. id)
    drop_rest(id, h, hold)
    call('DEL', P .. 'x:' .. id)
end

-- Forget the name of a queue without messages.
local function forget_if_empty(queue)
    if call('HGET', P .. 'queues', queue) == '0'
            and call('EXISTS', P .. 'r:' .. queue, P .. 'd:' .. queue) == 0
            and #scheduled_sets(queue) == 0 then
        call('HDEL', P .. 'queues', queue)
    end
end

-- A full server refuses commands that need memory, unless the script has written before. With this, workers
-- and operators continue: completed messages free memory.
local function even_when_full()
    call('DEL', P .. 'none')
end

-- Keys of a wrong type.

-- Call a command. If its key has a wrong type, replace the key: a message becomes a damaged record, and the
-- sweep fills an index again.
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

-- Run a script. If a key has a wrong type, run it again with `careful`.
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
