-- What time brings about, for scripts that come after this file.

-- Make ready of what has fallen due as much as is wanted now: what is most urgent, then what is oldest.
local function promote(queue, now, wanted)
    for number, key in ipairs(scheduled_sets(queue)) do
        local due = call('ZRANGEBYSCORE', key, '-inf', whole(now), 'WITHSCORES', 'LIMIT', 0, wanted)
        if #due > 0 then
            local ready = {}
            for i = 1, #due, 2 do
                ready[i], ready[i + 1] = rank(10 - number, tonumber(due[i + 1])), due[i]
            end
            spread('ZADD', P .. 'r:' .. queue, ready)
            call('ZREMRANGEBYRANK', key, 0, #due / 2 - 1)
            wanted = wanted - #due / 2
            if wanted == 0 then return end
        end
    end
end

local function reclaim(id, h, flagged, now)
    if flagged then
        cancel_for_good(id, h, h.ttl, now)
        return
    end
    h.lost = h.lost + 1
    if h.lost > h.max_lost then
        bury(id, h, 'lost', nil, now)
    else
        write_head(id, h)
        make_ready(id, h)
    end
end

-- Take back what owners had whose time is over.
local function reclaim_ended(now)
    local left = FEW
    local gone = call('ZRANGEBYSCORE', P .. 'owners', '-inf', whole(now), 'LIMIT', 0, 100)
    for _, owner in ipairs(gone) do
        if left <= 0 then return end
        local leased = P .. 'o:' .. owner
        local ids = call('SPOP', leased, left)
        left = left - #ids
        for _, id in ipairs(ids) do
            local lease = call('HGET', P .. 'leases', id)
            if lease then
                local _, queue = owner_and_queue(lease)
                call('HDEL', P .. 'leases', id)
                call('HINCRBY', P .. 'queues', queue, -1)
                local h = head(id)
                if h then
                    h.token = unpack_from('>I4', lease)
                    reclaim(id, h, call('SISMEMBER', P .. 'c:' .. owner, id) == 1, now)
                end
            end
        end
        if call('EXISTS', leased) == 0 then
            call('ZREM', P .. 'owners', owner)
            call('DEL', P .. 'c:' .. owner)
        end
    end
end

-- Bury what was not started in time.
local function expire(now)
    local late = call('ZRANGEBYSCORE', P .. 'exp', '-inf', whole(now), 'LIMIT', 0, FEW)
    for _, id in ipairs(late) do
        local h = head(id)
        if h then
            leave_waiting(id, h)
            bury(id, h, 'expired', '', now)
        else
            call('ZREM', P .. 'exp', id)
        end
    end
end

local function trim_dead(now, ttl, limit)
    local surplus = call('ZCARD', P .. 'dead') - limit
    if surplus <= 0 then
        local oldest = call('ZRANGE', P .. 'dead', 0, 0, 'WITHSCORES')
        if #oldest == 0 or tonumber(oldest[2]) > now - ttl then return end
    end
    local oldest = call('ZRANGE', P .. 'dead', 0, FEW - 1, 'WITHSCORES')
    for i = 1, #oldest, 2 do
        if i > surplus * 2 and tonumber(oldest[i + 1]) > now - ttl then return end
        local id = oldest[i]
        local h = head(id)
        if h then
            leave_dead(id, h)
            delete(id, h)
            forget_if_empty(h.queue)
        else
            call('ZREM', P .. 'dead', id)
        end
    end
end
