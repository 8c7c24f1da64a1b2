-- Adoption of messages of format 1. Processes of the release before use its keys, which begin with
-- `{namespace}:` alone, and never read those of this format. A message is moved unless a living worker leases
-- it there. This file stands before the scripts that need it.

local OLD_HEAD = '>BBI4I4I4I4BddddHc0'
local OLD_HEAD_BYTES = 51
local OLD_LEASE = '>I4dBHc0Hc0'
local AWAITED = 86400000 -- milliseconds for which the keys of moved messages stay that are awaited
local GRACE = 15000000 -- microseconds for which a lease that has ended may still be renewed, as after an outage

local function parse_old(value)
    local h = {value = value}
    local read
    read, h.state, h.flags, h.token, h.attempt, h.lost, h.max_lost, h.priority, h.enqueued, h.due,
        h.expires, h.ttl, h.queue, h.after = pcall(unpack_from, OLD_HEAD, value)
    if read and h.state <= DEAD and h.state > 0 and h.flags < ADOPTED and h.priority <= 9
            and is_time(h.enqueued) and is_time(h.due) and is_time(h.expires) and h.ttl == h.ttl
            and h.queue ~= '' then
        return h
    end
    return nil
end

local function old_lease(id)
    local record = call('HGET', OLD .. 'leases', id)
    if not record then return nil end
    local read, token, at, _, owner, queue, after = pcall(unpack_from, OLD_LEASE, record)
    if not read or not is_time(at) then return nil end
    local length = #record >= after + 7 and unpack_from('>d', record, after) or 0
    return {token = token, owner = owner, queue = queue, ends = at + length}
end

local function is_alive(lease, now)
    local ends = tonumber(call('ZSCORE', OLD .. 'owners', lease.owner)) or lease.ends
    return ends + GRACE > now and ends < NO_TIME
end

-- Remove all entries of a message in format 1 but its own key.
local function leave_old(id, h, lease)
    if h then
        for _, name in ipairs({'r:' .. h.queue, 's' .. h.priority .. ':' .. h.queue, 'd:' .. h.queue}) do
            call('ZREM', OLD .. name, id)
        end
    end
    call('ZREM', OLD .. 'dead', id)
    call('ZREM', OLD .. 'exp', id)
    call('SREM', OLD .. 'big', id)
    if lease then
        call('SREM', OLD .. 'o:' .. lease.owner, id)
        call('SREM', OLD .. 'c:' .. lease.owner, id)
        if call('HDEL', OLD .. 'leases', id) == 1 then
            call('HINCRBY', OLD .. 'queues', lease.queue, -1)
        end
    elseif call('HDEL', OLD .. 'leases', id) == 1 and h then
        call('HINCRBY', OLD .. 'queues', h.queue, -1)
    end
end

local function move_key(name)
    if call('EXISTS', OLD .. name) == 0 then return end
    if call('EXISTS', P .. name) == 1 then
        call('DEL', OLD .. name)
    else
        call('RENAME', OLD .. name, P .. name)
    end
end

-- Remove the key of a message that was moved. If a process of the release before awaits the message, the key
-- stays until it is replaced by the outcome, because to that process, a message without a key is unknown.
local function leave_key(id, key)
    if call('EXISTS', OLD .. 'w:' .. id) == 1 and byte(call('GETRANGE', P .. 'm:' .. id, 0, 0), 1) == WAITING then
        call('PEXPIRE', key, AWAITED)
    else
        call('DEL', key)
    end
end

-- Return the unique key that a message holds; nil if it holds none.
local function old_hold(id, h)
    if band(h.flags, UNIQUE) == 0 or #h.value < h.after + 3 then return nil end
    local name = sub(h.value, h.after + 4, h.after + 3 + unpack_from('>I4', h.value, h.after))
    return read_hold(call('GET', OLD .. 'u:' .. name)) == id and name or nil
end

local function move_hold(id, h)
    local name = h and old_hold(id, h)
    if name then move_key('u:' .. name) end
end

local function old_queue(id, lease)
    if lease then return lease.queue end
    for _, queue in ipairs(call('HKEYS', OLD .. 'queues')) do
        for _, kind in ipairs({'r:', 'd:', 's5:'}) do
            if call('ZSCORE', OLD .. kind .. queue, id) then return queue end
        end
    end
    return 'default'
end

local function adopt_damaged(id, value, lease, now)
    local queue = old_queue(id, lease)
    call('HINCRBY', P .. 'queues', queue, 0)
    move_key('x:' .. id)
    call('SET', P .. 'm:' .. id, value)
    make_damaged_dead(proper_id(id), queue, nil, now)
    call('DEL', OLD .. 'm:' .. id)
    leave_old(id, {queue = queue, priority = 5}, lease)
end

