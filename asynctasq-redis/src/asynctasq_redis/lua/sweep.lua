-- The sweep repairs the store after scripts that failed and after manual changes. A reserve checks about fifty
-- records, at most twenty times a second, and continues where the last sweep stopped. While there are messages
-- to reserve, the sweep runs about once a second (reserve_plain.lua).

local SWEEP_EVERY = 50000 -- microseconds
local REST = 5000000
local PIECE = 25 -- keys, and leases, that one call checks
local SAMPLE = 20 -- members of a set or an index, chosen at random
local NAMES = 10 -- names of queues that one call checks

-- The functions of a sweep are created when one is due, because that takes longer than most reserves do.
local function sweeper()

local function drop_where(key, command, ids, stale)
    local gone = {}
    for _, id in ipairs(ids) do
        if stale(id) then gone[#gone + 1] = id end
    end
    spread(command, key, gone)
end

local function sample_index(key, stale)
    drop_where(key, 'ZREM', call('ZRANDMEMBER', key, SAMPLE), stale)
end

local function sample_index_of(queue, key, stale)
    sample_index(key, stale)
    if call('EXISTS', key) == 1 then call('HSETNX', P .. 'queues', queue, 0) end
end

local function waits_no_more(id)
    local h = head(id)
    return not h or not h.damaged and (h.state == DEAD or call('HEXISTS', P .. 'leases', id) == 1)
end

local function is_not_dead(id)
    local h = head(id)
    return not h or not h.damaged and h.state ~= DEAD
end

local function has_not(flag)
    return function(id)
        local h = head(id)
        return not h or band(h.flags, flag) == 0
    end
end

local function is_not_leased_by(owner)
    return function(id)
        local lease = lease_of(id)
        return not lease or lease.owner ~= owner
    end
end

-- Register an unknown owner for the length of its leases. If it is alive, it renews them; otherwise they end.
local function register(owner, length, now)
    call('ZADD', P .. 'owners', 'NX', whole(now + length), owner)
end

-- Checks of keys, by the letter before the colon.
local visits = {}

function visits.m(id, key, now)
    local value = call('GETRANGE', key, 0, OUTCOME_BYTES + 255)
    local state = byte(value, 1)
    if state == CANCELLED and #value > OUTCOME_BYTES + 1 and byte(value, 2) == 0 then
        leave_waiting(id, sub(value, OUTCOME_BYTES + 2), byte(value, OUTCOME_BYTES + 1))
    elseif state ~= COMPLETED then
        rescue(id, now)
        if state == WAITING and #value > 1 and band(byte(value, 2), LARGE) ~= 0 then
            call('SADD', P .. 'big', id)
        end
    end
end

function visits.x(id, key)
    if not head(id) then call('DEL', key) end
end

function visits.r(queue, key)
    sample_index_of(queue, key, waits_no_more)
end

-- Return members with damaged scores: no clock reaches those.
local function never_due(key)
    return call('ZRANGEBYSCORE', key, whole(NO_TIME), '+inf', 'LIMIT', 0, SAMPLE)
end

function visits.s(queue, key, now)
    for _, id in ipairs(never_due(key)) do
        local h = head(id)
        call('ZADD', key, whole(h and not h.damaged and h.due or now), id)
    end
    sample_index_of(queue, key, waits_no_more)
end

function visits.d(queue, key)
    sample_index_of(queue, key, is_not_dead)
end

function visits.o(owner, key, now, lease)
    if not call('ZSCORE', P .. 'owners', owner) then register(owner, lease, now) end
    drop_where(key, 'SREM', call('SRANDMEMBER', key, SAMPLE), is_not_leased_by(owner))
end

function visits.c(owner, key)
    drop_where(key, 'SREM', call('SRANDMEMBER', key, SAMPLE), is_not_leased_by(owner))
end

function visits.u(name, key, now)
    local holder, held_until, ends = read_hold(call('GET', key))
    local ended = not holder or ends ~= 0 and ends <= now
    if not ended and held_until ~= 3 then
        local h = head(holder)
        ended = not h or h.state == DEAD or band(h.flags, UNIQUE) == 0
            or held_until == 1 and call('HEXISTS', P .. 'leases', holder) == 1
    end
    if ended then call('DEL', key) end
end

-- Keys that expire within seconds, unless a call failed before it set that.
function visits.w(_, key)
    if call('PTTL', key) == -1 then call('DEL', key) end
end
visits.i = visits.w

-- Add the entries of a schedule that a manual change has removed.
function visits.a(id)
    local s = state_of(id)
    if not s then return end
    call('ZADD', AN, 0, id)
    if is_active(s) then call('ZADD', AT, 'NX', whole(s.due), id) end
end

local function is_no_schedule(id)
    return call('EXISTS', P .. 'a:' .. id) == 0
end

local function visit_others(name, key, now)
    if name == 'dead' then
        sample_index(key, is_not_dead)
    elseif name == 'owners' then
        for _, owner in ipairs(never_due(key)) do call('ZADD', key, whole(now), owner) end
    elseif name == 'at' then
        for _, id in ipairs(never_due(key)) do
            call('ZREM', key, id)
            visits.a(id)
        end
    elseif name == 'an' then
        sample_index(key, is_no_schedule)
    elseif name == 'exp' then
        sample_index(key, has_not(EXPIRES))
    elseif name == 'big' then
        drop_where(key, 'SREM', call('SRANDMEMBER', key, SAMPLE), has_not(LARGE))
    elseif name == 'awaited' then
        visits.w(name, key)
    elseif (name == 'workers' or name == 'workers:described') and call('PTTL', key) == -1 then
        call('PEXPIRE', key, 60000) -- living workers prolong it
    end
end

-- Return the position at which the last call stopped.
local function position(stored)
    return stored and #stored < 20 and string.match(stored, '^%d+$') or '0'
end

local function sweep_keys(from, now, lease)
    local pattern = string.gsub(P, '[%[%]*?\\]', '\\%0') .. '*'
    local place, keys = unpack(call('SCAN', from, 'MATCH', pattern, 'COUNT', PIECE))
    for _, key in ipairs(keys) do
        local name = sub(key, #P + 1)
        local kind, rest = string.match(name, '^(%l)%d?:(.*)$')
        local visit = visits[kind]
        if visit then visit(rest, key, now, lease) else visit_others(name, key, now) end
    end
    return place
end

local function sweep_leases(from, now, length)
    local place, found = unpack(call('HSCAN', P .. 'leases', from, 'COUNT', PIECE))
    local owned = {}
    for i = 1, #found, 2 do
        local id, lease = found[i], read_lease(found[i + 1])
        if not lease then
            call('HDEL', P .. 'leases', id)
            rescue(id, now)
        else
            local ids = owned[lease.owner]
            if not ids then
                ids = {}
                owned[lease.owner] = ids
                local own = lease.length
                if not call('ZSCORE', P .. 'owners', lease.owner) then
                    register(lease.owner, own > 0 and own < NO_TIME and own or length, now)
                end
            end
            ids[#ids + 1] = id
        end
    end
    for owner, ids in pairs(owned) do spread('SADD', P .. 'o:' .. owner, ids) end
    return place
end

-- Forget names of empty queues from which no worker reserves any more. A reserve forgets those of its own.
local function sweep_names(from, now)
    local place, found = unpack(call('HSCAN', P .. 'queues', from, 'COUNT', PIECE))
    local count = #found / 2
    local first = count > 0 and math.floor(now / SWEEP_EVERY) % count or 0 -- HSCAN returns a small hash as a whole
    for i = 0, math.min(count, NAMES) - 1 do forget_if_empty(found[(first + i) % count * 2 + 1]) end
    return place
end

return function(keys_from, leases_from, names_from, now, lease)
    local keys = sweep_keys(position(keys_from), now, lease)
    local leases = sweep_leases(position(leases_from), now, lease)
    local names = sweep_names(position(names_from), now)
    if keys == '0' or call('HLEN', P .. 'queues') <= 100 then recount() end
    if call('EXISTS', OLD .. 'queues') == 1 then adopt_some(now, PIECE) end
    return keys, leases, names
end

end

-- After a failure, the sweep pauses, so that reserves continue.
local function sweep(now, lease)
    local key = P .. 'upkeep'
    local stored = call('HMGET', key, 'swept', 'keys', 'leases', 'names')
    local swept = tonumber(stored[1])
    -- The repetition with `careful` handles the key that stopped the sweep before it.
    if swept and swept <= now + REST and now - swept < SWEEP_EVERY and call ~= careful then return end
    call('HSET', key, 'swept', whole(now + REST))
    call('PEXPIRE', key, 86400000)
    local keys, leases, names = sweeper()(stored[2], stored[3], stored[4], now, lease)
    call('HSET', key, 'swept', whole(now), 'keys', keys, 'leases', leases, 'names', names)
end
