-- Upkeep: changes that time brings about. This file stands before the scripts that need it.

local LONGEST_GAP = 15000000 -- microseconds between two calls; a longer gap is an outage
local LONGEST_LEASE = 3600000000 -- of owners that count in an outage

-- News: for each message that upkeep moved its id, queue, task, state, reason ('' for none), attempts, lost
-- leases, and the owner that lost it ('' for none).
local news = {}

local function report(id, h, state, reason, owner)
    local place = #news
    news[place + 1], news[place + 2], news[place + 3] = id, h.queue or '', h.value and task_of(id, h) or ''
    news[place + 4], news[place + 5] = state, reason
    news[place + 6], news[place + 7], news[place + 8] = h.attempt or 0, h.lost or 0, owner
end

local function report_damaged(id, queue)
    report(id, {queue = queue}, 'dead', 'undecodable', '')
end

local function is_number(number)
    return number ~= nil and is_time(number)
end

-- Move times in an index back with the clock.
local function move_back(key, back, now)
    local later = call('ZRANGEBYSCORE', key, '(' .. whole(now), '+inf', 'WITHSCORES')
    local moved = {}
    for i = 1, #later, 2 do
        moved[i], moved[i + 1] = whole(tonumber(later[i + 1]) - back), later[i]
    end
    spread('ZADD', key, moved)
end

-- Return the longest remaining time of a lease that an outage may have kept from being renewed.
local function longest_rest(mark, now)
    local horizon = whole(math.min(now + now - mark, mark + LONGEST_LEASE))
    local ends = call('ZREVRANGEBYSCORE', P .. 'owners', '(' .. horizon, '(' .. whole(mark), 'WITHSCORES',
        'LIMIT', 0, 1)
    return #ends > 0 and tonumber(ends[2]) - mark or 0
end

-- Record the time of this call, by the rule of asynctasq.driverkit.outages. Returns the end of the pause in
-- which no lease ends.
local function note_upkeep(now, lease)
    local key = P .. 'upkeep'
    local noted = call('HMGET', key, 'mark', 'pause')
    local mark, pause = tonumber(noted[1]), tonumber(noted[2])
    if not is_number(pause) then pause = 0 end
    if not is_number(mark) then
        if call('EXISTS', P .. 'leases') == 1 then pause = now + lease / 2 end
    elseif mark > now then -- the clock was set back
        local back, gap = mark - now, math.min(lease / 2, LONGEST_GAP)
        pause = math.min(pause, now + lease / 2)
        if back > gap then pause = math.max(pause, now + (back > lease / 2 and lease / 2 or gap)) end
        move_back(P .. 'owners', mark - now, now)
        move_back(P .. 'workers', mark - now, now)
    else
        local first_after_pause = mark <= pause and pause <= now
        local age, gap = now - mark, math.min(lease / 2, LONGEST_GAP)
        if age > gap and (not first_after_pause
                or call('ZCOUNT', P .. 'owners', '(' .. whole(mark), whole(math.min(now, mark + LONGEST_LEASE))) > 0) then
            local rest = lease >= 1000000 and longest_rest(mark, now) or 0
            pause = math.max(pause, now + math.max(age > lease / 2 and lease / 2 or gap, rest * 4 / 9))
        elseif not first_after_pause and age < gap / 4 then
            return pause
        end
    end
    pause = math.ceil(pause)
    call('HSET', key, 'mark', whole(now), 'pause', whole(pause))
    call('PEXPIRE', key, 86400000)
    return pause
end

-- Make due messages ready, up to the wanted number: the most urgent ones first, then the oldest.
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

-- Put a message that is in no index back where it belongs.
local function rescue(id, now)
    local h = head(id)
    if not h then return end
    if h.damaged or #id ~= 16 then
        local state, queue = locate(id)
        if state == nil or state == 'dead' then
            id, queue = proper_id(id), queue or 'default'
            make_damaged_dead(id, queue, nil, now)
            report_damaged(id, queue)
        end
    elseif h.state == DEAD then
        if not call('ZSCORE', P .. 'dead', id) or not call('ZSCORE', P .. 'd:' .. h.queue, id) then
            index_dead_again(id, h.queue, now)
            call('HINCRBY', P .. 'queues', h.queue, 0)
        end
    elseif call('HEXISTS', P .. 'leases', id) == 0 and not call('ZSCORE', P .. 'r:' .. h.queue, id)
            and not call('ZSCORE', scheduled_set(h.priority, h.queue), id) then
        local state, queue = locate(id)
        if state == 'ready' or state == 'scheduled' then -- the name of its queue is damaged
            make_damaged_dead(id, queue, nil, now)
            return report_damaged(id, queue)
        end
        call('HINCRBY', P .. 'queues', h.queue, 0)
        if band(h.flags, EXPIRES) ~= 0 then call('ZADD', P .. 'exp', whole(h.expires), id) end
        make_wait(id, h, now)
    end
