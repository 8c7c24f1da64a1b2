-- End leases. ARGV: clock offset; then for each run of similar settlements its numbers (kind, token, delay or
-- time to live in seconds, length, whether they have bytes), their ids, and their bytes. Returns '1' (done) or
-- '0' (lost) for each. No lease may occur twice.

even_when_full()
local now = clock(tonumber(ARGV[1]))
-- The first four kinds are COMPLETE; they are one more than the contents of the outcome.
local MOST_COMPLETE = 4
local RETRY, FAIL, FAIL_UNTRIED, RELEASE, RELEASE_MISMATCHED, CANCEL, FAIL_DAMAGED = 5, 6, 7, 8, 9, 10, 11

local kinds, tokens, numbers, payloads, ids = {}, {}, {}, {}, {}
local count = 0
local place = 2
while place <= #ARGV do
    local kind, token, number, length, carries = unpack_from('>BI8dHB', ARGV[place])
    if not is_time(number) then return redis.error_reply('delays and times to live must be numbers') end
    for i = 1, length do
        count = count + 1
        kinds[count], tokens[count], numbers[count] = kind, token, number
        ids[count] = ARGV[place + i]
        payloads[count] = carries == 1 and ARGV[place + length + i] or ''
    end
    place = place + 1 + length * (1 + carries)
end
local leases = call('HMGET', P .. 'leases', unpack(ids))

-- Find the settlements whose leases are current. Most leases of one reserve have equal bytes.
local ended, groups, parsed = {}, {}, {}
local several_groups = false

local function parse_lease(record)
    local lease = read_lease(record)
    if not lease then return {} end
    local name = lease.queue .. '\0' .. lease.owner
    local group = groups[name]
    if not group then
        several_groups = next(groups) ~= nil
        group = {owner = lease.owner, queue = lease.queue, ids = ended}
        group.flagged = call('EXISTS', P .. 'c:' .. lease.owner) == 1
        groups[name] = group
    end
    lease.group = group
    parsed[record] = lease
    return lease
end

