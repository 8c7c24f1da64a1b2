-- Functions for records that cannot be read. This file stands before the scripts that need them.

-- Return a token for a message whose own token cannot be read. No lease of it can have this one.
local function unused_token(now)
    return now
end

-- Make a dead letter of a record that cannot be read, with its bytes.
local function make_damaged_dead(id, queue, err, now)
    local key, extra = P .. 'm:' .. id, P .. 'x:' .. id
    local value = call('GET', key) or ''
    local h = parse(value)
    if not h.damaged and band(h.flags, DAMAGED) ~= 0 then
        value = nil -- a repeated call
    end
    call('HSET', extra, 'r', 'undecodable', 'd', whole(now))
    if err then call('HSET', extra, 'e', err) end
    index_dead(id, queue, now)
    if value then
        call('SET', key, pack(HEAD_AND_QUEUE, DEAD, bor(EXTRA, DAMAGED), unused_token(now), 0, 0, 0, 5, now, now,
            0, 0, #queue, queue) .. value)
    end
    call('ZREM', P .. 'exp', id)
    call('SREM', P .. 'big', id)
    notify_end(id)
end

-- Return an id of 16 bytes for a record; if its id has another length, rename its key.
local function proper_id(id)
    if #id == 16 then return id end
    local found = string.gsub(sub(redis.sha1hex(id), 1, 32), '%x%x', function(digits)
        return string.char(tonumber(digits, 16))
    end)
    call('RENAME', P .. 'm:' .. id, P .. 'm:' .. found)
    return found
end

-- Return the state and the queue of a message according to the indexes; nil if it is in none. Only for records
-- that cannot be read.
local function locate(id)
    local lease = lease_of(id)
    if lease then return 'leased', lease.queue end
    local names = call('HKEYS', P .. 'queues')
    for i = 1, math.min(#names, BOUND) do
        local queue = names[i]
        if call('ZSCORE', P .. 'd:' .. queue, id) then return 'dead', queue end
        if call('ZSCORE', P .. 'r:' .. queue, id) then return 'ready', queue end
        for _, key in ipairs(scheduled_sets(queue)) do
            if call('ZSCORE', key, id) then return 'scheduled', queue end
        end
    end
    return nil
end