end

-- End a lease for its owner; `lost` says whether that is counted. If the head has the token of the lease, a
-- step that failed has written it, and nothing is counted again.
local function reclaim(id, lease, lost, now)
    local h = head(id)
    local unfinished, state = is_unfinished(lease), nil
    if h and not unfinished then call('HSET', P .. 'leases', id, unfinished_record(lease)) end
    if h and h.damaged then
        make_damaged_dead(id, lease.queue, nil, now)
        report_damaged(id, lease.queue)
        state = 'dead'
    elseif h and h.state == DEAD then
        rescue(id, now)
        state = 'dead'
    elseif h and call('SISMEMBER', P .. 'c:' .. lease.owner, id) == 1 then
        cancel_for_good(id, h, h.ttl, now)
        report(id, h, 'cancelled', '', lease.owner)
    elseif h then
        local first = h.token < lease.token
        if first then h.token = lease.token end
        if first and lost then h.lost = h.lost + 1 end
        if lost and h.lost > h.max_lost then
            make_dead(id, h, 'lost', nil, now)
            report(id, h, 'dead', 'lost', lease.owner)
            state = 'dead'
        else
            write_head(id, h)
            if first then make_ready(id, h) else make_wait(id, h, now) end
            state = not first and h.due > now and 'scheduled' or 'ready'
            if lost then report(id, h, 'ready', '', lease.owner) end
        end
    else
        drop_rest(id, {flags = lease.flags})
    end
    if unfinished then leave_only(id, lease.queue, state) end
    end_lease(id, lease)
end

-- End some leases of an owner, counted as lost. Returns how many.
local function reclaim_from(owner, most, now)
    local leased = P .. 'o:' .. owner
    local ids = call('SRANDMEMBER', leased, most)
    for _, id in ipairs(ids) do
        local record = call('HGET', P .. 'leases', id)
        local lease = read_lease(record)
        if lease and lease.owner == owner then
            reclaim(id, lease, true, now)
        else
            if record and not lease then call('HDEL', P .. 'leases', id) end
            rescue(id, now)
            call('SREM', leased, id)
        end
    end
    if call('EXISTS', leased) == 0 then
        call('DEL', P .. 'c:' .. owner)
        call('ZREM', P .. 'owners', owner)
    end
    return #ids
end

-- End the leases of owners that have not renewed them in time.
local function reclaim_ended(now)
    local left = FEW
    local gone = call('ZRANGEBYSCORE', P .. 'owners', '-inf', whole(now), 'LIMIT', 0, 100)
    for _, owner in ipairs(gone) do
        if left <= 0 then return end
        left = left - reclaim_from(owner, left, now)
    end
end

-- Make dead letters of messages that were not started in time.
local function expire(now)
    local late = call('ZRANGEBYSCORE', P .. 'exp', '-inf', whole(now), 'LIMIT', 0, FEW)
    for _, id in ipairs(late) do
        local h = head(id)
        if h and h.state == DEAD then rescue(id, now) end -- an expiry that failed has left it
        if not h or h.state == DEAD or band(h.flags, EXPIRES) == 0
                or call('HEXISTS', P .. 'leases', id) == 1 then
            call('ZREM', P .. 'exp', id)
        elseif h.expires <= now then
            leave_waiting(id, h.queue, h.priority) -- until it is dead, `exp` keeps it
            make_dead(id, h, 'expired', '', now)
            report(id, h, 'dead', 'expired', '')
        else
            call('ZADD', P .. 'exp', whole(h.expires), id)
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
        local queue = h and h.queue
        if h and h.damaged then queue = select(2, locate(id)) end
        if h and h.state == DEAD then
            delete_dead_letter(id, h, queue)
            if queue then forget_if_empty(queue) end
        else
            call('ZREM', P .. 'dead', id)
        end
    end
end
