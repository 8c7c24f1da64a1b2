-- Cancel messages. ARGV: clock offset, seconds, ids. Returns for each C (cancelled), R (requested), T (too late)
-- or U (unknown). If seconds are given, an unknown message is flagged for so long: R.

even_when_full()
local now = clock(tonumber(ARGV[1]))

-- Finish an earlier call that cancelled a message but failed before it removed it from its queue. Returns
-- whether there was one.
local function finish(id)
    local value = call('GETRANGE', P .. 'm:' .. id, 0, OUTCOME_BYTES + 255)
    return #value > OUTCOME_BYTES + 1 and byte(value, 2) == 0
        and leave_waiting(id, sub(value, OUTCOME_BYTES + 2), byte(value, OUTCOME_BYTES + 1))
end

-- A message whose record cannot be read: the indexes say where it is.
local function cancel_damaged(id)
    local state, queue = locate(id)
    if state == 'dead' then leave_only(id, queue, 'dead') end
    if state == 'dead' or state == nil then return 'T' end
    if state == 'leased' then
        call('SADD', P .. 'c:' .. lease_of(id).owner, id)
        return 'R'
    end
    cancel_for_good(id, {flags = EXTRA, priority = 5, queue = queue}, 3600, now)
    call('ZREM', P .. 'r:' .. queue, id)
    for _, key in ipairs(scheduled_sets(queue)) do call('ZREM', key, id) end
    return 'C'
end

-- Flag a message that a broker may hold.
local function flag(id)
    if ARGV[2] == '' then return 'U' end
    if past_of(id, now) then return 'T' end
    keep_fact(id, FLAGGED, tonumber(ARGV[2]), '', now)
    return 'R'
end

local function cancel(id)
    local known, state = is_known(id, now)
    if not known then return flag(id) end
    if state == CANCELLED and finish(id) then return 'C' end
    local h = head(id)
    if not h then return 'T' end
    if h.damaged then return cancel_damaged(id) end
    if h.state == DEAD then
        index_dead_again(id, h.queue, now) -- if a reserve found it expired and failed
        leave_waiting(id, h.queue, h.priority)
        return 'T'
    end
    local lease = lease_of(id)
    if lease then
        call('SADD', P .. 'c:' .. lease.owner, id)
        call('ZREM', P .. 'r:' .. lease.queue, id) -- a reserve that failed has left it
        if is_unfinished(lease) then leave_only(id, lease.queue, nil) end
        return 'R'
    end
    cancel_for_good(id, h, h.ttl, now)
    leave_waiting(id, h.queue, h.priority)
    return 'C'
end

local answers = {}
for i = 3, #ARGV do answers[i - 2] = cancel(ARGV[i]) end
return table.concat(answers)
