-- Records that cannot be read, for scripts that come after this file.

-- For a message whose own token cannot be read: one that was not given before.
local function unused_token(now)
    return now
end

-- A record that cannot be read becomes a dead letter with its bytes.
local function bury_damaged(id, queue, err, now)
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
    tell_end(id)
end

-- Give a record whose id has not 16 bytes one that has: nothing else can name it.
local function proper_id(id)
    if #id == 16 then return id end
    local found = string.gsub(sub(redis.sha1hex(id), 1, 32), '%x%x', function(digits)
        return string.char(tonumber(digits, 16))
    end)
    call('RENAME', P .. 'm:' .. id, P .. 'm:' .. found)
    return found
end

-- Which state the indexes have a message in, and in which queue; nil if none of them has it. Only
-- for records that do not say so themselves.
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