local function store_adopted(id, h, now)
    if h.state == DEAD then
        index_dead_again(id, h.queue, now)
    else
        h.flags = bor(h.flags, ADOPTED)
        if band(h.flags, LARGE) ~= 0 then call('SADD', P .. 'big', id) end
        if band(h.flags, EXPIRES) ~= 0 then call('ZADD', P .. 'exp', whole(h.expires), id) end
        make_wait(id, h, now)
    end
    call('SET', P .. 'm:' .. id, packed_head(h) .. sub(h.value, OLD_HEAD_BYTES + 1))
end

-- Store a message whose lease has ended: as cancelled if it was flagged, as dead if it has lost too many leases,
-- otherwise as ready.
local function end_old_lease(id, h, lease, now)
    h.token, h.lost = math.max(h.token, lease.token), h.lost + 1
    local flagged = call('SISMEMBER', OLD .. 'c:' .. lease.owner, id) == 1
    if not flagged and h.lost <= h.max_lost then return store_adopted(id, h, now) end
    local hold = old_hold(id, h)
    if hold then call('DEL', OLD .. 'u:' .. hold) end
    if flagged then
        h.flags = EXTRA
        return cancel_for_good(id, h, h.ttl, now)
    end
    h.state, h.expires = DEAD, 0
    h.flags = bor(band(h.flags, bnot(bor(EXPIRES, LARGE))), EXTRA)
    call('HSET', P .. 'x:' .. id, 'r', 'lost', 'd', whole(now))
    call('HDEL', P .. 'x:' .. id, 'p')
    store_adopted(id, h, now)
end

-- Move a message. Returns whether it stays, because a living worker leases it.
local function adopt(id, now)
    local key = OLD .. 'm:' .. id
    local value = call('GET', key)
    local lease = old_lease(id)
    if not value then -- a call that failed has moved it
        leave_old(id, nil, lease)
        return false
    end
    local state = byte(value, 1)
    if (state == COMPLETED or state == CANCELLED) and #value >= OUTCOME_BYTES then
        local milliseconds = call('PTTL', key)
        if milliseconds > 0 and call('EXISTS', P .. 'm:' .. id) == 0 then -- a copy, because processes of that release may await it
            call('SET', P .. 'm:' .. id, value, 'PX', whole(milliseconds))
        end
        if lease then leave_old(id, nil, lease) end
        return false
    end
    if call('PTTL', key) > 0 then return false end -- it is from `mirror`
    if lease and is_alive(lease, now) then return true end
    local h = parse_old(value)
    if call('EXISTS', P .. 'm:' .. id) == 1 then -- a call that failed has stored it
        move_hold(id, h)
        leave_key(id, key)
        leave_old(id, h, lease)
    elseif not h then
        adopt_damaged(id, value, lease, now)
    else
        local old = {queue = h.queue, priority = h.priority}
        call('HINCRBY', P .. 'queues', h.queue, 0)
        move_key('x:' .. id)
        if lease then
            end_old_lease(id, h, lease, now)
        else
            store_adopted(id, h, now)
        end
        move_hold(id, h)
        leave_key(id, key)
        leave_old(id, old, lease)
    end
    return false
end

-- Move messages of a queue that processes of the release before have added, at most `most` of each set.
local function adopt_waiting(queue, most, now)
    for _, id in ipairs(call('ZRANGE', OLD .. 'r:' .. queue, 0, most - 1)) do
        adopt(id, now)
        call('ZREM', OLD .. 'r:' .. queue, id)
    end
    for priority = 9, 0, -1 do
        local key = OLD .. 's' .. priority .. ':' .. queue
        for _, id in ipairs(call('ZRANGE', key, 0, most - 1)) do
            adopt(id, now)
            call('ZREM', key, id)
        end
    end
end

local function has_old(queue)
    local keys = {OLD .. 'r:' .. queue, OLD .. 'd:' .. queue}
    for priority = 0, 9 do keys[priority + 3] = OLD .. 's' .. priority .. ':' .. queue end
    return call('EXISTS', unpack(keys)) > 0
end

-- Move some of the remaining messages, and forget names of empty queues.
local function adopt_some(now, most)
    -- At random, because living workers may hold any number of leases for hours.
    local leased = call('HRANDFIELD', OLD .. 'leases', most)
    for _, id in ipairs(leased) do adopt(id, now) end
    most = most - #leased
    local left = BOUND
    for _, queue in ipairs(call('HKEYS', OLD .. 'queues')) do
        if most <= 0 or left == 0 then break end
        left = left - 1
        if has_old(queue) then
            adopt_waiting(queue, most, now)
            for _, id in ipairs(call('ZRANGE', OLD .. 'd:' .. queue, 0, most - 1)) do
                adopt(id, now)
                call('ZREM', OLD .. 'd:' .. queue, id)
            end
            most = most / 2
        end
        local leased = tonumber(call('HGET', OLD .. 'queues', queue)) or 0
        if not has_old(queue) and (leased <= 0 or call('EXISTS', OLD .. 'leases') == 0) then
            call('HDEL', OLD .. 'queues', queue)
        end
    end
end
