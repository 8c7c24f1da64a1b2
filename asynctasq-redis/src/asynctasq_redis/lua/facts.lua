-- Facts about messages that a broker holds: a hash `b:<id>` by the numbers of asynctasq.driverkit.marks. Each
-- value begins with the time until which the fact is kept. This file precedes the scripts that need it.

local FLAGGED, ENDED, MOVED, RUNNING, PROGRESS = 1, 2, 3, 4, 5

-- Return the current facts about a message with their values.
local function facts_of(id, now)
    local facts = {}
    for fact, stored in ipairs(call('HMGET', P .. 'b:' .. id, 1, 2, 3, 4, 5)) do
        if stored and #stored >= 8 then
            local kept_until = unpack_from('>d', stored)
            if is_time(kept_until) and kept_until > now then facts[fact] = sub(stored, 9) end
        end
    end
    return facts
end

local function keep_fact(id, fact, seconds, value, now)
    local key = P .. 'b:' .. id
    local kept = math.max(math.min(seconds, MOST_TTL), 0)
    call('HSET', key, fact, pack('>d', now + kept * 1000000) .. value)
    call('PEXPIRE', key, whole(math.max(math.ceil(kept * 1000), call('PTTL', key), 1)))
end

-- Keep the end or the move of a message, and no other fact about it.
local function keep_only(id, fact, seconds, now)
    keep_fact(id, fact, seconds, '', now)
    call('HDEL', P .. 'b:' .. id, FLAGGED, RUNNING, PROGRESS)
end

-- Return whether a message was here or has ended, and the facts about it.
local function past_of(id, now)
    local facts = facts_of(id, now)
    local past = facts[ENDED] ~= nil or facts[MOVED] ~= nil
    return past or is_known(id, now), facts, past
end

-- Return the head of a message that was leased before, and what precedes its bytes.
local function new_head(numbers, queue, name, now)
    local priority, max_lost, ttl, _, _, _, unique = unpack_from('>BI4ddddB', numbers)
    local h = {state = WAITING, flags = unique == 1 and UNIQUE or 0, token = 1, max_lost = max_lost,
        priority = priority, due = now, expires = 0, ttl = ttl, queue = queue}
    local between = pack('>Hc0', #queue, queue)
    if unique == 1 then between = between .. pack('>I4', #name) .. name end
    return h, between
end
