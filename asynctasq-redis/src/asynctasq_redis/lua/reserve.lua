-- Lease messages, up to a limit and to about MOST_BYTES. ARGV: clock offset, limit, length of the lease,
-- owner, for how long and how many dead letters are kept; then names of queues, each with the most that may
-- be taken from it. Returns the time, ids and messages in turn, numbers of deliveries and the time of their
-- first mismatch in turn, and news (upkeep.lua).

local FIRST_STEP, LONGEST_STEP = 8, 64 -- messages that are read before their sizes are added up

even_when_full()
news = {}
local now = clock(tonumber(ARGV[1]))
local limit, length, owner = tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
local deadline = whole(now + length)

local pause = note_upkeep(now, length)
call('ZADD', P .. 'owners', 'XX', 'GT', deadline, owner)
if now >= pause then reclaim_ended(now) end
local any_paused, any_large = false, false
if call('EXISTS', P .. 'exp', P .. 'dead', P .. 'paused', P .. 'big', OLD .. 'queues') > 0 then
    expire(now)
    trim_dead(now, tonumber(ARGV[5]), tonumber(ARGV[6]))
    any_paused = call('EXISTS', P .. 'paused') == 1
    if call('EXISTS', OLD .. 'queues') == 1 then
        for i = 7, #ARGV, 2 do adopt_waiting(ARGV[i], math.min(tonumber(ARGV[i + 1]), FEW), now) end
    end
    any_large = call('EXISTS', P .. 'big') == 1
end
sweep(now, length)

local deliveries, mismatches, leases, owned = {}, {}, {}, {}
local taken, room = 0, MOST_BYTES
local afterwards = {} -- functions that run when the leases are written

-- Handle expiry, unique key and mismatch. Returns the remaining flags; nil if the message must not run.
local function prepare(id, h)
    if band(h.flags, EXPIRES) ~= 0 then
        if h.expires <= now then
            afterwards[#afterwards + 1] = function()
                make_dead(id, h, 'expired', '', now)
                report(id, h, 'dead', 'expired', '')
            end
            return nil
        end
        h.flags, h.expires = h.flags - EXPIRES, 0
        afterwards[#afterwards + 1] = function()
            write_head(id, h)
            call('ZREM', P .. 'exp', id)
        end
    end
    local hold = hold_to_free(id, h, false, true)
    if hold then
        afterwards[#afterwards + 1] = function() call('DEL', hold) end
    end
    if band(h.flags, MISMATCHED) ~= 0 then
        mismatches[#mismatches + 1] = taken
        mismatches[#mismatches + 1] = call('HGET', P .. 'x:' .. id, 'm')
    end
    return h.flags
end

-- Look closely at a message that does not begin as most do. Returns as `prepare` does.
local function examine(id, value, queue)
    local state = byte(value, 1)
    if (state == COMPLETED or state == CANCELLED) and #value >= OUTCOME_BYTES then
        return nil -- a reserve that failed left its entry, and it has ended since
    end
    local h = parse(value)
    -- If it names another queue, an earlier step left this entry, unless that queue does not have it.
    local belongs = not h.damaged and (h.queue == queue or h.state ~= WAITING
        or call('ZSCORE', P .. 'r:' .. h.queue, id)
        or call('ZSCORE', scheduled_set(h.priority, h.queue), id))
    if not belongs or #id ~= 16 then
        afterwards[#afterwards + 1] = function()
            id = proper_id(id)
            make_damaged_dead(id, queue, nil, now)
            report_damaged(id, queue)
        end
        return nil
    end
    if h.state ~= WAITING or h.queue ~= queue then return nil end
    return prepare(id, h)
end

-- Messages whose first bytes are equal get equal leases.
local function make_lease(queue, flags, value)
    return pack('>I8', math.max(unpack_from('>I8', value, 3) + 1, now))
        .. lease_tail(owner, queue, flags, now, length)
end

-- Return the values of as many keys as there is room for, but always that of the first.
local function read(keys)
    if not any_large then return call('MGET', unpack(keys)) end
    local fitting, left = {}, room
    for i, key in ipairs(keys) do
        left = left - call('STRLEN', key)
        if left < 0 and (i > 1 or room < MOST_BYTES) then break end
        fitting[i] = key
    end
    return #fitting > 0 and call('MGET', unpack(fitting)) or {}
end

local function take(queue, most)
    promote(queue, now, most)
    local made = {}
    local from = taken
    local ready, prefix, known_as = P .. 'r:' .. queue, P .. 'm:', pack('>Hc0', #queue, queue)
    local queue_from, queue_to = HEAD_BYTES + 1, HEAD_BYTES + #known_as
    local looked_at, step = 0, FIRST_STEP
    -- Further expired messages wait for the next call.
    while taken - from < most and looked_at < most + FEW and room > 0 do
        local wanted = math.min(step, most - (taken - from))
        local ids = call('ZRANGE', ready, looked_at, looked_at + wanted - 1)
        if #ids == 0 then break end
        local keys = {}
        for i = 1, #ids do keys[i] = prefix .. ids[i] end
        local values = read(keys)
        local held = call('HMGET', P .. 'leases', unpack(ids))
        for i = 1, #values do
            local value, id = values[i], ids[i]
            -- If it is still leased, a step that failed added this entry: the lease counts.
            if value and not (held[i] and read_lease(held[i])) then
                local state, flags = byte(value, 1, 2)
                local lease
                room = room - #value
                if state == WAITING and flags and flags <= EXTRA and #id == 16
                        and sub(value, queue_from, queue_to) == known_as
                        and unpack_from('>I8', value, 3) < LARGEST_TOKEN then
                    local begins = sub(value, 1, 10)
                    lease = made[begins]
                    if not lease then
                        lease = make_lease(queue, flags, value)
                        made[begins] = lease
                    end
                else
                    flags = examine(id, value, queue)
                    lease = flags and make_lease(queue, flags, value)
                end
                if lease then
                    local place = taken * 2 + 1
                    taken = taken + 1
                    leases[place], leases[place + 1] = id, lease
                    deliveries[place], deliveries[place + 1] = id, value
                    owned[taken] = id
                end
            end
        end
        looked_at = looked_at + #values
        if #values < #ids then room = 0 end
        step = math.min(step * 2, LONGEST_STEP)
    end
    return looked_at, taken - from
end

local looked_at = {}
for i = 7, #ARGV, 2 do
    local queue = ARGV[i]
    local most = math.min(tonumber(ARGV[i + 1]), limit - taken)
    if most > 0 and room > 0
            and not (any_paused and call('HEXISTS', P .. 'paused', queue) == 1) then
        local looked, found = take(queue, most)
        if looked > 0 then looked_at[#looked_at + 1] = {queue, looked, found} end
    end
end

-- The order of the writes: the owner, before it has leases; the leases; their consequences; and at the end
-- the messages leave the queue.
if taken > 0 then
    call('ZADD', P .. 'owners', 'GT', deadline, owner)
    for _, each in ipairs(looked_at) do
        if each[3] > 0 then call('HINCRBY', P .. 'queues', each[1], each[3]) end
    end
    spread('SADD', P .. 'o:' .. owner, owned)
    spread('HSET', P .. 'leases', leases)
end
for _, step in ipairs(afterwards) do step() end
for _, each in ipairs(looked_at) do
    call('ZREMRANGEBYRANK', P .. 'r:' .. each[1], 0, each[2] - 1)
end
if taken == 0 then
    for i = 7, #ARGV, 2 do forget_if_empty(ARGV[i]) end
end
return {whole(now), deliveries, mismatches, news}