local last, current = false, false
for i = 1, count do
    local lease = leases[i]
    if lease ~= last then
        last = lease
        current = lease and (parsed[lease] or parse_lease(lease))
    end
    if current and current.token == tokens[i] then
        ended[#ended + 1] = ids[i]
        leases[i] = current
    else
        leases[i] = false
    end
end
if #ended == 0 then return string.rep('0', count) end
if several_groups then
    for _, group in pairs(groups) do group.ids = {} end
    for i = 1, count do
        if leases[i] then
            local own = leases[i].group.ids
            own[#own + 1] = ids[i]
        end
    end
end

local prefixes = {}
local real_now = now - tonumber(ARGV[1])
local messages = P .. 'm:'

-- Return the beginning of the outcome of a COMPLETE, and when it expires.
local function outcome(kind, ttl)
    local prefix = prefixes[kind] and prefixes[kind][ttl]
    if not prefix then
        local seconds = math.max(math.min(ttl, MOST_TTL), LEAST_TTL)
        prefix = {
            pack(OUTCOME, COMPLETED, kind - 1, now, now + seconds * 1000000),
            whole((real_now / 1000) + seconds * 1000),
        }
        prefixes[kind] = prefixes[kind] or {}
        prefixes[kind][ttl] = prefix
    end
    return prefix[1], prefix[2]
end

local function complete(id, flags, kind, ttl, contents)
    local h, hold
    if flags ~= 0 then
        h = head(id)
        hold = h and hold_to_free(id, h)
    end
    local prefix, expires = outcome(kind, ttl)
    call('SET', messages .. id, prefix .. contents, 'PXAT', expires)
    if flags ~= 0 then drop_rest(id, {flags = bor(h and h.flags or 0, flags)}, hold) end
    notify_end(id)
end

local function give_back(id, h, delay)
    write_head(id, h)
    if delay > 0 then
        make_scheduled(id, h, now)
        return 'scheduled'
    end
    make_ready(id, h)
    return 'ready'
end

local function retry(id, h, delay, err)
    local extra = P .. 'x:' .. id
    call('HSET', extra, 'e', err)
    if band(h.flags, MISMATCHED) ~= 0 then call('HDEL', extra, 'm') end
    h.flags = bor(band(h.flags, bnot(MISMATCHED)), EXTRA)
    h.due = now + math.max(delay, 0) * 1000000
    return give_back(id, h, delay)
end

local function release(id, h, delay, mismatched, err)
    if err ~= '' then
        call('HSET', P .. 'x:' .. id, 'e', err)
        h.flags = bor(h.flags, EXTRA)
    end
    if mismatched and band(h.flags, MISMATCHED) == 0 then
        call('HSET', P .. 'x:' .. id, 'm', whole(now))
        h.flags = bor(h.flags, MISMATCHED, EXTRA)
    end
    if delay > 0 then
        h.due = now + delay * 1000000
    elseif h.due > now then
        h.due = now -- a retry that failed has written a later time
    end
    return give_back(id, h, delay)
end

-- Return reason, note and error of a failure. The first two have their lengths before them.
local function parts_of_failure(payload)
    local reason, about_bytes, after = unpack_from('>Bc0H', payload)
    local about = about_bytes > 0 and sub(payload, after - 2, after + about_bytes - 1) or ''
    return reason, about, sub(payload, after + about_bytes)
end

-- Returns the new state; nil if the message has ended.
local function settle(i)
    local id, kind, number, payload = ids[i], kinds[i], numbers[i], payloads[i]
    local flags, group = leases[i].flags, leases[i].group
    if kind <= MOST_COMPLETE then
        complete(id, flags, kind, number, payload)
        return nil
    end
    local h = head(id)
    if not h then -- a call that failed has done this
        drop_rest(id, {flags = flags})
        return nil
    end
    if h.state == DEAD and not h.damaged then
        index_dead_again(id, h.queue, now)
        return 'dead'
    end
    local fails = kind == FAIL or kind == FAIL_UNTRIED
    if kind == FAIL_DAMAGED or h.damaged then
        make_damaged_dead(id, group.queue,
            kind == FAIL_DAMAGED and select(3, parts_of_failure(payload)) or nil, now)
        return 'dead'
    end
    local first = h.token < tokens[i] -- otherwise a call that failed has counted it
    h.token = tokens[i]
    if first and (kind == RETRY or kind == FAIL) then h.attempt = h.attempt + 1 end
    if kind == CANCEL then
        cancel_for_good(id, h, number, now, payload)
    elseif not fails and group.flagged and call('SISMEMBER', P .. 'c:' .. group.owner, id) == 1 then
        cancel_for_good(id, h, h.ttl, now)
    elseif kind == RETRY then
        return retry(id, h, number, payload)
    elseif fails then
        local reason, about, err = parts_of_failure(payload)
        make_dead(id, h, reason, err, now, about)
        return 'dead'
    else
        return release(id, h, number, kind == RELEASE_MISMATCHED, payload)
    end
    return nil
end

-- Settle a message after an earlier settlement of its lease has failed. If that one made it a dead letter, it
-- stays one.
local function settle_unfinished(i)
    local h, state = head(ids[i]), 'dead'
    if h and h.state == DEAD and not h.damaged then
        index_dead_again(ids[i], h.queue, now)
    else
        state = settle(i)
    end
    leave_only(ids[i], leases[i].queue, state)
end

-- Settlements that add entries to an index mark their leases first. If they fail, the next settlement of these
-- leases knows by that, and the fast path does not take it.
local marks = {}
for i = 1, count do
    if leases[i] and kinds[i] > MOST_COMPLETE and not is_unfinished(leases[i]) then
        local place = #marks
        marks[place + 1], marks[place + 2] = ids[i], unfinished_record(leases[i])
    end
end
spread('HSET', P .. 'leases', marks)

-- Nearly all settlements complete a plain message whose result is not awaited: no function call for those.
local anybody_waits = call('EXISTS', P .. 'awaited') == 1
local kind, ttl, prefix, expires
for i = 1, count do
    if leases[i] then
        if kinds[i] <= MOST_COMPLETE and leases[i].flags == 0 and not anybody_waits then
            if numbers[i] ~= ttl or kinds[i] ~= kind then
                kind, ttl = kinds[i], numbers[i]
                prefix, expires = outcome(kind, ttl)
            end
            call('SET', messages .. ids[i], prefix .. payloads[i], 'PXAT', expires)
        elseif is_unfinished(leases[i]) then
            settle_unfinished(i)
        else
            settle(i)
        end
    end
end

-- All messages are in their new places: the leases end.
spread('HDEL', P .. 'leases', ended)
for _, group in pairs(groups) do
    if #group.ids > 0 then
        call('HINCRBY', P .. 'queues', group.queue, -#group.ids)
        spread('SREM', P .. 'o:' .. group.owner, group.ids)
        if group.flagged then spread('SREM', P .. 'c:' .. group.owner, group.ids) end
    end
end
if #ended == count then return string.rep('1', count) end
for i = 1, count do leases[i] = leases[i] and '1' or '0' end
return table.concat(leases)
